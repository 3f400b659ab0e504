"""Step 7, conclude: why it ended, in words; the right exit code."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import BootstrapError, CredentialsExpired, NodeLost, OutputsUndelivered, PeersMissing, ProcessesCutShort
from ..ground.abandonable import unless
from ..ground.safe_files import is_own
from ..job import AskedBy, Ending, Job
from ..peers import first_failure
from ..process.output.logfile import parts
from ..reporting.console import Silence
from ..reporting.language import Lang, Words
from ..reporting.prose import counted, duration
from ..results import Decided, Found, Seen
from ..run import Run
from ..storage.model.url import shown
from ..storage.schemes import parse
from ..values import dataclass
from .explaining import reported

if TYPE_CHECKING:
    from ..diagnosis import Verdict
    from ..outputs.delivery import Delivery


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of the run: our exit code, the id of its cause, and the reason for the person who reads it.

    ``words`` is what the console says at the end, where the whole reason has been said already.
    """

    exit_code: int
    id: str
    reason: str
    words: str = ""
    told: tuple[tuple[str, str], ...] = ()
    """What the console says below that, each on a line of its own behind its mark (seen, hint, retry)."""

    def __post_init__(self) -> None:
        if not self.words:
            object.__setattr__(self, "words", self.reason)


def step(run: Run, found: Found, deliveries: Sequence[Delivery]) -> int:
    """Say it, record it, and deliver the record; returns the exit code."""
    first = settle(run, found)
    outcome = decide(run, found, deliveries, first)
    run.record.end("ok")  # already, so that the record that is delivered is a whole one
    run.record.conclude(outcome.exit_code, outcome.id, outcome.reason)
    say = run.console.info if outcome.exit_code == 0 else run.console.error
    words = f"{outcome.words} [{outcome.id}, exit {outcome.exit_code}]"
    say(words)
    for mark, text in outcome.told:
        say(text, mark=mark)
    if outcome.exit_code != 0:
        _tell_kubernetes(run, found, [words, *(f"{mark}: {text}" for mark, text in outcome.told)])
    if run.log_file is not None:  # delivered by now as it is to be
        run.unwritten.state_in(parts(str(run.log_file))[-1][1])
    if not unless(run.until(run.plan.end_at), lambda: _take_leave(run, found)):
        run.left_behind = True
    if run.left_behind:
        # Threads of libraries that hang in a socket would be waited for by an orderly exit, for minutes.
        sys.stdout.flush()
        os._exit(outcome.exit_code)
    gc.freeze()  # else Python searches all modules for garbage once more: 10 ms between the command's end and ours
    return outcome.exit_code


# --- who failed first, of all nodes ---------------------------------------------------------------------------------


def tell_others(run: Run, found: Found) -> None:
    """How this node ended, to the other nodes, if it has not been told yet."""
    if found.group is None:
        return
    found.group.tell(own_facts(run, found), own_code(run, found))


def own_facts(run: Run, found: Found) -> dict[str, object]:
    """What there is to tell of this node, in the order of :func:`decide`; nothing if it did not fail by itself."""
    if found.seen is not None and found.decided is not None:
        return facts_of_command(found.decided, found.seen)
    if run.stopped_in:  # a delivery that failed behind it is not why this node ended
        by_peer = run.signals.asked_by is AskedBy.PEER
        return {} if by_peer else {"step": run.stopped_in, "why": run.signals.why}
    if run.failure is not None:
        return {"step": run.failure.step, "error": run.failure.error.id, "why": str(run.failure.error)}
    return {}


def own_code(run: Run, found: Found) -> int:
    """The exit code that goes with it."""
    if found.seen is not None:
        return found.seen.ending.exit_code
    return run.failure.error.code if run.failure and not run.stopped_in else 128 + run.stop_signal


def facts_of_command(decided: Decided, seen: Seen) -> dict[str, object]:
    """The same, where the command has run."""
    job = decided.job
    return first_failure.of_command(
        seen.ending, seen.diagnosis, cluster=job.cluster, launcher=seen.launcher, follows=seen.follows
    )


def settle(run: Run, found: Found) -> dict[str, Any] | None:
    """Which node failed first, if any did, once that is known or nobody tells."""
    if found.decided is None:
        return None
    facts = own_facts(run, found)
    if found.group is not None:
        first = found.group.first_failure(facts, run.until(run.plan.deliver_until))
    elif isinstance(run.failure and run.failure.error, PeersMissing):
        first = None  # whoever was missing at the meeting may have failed long before, and we do not know
    else:
        first = first_failure.alone(found.decided.job.cluster, facts) if facts else None
    if first is not None:
        run.record.update(first_failure=first)
    return first


