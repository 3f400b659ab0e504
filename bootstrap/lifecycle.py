"""The life of a training job in a container: seven steps, one page.

1. identify: the environment becomes one :class:`bootstrap.job.Job`: who am I, what must I fetch, run, deliver;
2. unlock: credentials found and decrypted, every secret registered to be masked;
3. connect: the interface and address of this node, the stores that must answer;
4. fetch: code and inputs into the job directory, verified;
5. launch: the command as a supervised child, its bytes on stdout and in the log file;
6. deliver: log and outputs, inside the shutdown budget;
7. conclude: why it ended, in words and in the record; the right exit code.

Whatever fails before, 6 and 7 happen. What the user's command did and what the bootstrap did are two results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from .errors import BootstrapError, InternalError
from .patience import unless
from .process.signals import Signals
from .steps import conclude, connect, deliver, fetch, identify, launch, unlock
from .steps.run import Run


def run(options: Mapping[str, str | Sequence[str] | bool], command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Take one job from boot to exit; returns the exit code. Whatever goes wrong becomes words, a record and a code."""
    with Signals() as signals:
        run = Run(options, command, environ, signals)
        try:
            with boundary(run, "identify"):
                identify.step(run)
            with boundary(run, "unlock"):
                stoppable(run, unlock.step)
            with boundary(run, "connect"):
                stoppable(run, connect.step)
            with boundary(run, "fetch"):
                stoppable(run, fetch.step)
            with boundary(run, "launch"):
                launch.step(run)
        except _Abandoned:
            pass
        try:
            with boundary(run, "deliver"):
                in_time(run, deliver.step)
        except _Abandoned:
            pass
        try:
            with boundary(run, "conclude"):
                return conclude.step(run)
        except _Abandoned:
            return conclude.decide(run).exit_code


def stoppable(run: Run, step: Callable[[Run], None]) -> None:
    """A step before the command, which a request to stop ends even where a store hangs."""
    if not unless(run.signals.stop, lambda: step(run)):
        run.left_behind = True
        raise _Abandoned


def in_time(run: Run, step: Callable[[Run], None]) -> None:
    """A step after the command, which ends when the time that a stopped job has is over."""
    if not unless(run.time_is_up, lambda: step(run)):
        run.left_behind = True
        run.console.error("the grace period is over: what has not been delivered by now stays on disk")


class _Abandoned(Exception):
    """A step failed, or a stop was asked for before the command ran: go on with delivering what there is."""


@contextmanager
def boundary(run: Run, name: str) -> Iterator[None]:
    """Around one step: time it, record it, and turn whatever it raises into a failure that is told once."""
    run.console.step = name
    run.record.begin(name)
    try:
        yield
    except Exception as error:  # the one place where everything must be caught
        run.failed(name, error if isinstance(error, BootstrapError) else InternalError.of(error))
        run.record.end("stopped" if run.stopped_by is not None else "failed")
        raise _Abandoned from error
    run.record.end("ok")
    if run.signals.stop.is_set() and run.ending is None and name not in ("deliver", "conclude"):
        run.stopped(name)
        raise _Abandoned
