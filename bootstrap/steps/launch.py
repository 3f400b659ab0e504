"""Step 5, launch: the command in its environment, supervised, its bytes on stdout and in the log file."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..assemble import INSIDE
from ..credentials.handover import for_command
from ..ground import open_files
from ..ground.log_names import of_attempt
from ..ground.safe_files import open_named
from ..job import AskedBy, Ending, Job
from ..launchers import around
from ..launchers.plan import Plan, Situation
from ..launchers.python.activate import activate
from ..peers.group import Group
from ..process.command.environment import child_environment
from ..process.command.resolve import Executable, resolve, shown
from ..process.output.logfile import end_of_tails
from ..process.output.pty import Relay
from ..process.supervise import earlier
from ..process.supervise.launch import Launch
from ..process.supervise.restarts import supervise_with_restarts, worth_a_retry
from ..reporting.record import utc
from ..results import Access, Decided, Link, Seen
from ..run import Run, StopAsked
from ..sampling.background import Sampling
from ..sampling.options import SamplingOptions
from ..settings import knobs, variable
from ..storage.schemes import secret_variables
from ..values import asdict, replace
from ..variables import is_told
from . import conclude, evidence
from .explaining import samples

if TYPE_CHECKING:
    from ..diagnosis import Diagnosis
    from ..network.interfaces import Interface

_NOTHING_WRONG = {"schema": 1, "id": "success", "class": "none", "evidence": [], "also_seen": []}
_READ = 4 << 20  # bytes of a log's end that a diagnosis looks at, where they are not in its file
_GLANCE = 16 << 10  # bytes of a successful command's log that are looked at
_LAST_WORDS = 2.0  # seconds for node 0's exit code, once its failure is known


def step(run: Run, decided: Decided, access: Access, link: Link, group: Group) -> Seen:
    """Make the environment, have the launcher plan, wait for the others where that is wished, and run it.

    Raises :class:`StopAsked` when a stop is asked for before the command has been started.
    """
    job, chosen, stop, log = decided.job, decided.settings, run.signals.stop, run.console
    environ = _with_python(run, decided, command_environment(decided, access))
    if link.outputs is not None:
        environ.update(link.outputs.environment())
    situation = situation_of(job, link.interface, environ)
    launcher, plan = around.make_plan(
        chosen.launcher, situation, job.work_dir, deadline_s=chosen.peer_timeout, stop=stop, log=log
    )
    environ = around.environment(plan, environ, several_nodes=job.cluster.size > 1, log=log)
    run.record.update(
        launcher={"name": launcher, "command": list(plan.command)},
        set_for_command={name: f"{value} ({why})" for name, value, why in plan.variables},
    )
    group.write_addresses(Path(job.work_dir), log)
    around.write_files(plan)
    command = None if plan.follows_node_0 else _found(run, decided, plan, environ)
    if chosen.barrier:
        arrivals = group.barrier(run.record.durations(), deadline_s=chosen.peer_timeout, stop=stop, log=log)
        run.record.update(
            barrier=[{"node": one.rank, "host": one.host, "took": one.took, "after": one.after} for one in arrivals]
        )
    if stop.is_set():
        raise StopAsked
    group.on_look(partial(_asked_to_look, run, group))
    if chosen.on_peer_failure != "stop":
        group.looked()  # nobody need wait for it: at another node's failure this one goes on
    gone = run.until(run.plan.gone_after)
    if link.outputs is not None:
        link.outputs.start()
    with (
        _sampling(run, decided, link, environ),
        around.beside(
            plan, environ, job.work_dir, deadline_s=chosen.peer_timeout, stop=stop, over=gone, log=log
        ) as process,
    ):
        if command is None:
            ending = follow(run, group, process)
            seen = Seen(ending, why(run, decided, link, ending, environ, follows=True), launcher, follows=True)
        else:
            log.info(f"{shown(plan.command, run.record.mask)} in {job.work_dir}")
            ending = _supervised(run, decided, access, link, group, command, environ)
            seen = Seen(ending, why(run, decided, link, ending, environ, plan.command), launcher)
            # the others leave the engine while what is beside the command still answers
            group.tell(conclude.facts_of_command(decided, seen), seen.ending.exit_code)
    seen = replace(seen, evidence=evidence.of_command(run, decided, environ, seen.diagnosis))
    for note in seen.ending.notes:
        log.warning(note)
    _tell_log(run, decided, seen)
    return seen


def _sampling(run: Run, decided: Decided, link: Link, environ: Mapping[str, str]) -> Sampling:
    """Samples of the machine into a file of this attempt's."""
    job = decided.job
    path = Path(samples(job))
    if run.record.attempt > 1:  # an earlier attempt's, in this container
        with suppress(OSError):
            path.replace(path.with_name(of_attempt(path.name, run.record.attempt - 1)))
    scratch = environ.get("TMPDIR") or "/tmp"  # the command's, as its tempfile will find it
    disks = (job.job_dir, *(output.directory for output in job.delivered_outputs), job.run_dir, scratch)
    interface = link.interface.name if link.interface is not None else ""
    return Sampling(
        SamplingOptions(str(path), decided.settings.sample_interval, disks, interface, environ.get("PATH", "")),
        run.console,
    )