def _tell_kubernetes(run: Run, found: Found, lines: Sequence[str]) -> None:
    from ..diagnosis.telling import write_termination_log

    if found.decided is not None:
        write_termination_log(found.decided.settings.termination_log, lines, run.record.mask)


# --- one exit code --------------------------------------------------------------------------------------------------


def decide(run: Run, found: Found, deliveries: Sequence[Delivery], first: dict[str, Any] | None = None) -> Outcome:
    """One exit code out of two results. The user's own failure always wins: it is what they must look at first."""
    if found.decided is not None and found.seen is not None:
        return _after_command(run, found.decided, found.seen, deliveries, first)
    if run.stopped_in:
        return Outcome(
            128 + run.stop_signal,
            "stopped-by-peer" if run.signals.asked_by is AskedBy.PEER else "stopped-early",
            f"stopped in step {run.stopped_in}, before the command: {run.signals.why}",
        )
    if run.failure is not None:
        code = run.failure.error.code
        if run.failure.of_code and found.decided is not None:
            code = found.decided.settings.code_failure_exit or code
        words = f"the command was not started, because {run.failure.step} failed"
        told = _own(run, found, run.failure.error)
        return Outcome(code, run.failure.error.id, f"{words}: {run.failure.error}", f"{words}, as said above", told)
    return Outcome(100, "internal", "the command was not started")


def _after_command(
    run: Run, decided: Decided, seen: Seen, deliveries: Sequence[Delivery], first: dict[str, Any] | None
) -> Outcome:
    job, settings, ending = decided.job, decided.settings, seen.ending
    verdict = seen.diagnosis.verdict if seen.diagnosis is not None else None
    if verdict is not None and not ending.succeeded:
        several = job.cluster.size > 1 or job.cluster.slots > 1
        blame = f". {first_failure.words(first)}" if several and first else ""
        if first and first["lost"] and ending.asked_by in (AskedBy.PEER, AskedBy.NOBODY):  # not of the command's making
            lost = f"{first_failure.words(first)}; this node's command then ended: {str(verdict).rstrip('.')}"
            return Outcome(NodeLost.code, NodeLost.id, lost)
        lang = decided.language
        whole = str(verdict).rstrip(".") + blame
        return Outcome(ending.exit_code, verdict.id, whole, verdict.text.to(lang) + blame, tuple(verdict.lines(lang)))
    if run.failure is not None:  # of ours, after a command that did its work
        words = f"the command succeeded, but {run.failure.step} failed"
        return Outcome(
            run.failure.error.code, run.failure.error.id, f"{words}: {run.failure.error}", f"{words}, as said above"
        )
    undelivered = _undelivered(job, deliveries)
    if undelivered is not None and not settings.allow_undelivered:
        said = any(delivery.error for delivery in deliveries)  # the whole paragraph, when it happened
        words = "the command succeeded, but its outputs were not all delivered, as said above" if said else ""
        return Outcome(undelivered.code, undelivered.id, str(undelivered), words)
    if ending.cut_short and job.outputs and not settings.allow_undelivered:
        cut = _cut_short(job, ending, waited=settings.wait_for_output)
        return Outcome(cut.code, cut.id, str(cut))
    return Outcome(
        0,
        "success",
        "the command succeeded",
        _success(job, settings.log, ending, deliveries),
        _although(verdict, decided.language),
    )


def _success(job: Job, log: str, ending: Ending, deliveries: Sequence[Delivery]) -> str:
    """``succeeded in 12 min 3 s · log obs://bucket/logs/ · 3 files to obs://bucket/models/``: what people look for."""
    words = [f"succeeded in {duration(ending.ended - ending.started)}", f"log {shown(log) if log else job.log_file}"]
    for delivery in deliveries:
        if delivery.report is not None:
            files = delivery.report.files + delivery.report.skipped
            lost = f" ({len(delivery.undelivered)} not delivered)" if delivery.undelivered else ""
            words.append(f"{counted(files, 'file')} to {shown(str(delivery.target))}{lost}")
    return " · ".join(words)


