"""What a launcher's plan asks for around the command: variables, files, an engine's own process beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from ..errors import CannotStart, CommandNotFound, NameUnresolved, PathUnusable, PeersMissing
from ..ground import open_files
from ..ground.argv import as_python
from ..ground.safe_files import replace_own
from ..job import Cluster, Log, StopRequest
from ..values import replace
from .decide import Decision, decide
from .engines import direct
from .plan import Plan, Situation
from .table import LAUNCHERS

_TIDY = 5.0  # seconds for an engine's process to end all of its own
_LOOK = 0.05


class Planned(NamedTuple):
    """The launcher that was chosen, and what it has planned."""

    launcher: str
    plan: Plan


def make_plan(
    name: str, situation: Situation, work_dir: str, *, deadline_s: float, stop: StopRequest, log: Log
) -> Planned:
    """This node's plan with the launcher ``name``, unless the command asks for another: :mod:`.decide`.

    Raises :class:`NameUnresolved` where a launcher wants an address and there is none within ``deadline_s`` seconds.
    """
    decision = decide(name, situation.command, situation.cluster, work_dir, situation.environ)
    for text in decision.notes:
        log.info(text)
    for text in decision.warnings:
        log.warning(text)
    if decision.by_address:
        try:
            cluster = _with_addresses(situation.cluster, deadline_s=deadline_s, stop=stop, log=log)
            situation = replace(situation, cluster=cluster)
        except NameUnresolved as error:
            if name != direct.NAME:
                raise
            log.warning(f"the command is run as it is: {error}")  # nobody has asked for a launcher
            decision = Decision(LAUNCHERS[name])
    name, made = decision.launcher.name, decision.plan(situation)
    if name == direct.NAME:
        for text in direct.advice(situation.cluster, situation.environ):
            log.warning(text)
        made = replace(made, notes=())
    return Planned(name, made)


def _with_addresses(cluster: Cluster, *, deadline_s: float, stop: StopRequest, log: Log) -> Cluster:
    """The cluster with node 0's address and our own, where the nodes have not met: as the name service knows them."""
    wanted = [node for node in (cluster.master, cluster.me) if node.host and not node.address]
    if cluster.size == 1 or not wanted:
        return cluster
    from ..network.resolve import resolve_all  # a single node asks for no name

    found = resolve_all([node.host for node in wanted], deadline_s=deadline_s, stop=stop, log=log)
    nodes = [replace(node, address=found[node.host][0]) if node in wanted else node for node in cluster.nodes]
    return replace(cluster, nodes=tuple(nodes))


def environment(made: Plan, environ: Mapping[str, str], *, several_nodes: bool, log: Log) -> dict[str, str]:
    """``environ`` as the plan wants it; what was added and removed is said, with the reason."""
    after = {name: value for name, value in environ.items() if name not in {gone.name for gone in made.remove}}
    after.update({variable.name: variable.value for variable in made.variables})
    for gone in made.remove:
        log.info(f"removed for the command: {gone.name} ({gone.why})")
    said = [variable for variable in made.variables if not variable.name.startswith("BOOTSTRAP_")]
    if said and several_nodes:
        log.info("set for the command: " + ", ".join(f"{name}={value}" for name, value, _ in said))
    return after


def write_files(made: Plan) -> None:
    """The plan's files. Raises :class:`PathUnusable`."""
    for file in made.files:
        path = Path(file.path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_own(path, file.text.encode("utf-8", "surrogateescape"), 0o755 if file.executable else 0o644)
        except OSError as error:
            raise PathUnusable("a file for the launcher cannot be written", where=file.path, why=str(error)) from error


@contextmanager
def beside(
    made: Plan,
    environ: Mapping[str, str],
    directory: str,
    *,
    deadline_s: float,
    stop: StopRequest,
    over: StopRequest,
    log: Log,
) -> Iterator[Beside | None]:
    """What the plan has run beside the command: started and ready inside the block, and ended behind it, come what may.

    Ports are waited for ``deadline_s`` seconds each; ``over`` ends what hangs at its end. Raises :class:`PeersMissing`
    for a port that does not answer, :class:`CannotStart` or :class:`CommandNotFound` for a process that does not start
    or ends too early.
    """
    for note in made.notes:
        log.info(note)
    if made.beside_needs is None and not made.beside:
        yield None
        return
    from ..network.reach import wait_for_port  # which a plan with nothing beside the command need not load

    if made.beside_needs is not None:
        wait_for_port(*made.beside_needs, deadline_s=deadline_s, stop=stop, log=log)
    if not made.beside:
        yield None
        return
    log.info(" ".join(made.beside))
    process = Beside(made.beside, environ, directory, stop)
    try:
        if made.beside_opens is not None:
            try:
                wait_for_port(*made.beside_opens, deadline_s=deadline_s, stop=process, log=log)
            except PeersMissing:
                process.check()
                raise
        yield process
    finally:
        process.end(over)


class Beside:
    """A process of the engine's. As a :class:`bootstrap.job.StopRequest` it says that waiting for anything that needs
    it has no point any more: somebody asked for a stop, or it has ended by itself.
    """

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str], directory: str, stop: StopRequest) -> None:
        import tempfile  # few engines have such a process

        self._text, self._stop = " ".join(argv), stop
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  its output matters only if it fails, and then later
        try:
            with open_files.as_before_for_children():
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

    def end(self, over: StopRequest) -> None:
        """TERM to itself, so that it tidies up, and then, or after some seconds, KILL to what is left of its group."""
        self._process.terminate()
        until = time.monotonic() + _TIDY
        while time.monotonic() < until and not over.is_set():
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_LOOK)
                break
        with suppress(ProcessLookupError):  # nothing is left
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._said.close()


def program_of(asked: tuple[str, ...], made: Plan) -> tuple[str, ...]:
    """The user's own Python program, which must be there for the plan to make sense: a launcher finds out late."""
    python = as_python(asked) if made.command != asked else None
    return (python.interpreter, *python.program) if python else ()