def _tell_log(run: Run, decided: Decided, seen: Seen) -> None:
    """How it ended and why into the record and, of a failure, at the end of the log, before that is delivered."""
    if seen.diagnosis is None:
        run.record.update(user=_told(seen.ending), diagnosis=_NOTHING_WRONG)
        return
    from ..diagnosis.telling import log_text

    verdict = seen.diagnosis.verdict
    run.record.update(user=_told(seen.ending), diagnosis=verdict.recorded(decided.language))
    if not seen.ending.succeeded:
        run.append_to_log(log_text(verdict, seen.ending.exit_code, decided.language))


def command_environment(decided: Decided, access: Access) -> dict[str, str]:
    """What the command sees: the container's environment, without strangers' and our own variables, with ours for it.

    Nothing that the user or the platform has set is overwritten. What a launcher adds comes later.
    """
    job, environ = decided.job, decided.asked.environ
    add, remove = for_command(
        environ, decided.settings.pass_credentials, access.decrypted, access.keyring.values(), secret_variables()
    )
    for name, value in job.facts.environ.items():
        add.setdefault(name, value)
    if job.output_dir:
        add["BOOTSTRAP_OUTPUT_DIR"] = job.output_dir
    add[INSIDE] = job.run_dir
    add[earlier.SUPERVISOR] = earlier.mark()
    # A command that is itself a bootstrap must not fetch our code and deliver our outputs once more.
    ours = [variable(name) for name, _, _ in knobs() if variable(name) in environ]
    ours = [name for name in ours if not is_told(name, environ)]
    return child_environment(
        environ, job_dir=job.job_dir, work_dir=job.work_dir, remove=[*job.facts.remove, *remove, *ours], add=add
    )


def _with_python(run: Run, decided: Decided, environ: dict[str, str]) -> dict[str, str]:
    """``environ`` with the Python that was asked for, and the code's requirements in it."""
    chosen = decided.settings
    made = activate(
        decided.job,
        environ,
        conda_env=chosen.conda_env,
        venv=chosen.venv,
        with_requirements=chosen.requirements,
        stop=run.signals.stop,
        log=run.console,
        mask=run.record.mask,
    )
    if made.prefix is not None:
        run.record.update(python=str(made.prefix))
    if made.requirements is not None:
        run.record.update(requirements={"file": str(made.requirements), "seconds": round(made.seconds, 3)})
    return made.environ


def situation_of(job: Job, interface: Interface | None, environ: Mapping[str, str]) -> Situation:
    """What a launcher is told; ``interface``: the one between the nodes."""
    interfaces: tuple[str, ...] = ()
    if interface is not None:
        from ..network.interfaces import names  # a job of one node never asks

        interfaces = names()
    return Situation(
        job.cluster,
        job.command,
        environ,
        interface=interface.name if interface and not interface.loopback else "",
        address=interface.address if interface else "",
        interfaces=interfaces,
        directory=job.run_dir,
        job_id=job.facts.job_id,
    )


