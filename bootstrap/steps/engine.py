"""What a launcher's plan asks for around the command: files, a port to wait for, short commands before and after."""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ..errors import CannotStart, CommandNotFound, PathUnusable
from ..job import AskedBy, Ending, Job
from ..launchers import direct
from ..launchers.plan import Plan, Situation, as_python
from ..launchers.table import plan
from ..network.reach import wait_for_port
from .run import Run

_LAST_WORDS = 2.0  # seconds for node 0's exit code, once its failure is known
_AFTER = 20.0  # seconds for a command that tidies up
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
def around(run: Run, made: Plan, environ: Mapping[str, str], directory: str) -> Iterator[None]:
    """Wait for what must be there, do what comes before the command, and afterwards what comes after it, come what may.

    Raises :class:`PeersMissing` for a port that does not answer, :class:`CannotStart` or :class:`CommandNotFound` for
    a command before the command.
    """
    assert run.resolved is not None
    for note in made.notes:
        run.console.info(note)
    if made.wait_for is not None:
        host, port = made.wait_for
        patience = run.resolved.settings.peer_timeout
        wait_for_port(host, port, deadline_s=patience, stop=run.signals.stop, log=run.console)
    try:
        for argv in made.before:
            _short(run, argv, environ, directory)
        yield
    finally:
        for argv in made.after:
            try:
                _short(run, argv, environ, directory, patience=_AFTER)
            except (CannotStart, CommandNotFound) as error:
                run.console.warning(str(error))


def _short(
    run: Run, argv: Sequence[str], environ: Mapping[str, str], directory: str, patience: float | None = None
) -> None:
    """One short command, whose output matters only if it fails. What it leaves running may keep its output open, so
    that goes to a file. ``patience``: seconds after which it is given up; without it, a request to stop ends it.
    """
    text = " ".join(argv)
    run.console.info(text)
    end = None if patience is None else time.monotonic() + patience
    with tempfile.TemporaryFile() as said:
        try:
            running = subprocess.Popen(
                argv, env=environ, cwd=directory, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
            )
        except FileNotFoundError as error:
            raise CommandNotFound(f"command not found: {argv[0]}", where=f"PATH={environ.get('PATH', '')}") from error
        except OSError as error:
            raise CannotStart(f"cannot run {text}", why=str(error)) from error
        while (code := running.poll()) is None:
            if run.signals.stop.is_set() if end is None else time.monotonic() > end:
                running.kill()
            time.sleep(_LOOK)
        said.seek(0)
        output = said.read().decode(errors="replace")
    run.console.debug(output)
    if code != 0:
        last = " | ".join(line.strip() for line in output.strip().splitlines()[-3:])
        raise CannotStart(f"{text} failed", why=f"exit code {code}: {last}")


def follow(run: Run) -> Ending:
    """Stay until node 0's command ends; its exit code is ours."""
    assert run.peers is not None
    run.follows = True
    started = time.time()
    run.console.info("this node stays until node 0's command ends")
    code = run.peers.wait_for_end_of(0, run.signals.stop)
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