def _own(run: Run, found: Found, error: BootstrapError) -> tuple[tuple[str, str], ...]:
    """A failure of ours in the record's ``diagnosis``, as any other; what is told of it below what has been said."""
    from ..diagnosis.own import of_error

    lang = found.decided.language if found.decided is not None else "en"
    verdict = of_error(error)
    run.record.update(diagnosis=verdict.recorded(lang))
    # its English remedy has been said with it
    return tuple(
        (mark, text) for mark, text in verdict.lines(lang) if mark == "retry" or (mark, lang) == ("hint", "zh")
    )


def _although(verdict: Verdict | None, lang: Lang) -> tuple[tuple[str, str], ...]:
    """A traceback at the end of a command that succeeded is worth a word."""
    if verdict is None or not verdict.also_seen:
        return ()
    words = Words("a traceback at the end, although the exit status is 0", "退出状态为 0，但输出末尾有 traceback")
    return (("seen", f"{words.to(lang)}: {verdict.also_seen[0].to(lang)}"),)


def _undelivered(job: Job, deliveries: Sequence[Delivery]) -> BootstrapError | None:
    """What was to be delivered and is not, or not all of it; keys that ended meanwhile are a cause of their own."""
    complete = {delivery.output for delivery in deliveries if delivery.complete}
    lost = [output for output in job.delivered_outputs if output not in complete]
    if not lost:
        return None
    what = "the command succeeded, but its outputs were not all delivered"
    where = ", ".join(f"{output.directory} -> {shown(output.url)}" for output in lost)
    errors = [delivery.error for delivery in deliveries if delivery.error]
    if errors:
        error = next((error for error in errors if isinstance(error, CredentialsExpired)), errors[0])
        why = f"{error.what} ({error.where}): {error.why}"
        if isinstance(error, CredentialsExpired):
            remedy = f"the files are still on disk as named above; {error.remedy}"
            return CredentialsExpired(what, where=where, why=why, remedy=remedy)
        remedy = f"{error.remedy}; what the command left is still on disk; --allow-undelivered makes this a warning"
        return OutputsUndelivered(what, where=where, why=why, remedy=remedy)
    files = sum(len(delivery.report.failed) for delivery in deliveries if delivery.report)
    failed = "1 file" if files == 1 else f"{files} files"
    return OutputsUndelivered(what, where=where, why=f"{failed} failed" if files else "the time was up")


def _cut_short(job: Job, ending: Ending, *, waited: bool) -> BootstrapError:
    """The command left processes behind that may have been about to write the outputs that are ordered. ``waited``: who
    held its output has been waited for already.
    """
    return ProcessesCutShort(
        "the command succeeded, but left processes at work, which were ended: outputs may be missing",
        where=", ".join(output.directory for output in job.outputs),
        why=", ".join(ending.cut_short),
        remedy="`wait` in the script for what it starts with `&`" if waited else "",
    )


def _take_leave(run: Run, found: Found) -> None:
    _deliver_record(run, found)
    if found.group is not None:
        found.group.leave(run.console)


def _deliver_record(run: Run, found: Found) -> None:
    """The record goes last, so that whoever finds it knows that all the rest has been tried."""
    end = run.until(run.plan.end_at)
    decided, access = found.decided, found.access
    page = reported(run, found)
    if decided is None or access is None or not decided.job.log:
        return
    from ..shipping.ending import deliver_files, until_it_works  # which a job without a log URL need not load
    from ..shipping.evidence import as_called
    from ..storage.model.light_writer import Inline

    lines, record = decided.record_files
    shipper, told = found.link.shipper if found.link is not None else None, False
    try:
        target, put = parse(decided.job.log), found.link.put if found.link is not None else as_called
        files = [*([lines] if is_own(lines) else []), *page]
        for path, why in deliver_files(access.stores, target, files, put=put, stop=end, log=Silence()):
            if path in page:
                run.console.warning(f"the report was not delivered and stays in {path}: {why}")
        if shipper is not None and shipper.succession.overtaken:
            run.record.update(overtaken_by=shipper.succession.overtaken_by)
        text, writer = Inline(run.record.text().encode()), access.stores.open(target).light_writer()
        put(record.name, lambda name: until_it_works(lambda: writer.put(target.child(name).path, text), end))
        told = True
    except BootstrapError as error:
        run.console.warning(f"the run record was not delivered and stays in {decided.job.run_dir}: {error}")
    if shipper is not None:
        shipper.close(end, told=told)