def _found(run: Run, decided: Decided, plan: Plan, environ: dict[str, str]) -> Executable:
    """The command as it will be executed; the user's own program must be there as well: a launcher finds out late."""
    job, chosen = decided.job, decided.settings
    find = partial(resolve, cwd=job.work_dir, environ=environ, job_dir=job.job_dir)
    if program := around.program_of(job.command, plan):
        find(program)
    on_terminal = chosen.pty == "yes" or (chosen.pty == "auto" and Relay.of() is not None)
    # there every program writes line by line by itself
    asked = decided.resolved.by_person("line_buffered")
    found = find(plan.command, line_buffered=chosen.line_buffered and not on_terminal, below_shells=asked)
    for warning in found.warnings:
        run.console.warning(warning)
    return found


def _supervised(
    run: Run, decided: Decided, access: Access, link: Link, group: Group, command: Executable, environ: dict[str, str]
) -> Ending:
    job, chosen = decided.job, decided.settings
    relay = Relay.of() if chosen.pty != "no" else None
    with run.console.behind(relay):
        return supervise_with_restarts(
            Launch(
                command.argv,
                environ,
                job.work_dir,
                executable=command.executable,
                log_path=job.log_file,
                unwritten=run.unwritten,
                stderr_path=os.path.abspath(chosen.stderr_file) if chosen.stderr_file else None,
                pty=chosen.pty == "yes",
                relay=relay,
                stop_signal=signal.Signals[f"SIG{chosen.stop_signal}"],
                stop_to=chosen.stop_to,
                wait_for_output=chosen.wait_for_output,
                plan=run.plan,
                timeout=chosen.timeout or None,
                stall_timeout=chosen.stall_timeout or None,
                stall_is_silence=chosen.stall_when == "no-output",
                stacks_path=evidence.stacks(job),
                look=group.look,
                looked=lambda wait: group.looked(run.until(0.0) if wait else None),
                log_limit=chosen.log_limit or None,
                compact=chosen.compact_log,
                stop_file_path=os.path.join(job.run_dir, "stop.json"),
                secrets=run.secrets,
                starting=partial(_limits_as_before, access),
                score=access.score,
            ),
            run.signals,
            run.console,
            max_restarts=chosen.max_restarts,
            refresh=link.outputs.on_disk if link.outputs is not None else lambda ending: {},
            retry=partial(_may_pass, run, decided, link, environ, command.argv),
        )


def _asked_to_look(run: Run, group: Group, why: str) -> None:
    """Another node is about to stop its command: in a thread of the session's."""
    run.console.info(f"another node is about to stop its command ({why}): what this one's does is written down")
    if run.signals.supervising:
        run.signals.request_look(why)
    else:
        group.looked()


@contextmanager
def _limits_as_before(access: Access) -> Iterator[None]:
    """The command inherits the limits that the container gave us, not those that we have set for ourselves."""
    with access.before.as_before_for_children(), open_files.as_before_for_children():
        yield


def _may_pass(
    run: Run, decided: Decided, link: Link, environ: dict[str, str], words: Sequence[str], ending: Ending
) -> bool:
    """Whether another life may end better: what cannot be cured by it is not tried again."""
    if not worth_a_retry(ending):
        return False
    from ..diagnosis import RetryAdvice

    found = why(run, decided, link, ending, environ, words)
    if found is None or found.verdict.retry is not RetryAdvice.NO:
        return True
    verdict = found.verdict
    run.console.warning(f"not started again: {verdict.text.to(decided.language)} [{verdict.id}]")
    return False


