"""Step 7, conclude: why it ended, in words; the right exit code."""

from __future__ import annotations

import gc
import os
import sys
from dataclasses import dataclass

from .. import diagnosis
from ..console import Silence
from ..errors import BootstrapError, CredentialsExpired, OutputsUndelivered
from ..job import AskedBy
from ..patience import unless
from ..shipping.logs import deliver_files
from ..storage.url import parse, shown
from . import cluster, first_failure
from .run import Run


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of the run: our exit code, the id of its cause, and the reason for the person who reads it.

    ``words`` is what the console says at the end, where the whole reason has been said already.
    """

    exit_code: int
    id: str
    reason: str
    words: str = ""

    def __post_init__(self) -> None:
        if not self.words:
            object.__setattr__(self, "words", self.reason)


def step(run: Run) -> int:
    """Say it, record it, and deliver the record; returns the exit code."""
    cluster.settle(run)
    outcome = decide(run)
    run.record.end("ok")  # already, so that the record that is delivered is a whole one
    run.record.conclude(outcome.exit_code, outcome.id, outcome.reason)
    say = run.console.info if outcome.exit_code == 0 else run.console.error
    say(f"{outcome.words} [{outcome.id}, exit {outcome.exit_code}]")
    if not unless(run.time_is_up, lambda: _deliver_record(run), slack=0.5):
        run.left_behind = True
    cluster.leave(run)
    if run.left_behind:
        # Threads of libraries that hang in a socket would be waited for by an orderly exit, for minutes.
        sys.stdout.flush()
        os._exit(outcome.exit_code)
    gc.freeze()  # else Python searches all modules for garbage once more: 10 ms between the command's end and ours
    return outcome.exit_code


def _deliver_record(run: Run) -> None:
    """The record goes last, so that whoever finds it knows that all the rest has been tried."""
    if run.job is None or run.stores is None or not run.job.log:
        return
    lines, record = run.record_files
    try:
        target = parse(run.job.log)
        deliver_files(run.stores, target, [lines], stop=run.time_is_up, log=Silence())
        run.stores.open(target).write(target.child(record.name).path, run.record.text().encode())
    except BootstrapError as error:
        run.console.warning(f"the run record was not delivered and stays in {run.job.run_dir}: {error}")
    if run.shipper is not None:
        run.shipper.close(run.time_is_up)


def decide(run: Run) -> Outcome:
    """One exit code out of two results. The user's own failure always wins: it is what they must look at first."""
    if run.ending is not None:
        return _after_command(run)
    if run.stopped_by is not None:
        return Outcome(
            128 + run.stopped_by,
            "stopped-by-peer" if run.signals.asked_by is AskedBy.PEER else "stopped-early",
            f"stopped in step {run.failed_step}, before the command: {run.signals.why}",
        )
    if run.failure is not None:
        code = run.failure.code
        if run.without_code and run.resolved and run.resolved.settings.code_failure_exit:
            code = run.resolved.settings.code_failure_exit
        words = f"the command was not started, because {run.failed_step} failed"
        return Outcome(code, run.failure.id, f"{words}: {run.failure}", f"{words}, as said above")
    return Outcome(100, "internal", "the command was not started")


def _after_command(run: Run) -> Outcome:
    assert run.ending is not None and run.resolved is not None
    settings = run.resolved.settings
    reason = diagnosis.explain(diagnosis.Facts(run.ending, first_failure.tail(run), settings.grace))
    if not run.ending.succeeded:
        several = run.job is not None and (run.job.cluster.size > 1 or run.job.cluster.slots > 1)
        first = f". {first_failure.words(run.first_failure)}" if several and run.first_failure else ""
        return Outcome(run.ending.exit_code, reason.id, str(reason).rstrip(".") + first)
    if run.failure is not None:  # of ours, after a command that did its work
        words = f"the command succeeded, but {run.failed_step} failed"
        return Outcome(run.failure.code, run.failure.id, f"{words}: {run.failure}", f"{words}, as said above")
    undelivered = _undelivered(run)
    if undelivered is not None and not settings.allow_undelivered:
        return Outcome(undelivered.code, undelivered.id, str(undelivered))
    return Outcome(0, reason.id, reason.text)


def _undelivered(run: Run) -> BootstrapError | None:
    """What was to be delivered and is not, or not all of it; keys that ended meanwhile are a cause of their own."""
    assert run.job is not None
    complete = {delivery.output for delivery in run.deliveries if delivery.complete}
    lost = [output for output in run.job.delivered_outputs if output not in complete]
    if not lost:
        return None
    what = "the command succeeded, but its outputs were not all delivered"
    where = ", ".join(f"{output.directory} -> {shown(output.url)}" for output in lost)
    errors = [delivery.error for delivery in run.deliveries if delivery.error]
    if errors:
        error = next((error for error in errors if isinstance(error, CredentialsExpired)), errors[0])
        why = f"{error.what} ({error.where}): {error.why}"
        if isinstance(error, CredentialsExpired):
            remedy = f"the files are still on disk as named above; {error.remedy}"
            return CredentialsExpired(what, where=where, why=why, remedy=remedy)
        remedy = f"{error.remedy}; what the command left is still on disk; --allow-undelivered makes this a warning"
        return OutputsUndelivered(what, where=where, why=why, remedy=remedy)
    files = sum(len(delivery.report.failed) for delivery in run.deliveries if delivery.report)
    failed = "1 file" if files == 1 else f"{files} files"
    return OutputsUndelivered(what, where=where, why=f"{failed} failed" if files else "the time was up")
