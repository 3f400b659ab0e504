"""What a launcher's plan asks for around the command: variables, files, an engine's own process beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from ..errors import CannotStart, CommandNotFound, PathUnusable, PeersMissing
from ..job import AskedBy, Ending, Job, StopRequest
from ..launchers import direct
from ..launchers.plan import Plan, Situation, as_python
from ..launchers.table import plan
from ..network.reach import wait_for_port
from .run import Run

_LAST_WORDS = 2.0  # seconds for node 0's exit code, once its failure is known
_TIDY = 5.0  # seconds for an engine's process to end all of its own
_LOOK = 0.05


def make_plan(run: Run, job: Job, environ: Mapping[str, str]) -> Plan:
    """This node's plan with the launcher that was chosen, for a command that would otherwise get ``environ``."""
    assert run.resolved is not None
    name = run.resolved.settings.launcher
    if name == "auto":
        from ..launchers import auto

        name, reason = auto.choose(job.command, job.cluster, job.work_dir)
        run.console.info(f"launcher {name}: {reason}")
    interface = run.interface
    made = plan(
        name,
        Situation(
            job.cluster,
            job.command,
            environ,
            interface=interface.name if interface and not interface.loopback else "",
            address=interface.address if interface else "",
            directory=job.run_dir,
            job_id=job.facts.job_id,
        ),
    )
    if name == "direct":
        for text in direct.advice(job.cluster, environ):
            run.console.warning(text)
        made = replace(made, notes=())
    run.launcher = name
    run.record.update(launcher={"name": name, "command": list(made.command)})
    return made


def environment(run: Run, job: Job, made: Plan, environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` as the plan wants it; what was added and removed is said, with the reason."""
    after = {name: value for name, value in environ.items() if name not in {gone.name for gone in made.remove}}
    after.update({variable.name: variable.value for variable in made.variables})
    for gone in made.remove:
        run.console.info(f"removed for the command: {gone.name} ({gone.why})")
    said = [variable for variable in made.variables if not variable.name.startswith("BOOTSTRAP_")]
    if said and job.cluster.size > 1:
        run.console.info("set for the command: " + ", ".join(f"{name}={value}" for name, value, _ in said))
    run.record.update(set_for_command={name: f"{value} ({why})" for name, value, why in made.variables})
    return after


def write_files(made: Plan) -> None:
    """The plan's files. Raises :class:`PathUnusable`."""
    for file in made.files:
        path = Path(file.path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.text)
            path.chmod(0o755 if file.executable else 0o644)
        except OSError as error:
            raise PathUnusable("a file for the launcher cannot be written", where=file.path, why=str(error)) from error


@contextmanager
def beside(run: Run, made: Plan, environ: Mapping[str, str], directory: str) -> Iterator[Beside | None]:
    """What the plan has run beside the command: started and ready inside the block, and ended behind it, come what may.

    Raises :class:`PeersMissing` for a port that does not answer, :class:`CannotStart` or :class:`CommandNotFound` for
    a process that does not start or ends too early.
    """
    assert run.resolved is not None
    for note in made.notes:
        run.console.info(note)
    patience, stop = run.resolved.settings.peer_timeout, run.signals.stop
    if made.beside_needs is not None:
        wait_for_port(*made.beside_needs, deadline_s=patience, stop=stop, log=run.console)
    if not made.beside:
        yield None
        return
    run.console.info(" ".join(made.beside))
    process = Beside(made.beside, environ, directory, stop)
    try:
        if made.beside_opens is not None:
            try:
                wait_for_port(*made.beside_opens, deadline_s=patience, stop=process, log=run.console)
            except PeersMissing:
                process.check()
                raise
        yield process
    finally:
        process.end()


class Beside:
    """A process of the engine's. As a :class:`bootstrap.job.StopRequest` it says that waiting for anything that needs
    it has no point any more: somebody asked for a stop, or it has ended by itself.
    """

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str], directory: str, stop: StopRequest) -> None:
        self._text, self._stop = " ".join(argv), stop
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  its output matters only if it fails, and then later
        try:
            self._process = subprocess.Popen(
                argv,
                env=environ,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise CommandNotFound(f"command not found: {argv[0]}", where=f"PATH={environ.get('PATH', '')}") from error
        except OSError as error:
            raise CannotStart(f"cannot run {self._text}", why=str(error)) from error

    def is_set(self) -> bool:
        return self._stop.is_set() or self._process.poll() is not None

    def wait(self, timeout: float | None = None) -> bool:
        end = None if timeout is None else time.monotonic() + timeout
        while not self.is_set() and (end is None or time.monotonic() < end):
            self._stop.wait(_LOOK)
        return self.is_set()

    def check(self) -> None:
        """Raises :class:`CannotStart` with its last words when it has ended though nobody asked for a stop."""
        if self._stop.is_set() or self._process.poll() is None:
            return
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        last = " | ".join(line.strip() for line in lines[-3:])
        raise CannotStart(
            f"{self._text} failed",
            why=f"exit code {self._process.returncode}: {last}",
            remedy="look at what the engine has written into its own logs",
        )

    def end(self) -> None:
        """TERM to itself, so that it tidies up, and then, or after some seconds, KILL to what is left of its group."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_TIDY)
        with suppress(ProcessLookupError):  # nothing is left
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._said.close()


def follow(run: Run, process: Beside | None) -> Ending:
    """Stay until node 0's command ends; its exit code is ours.

    Raises :class:`CannotStart` when ``process``, what this node does for node 0, ends before.
    """
    assert run.peers is not None
    run.follows = True
    started = time.time()
    run.console.info("this node stays until node 0's command ends")
    code = run.peers.wait_for_end_of(0, process or run.signals.stop)
    if code is None and process is not None:
        process.check()
    if code is None and run.signals.asked_by is AskedBy.PEER:  # the bad news comes a moment before the code
        code = run.peers.wait_for_end_of(0, _Moment(_LAST_WORDS))
    if code is not None:
        return Ending(code, started=started, ended=time.time(), notes=("the exit code is node 0's",))
    by = run.signals.asked_by if run.signals.stop.is_set() else AskedBy.PEER
    number = run.signals.first or signal.SIGTERM
    return Ending(None, number, by, started=started, ended=time.time(), notes=("node 0's end was not waited for",))


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


def program_of(job: Job, made: Plan) -> tuple[str, ...]:
    """The user's own Python program, which must be there for the plan to make sense: a launcher finds out late."""
    python = as_python(job.command) if made.command != job.command else None
    return (python.interpreter, *python.program) if python else ()