def why(
    run: Run,
    decided: Decided,
    link: Link,
    ending: Ending,
    environ: dict[str, str],
    words: Sequence[str] = (),
    *,
    follows: bool = False,
) -> Diagnosis | None:
    """The diagnosis of one life of the command, ``words``; where node 0 runs this node's processes, the evidence is
    there. None for a success that left no traceback: the rules are not even imported then.
    """
    job, chosen = decided.job, decided.settings
    behind = end_of_tails(job.log_file, _READ) + run.unwritten.of_this_life
    if ending.succeeded and (follows or not _left_a_traceback(job.log_file, ending.log_start, behind)):
        return None
    from ..diagnosis import Facts, Machine, Places, diagnose, find_workers, read_end
    from ..diagnosis.explain import IDLE, SILENT

    lines = [] if follows else read_end(job.log_file, ending.log_start, behind)
    first_rank = job.cluster.node_rank * (job.cluster.slots or 1)
    inside = (job.run_dir, job.job_dir, *(output.directory for output in job.outputs))
    places = Places.of(job.work_dir, inside, [*words, *job.command], environ)
    unread = follows or ending.succeeded
    return diagnose(
        Facts(
            ending,
            lines,
            Machine(job.work_dir, job.job_dir),
            first_rank=first_rank,
            grace=chosen.grace,
            silence=chosen.stall_timeout,
            silence_of=SILENT if chosen.stall_when == "no-output" else IDLE,
            stacks=evidence.stacks_will_be(run, decided, link),
            workers=[] if unread else find_workers(lines, places, since=ending.life_started, first_rank=first_rank),
        )
    )


def _left_a_traceback(log_file: str, start: int, behind: bytes) -> bool:
    """Whether the last words of the command, of which the log has all from the byte ``start`` on and ``behind`` it is
    what its disk did not take, are a traceback.
    """
    try:
        with open(open_named(log_file, os.O_RDONLY), "rb") as log:
            log.seek(max(start, os.fstat(log.fileno()).st_size - _GLANCE))
            end = log.read(_GLANCE)
    except OSError:
        end = b""
    return b"Traceback (most recent call last)" in (end + behind)[-_GLANCE:]


_SHOWN = 100  # processes that were asked to end, in the record


def _told(ending: Ending) -> dict[str, object]:
    """How the command ended, for the record."""
    return {
        "status": ending.status,
        "signal": ending.signal,
        "exit_code": ending.exit_code,
        "asked_by": ending.asked_by.value,
        "out_of_memory": asdict(ending.out_of_memory) if ending.out_of_memory else None,
        "started": utc(ending.started),
        "ended": utc(ending.ended),
        "seconds": round(ending.ended - ending.started, 3),
        "attempts": ending.attempts,
        "notes": list(ending.notes),
        "signalled": [
            {"pid": one.pid, "name": one.name, "signal": one.signal, "why": one.why, "at": utc(one.at)}
            for one in ending.signalled[:_SHOWN]
        ],
        "cut_short": list(ending.cut_short),
    }


def follow(run: Run, group: Group, process: around.Beside | None) -> Ending:
    """Stay until node 0's command ends; its exit code is ours.

    Raises :class:`CannotStart` when ``process``, what this node does for node 0, ends before.
    """
    session, signals = group.session, run.signals
    assert session is not None  # a launcher that starts everything from node 0 has had the nodes meet
    started = time.time()
    run.console.info("this node stays until node 0's command ends")
    code = session.wait_for_node_0(process or signals.stop)
    if code is None and process is not None:
        process.check()
    if code is None and signals.asked_by is AskedBy.PEER:  # the bad news comes a moment before the code
        code = session.wait_for_node_0(_Moment(_LAST_WORDS))
    if code is not None:
        return Ending(code, started=started, ended=time.time(), notes=("the exit code is node 0's",))
    by = signals.asked_by if signals.stop.is_set() else AskedBy.PEER
    notes = ("node 0's end was not waited for",)
    return Ending(None, run.stop_signal, by, started=started, ended=time.time(), notes=notes)


class _Moment:
    """A :class:`bootstrap.job.StopRequest` that comes after some seconds."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def is_set(self) -> bool:
        return time.monotonic() >= self._end

    def wait(self, timeout: float | None = None) -> bool:
        left = max(0.0, self._end - time.monotonic())
        time.sleep(left if timeout is None else min(left, timeout))
        return self.is_set()
