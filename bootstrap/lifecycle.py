"""The life of a training job in a container: seven steps, one page.

1. identify: the environment becomes one :class:`bootstrap.job.Job`: who am I, what must I fetch, run, deliver;
2. unlock: credentials found and decrypted, every secret registered to be masked;
3. connect: the interface and address of this node, the stores that must answer, the other nodes;
4. fetch: code and inputs into the job directory, verified;
5. launch: the command as a supervised child, its bytes on stdout and in the log file;
6. deliver: log and outputs, inside the shutdown budget;
7. conclude: why it ended, in words and in the record; the right exit code.

A step takes values and gives a frozen one (:mod:`.results`), which the later steps are handed. Whatever fails before,
6 and 7 happen, with what there is by then. What the user's command did and what the bootstrap did are two results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from . import variables
from .ground.abandonable import unless
from .process.stop.plan import Moment
from .process.stop.signals import Signals
from .results import Access, Asked, Decided, Found, Link, Seen
from .run import Run, StopAsked
from .steps import conclude, connect, deliver, fetch, identify, launch, preflight, unlock

if TYPE_CHECKING:
    from .outputs.delivery import Delivery
    from .peers.group import Group

T = TypeVar("T")

_STOPPABLE = ("identify", "unlock", "connect", "fetch")  # launch has passed the request on to the command


def run(options: Mapping[str, str | Sequence[str] | bool], command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Take one job from boot to exit; returns the exit code. Whatever goes wrong becomes words, a record and a code."""
    with Signals() as signals:
        run, asked = Run(signals), Asked(options, command, environ, variables.read(environ))
        decided: Decided | None = None
        access: Access | None = None
        link: Link | None = None
        group: Group | None = None
        seen: Seen | None = None
        try:
            with boundary(run, "identify"):
                decided = stoppable(run, partial(identify.step, run, asked), first=True)
                identify.check(decided)
            with boundary(run, "unlock"):
                access = stoppable(run, partial(unlock.step, run, decided))
                stoppable(run, partial(unlock.check_keys, run, decided, access))
            with boundary(run, "connect"):
                stoppable(run, partial(preflight.step, run, decided, access))
                look = fetch.look_ahead(run, decided, access)
                link = stoppable(run, partial(connect.step, run, decided, access))
                group = stoppable(run, partial(connect.meet, run, decided, access, link))
                decided = connect.placed(decided, group)
            with boundary(run, "fetch"):
                stoppable(run, partial(fetch.step, run, decided, access, link, group.share, look))
            with boundary(run, "launch"):
                seen = launch.step(run, decided, access, link, group)
        except _Abandoned:
            pass
        found = Found(decided, access, link, group, seen)
        deliveries: list[Delivery] = []
        try:
            with boundary(run, "deliver", after_command=True):
                found = deliver.with_access(run, found)
                in_time(run, partial(deliver.step, run, found, deliveries))
        except _Abandoned:
            pass
        try:
            with boundary(run, "conclude", after_command=True):
                return conclude.step(run, found, deliveries)
        except _Abandoned:
            return conclude.decide(run, found, deliveries).exit_code


@contextmanager
def boundary(run: Run, name: str, *, after_command: bool = False) -> Iterator[None]:
    """Around one step: time it, record it, and turn whatever it raises into a failure that is told once.

    Before the command a request to stop is what has ended the step, whatever the step itself made of it.
    """
    run.console.step = name
    run.record.begin(name)
    try:
        yield
        if name in _STOPPABLE and run.signals.stop.is_set():
            raise StopAsked
    except Exception as error:  # the one place where everything must be caught
        if run.signals.stop.is_set() and not after_command:
            run.stopped(name)
            run.record.end("stopped")
        else:
            run.failed(name, error)
            run.record.end("failed")
        raise _Abandoned from error
    run.record.end("ok")


def stoppable(run: Run, work: Callable[[], T], *, first: bool = False) -> T:
    """What ``work`` gives, for a step before the command: a request to stop ends it even where a store hangs.

    Raises :class:`StopAsked` then, and before the work begins, unless it is the ``first``: without that there is no
    record to tell of the stop. Work that is done counts: what it has opened is ours.
    """
    result: list[T] = []
    if run.signals.stop.is_set() and not first:
        raise StopAsked
    if not unless(Moment(run.signals, run.plan.tidied_after, whoever=True), lambda: result.append(work())):
        run.left_behind = True
        raise StopAsked
    return result[0]


def in_time(run: Run, work: Callable[[], None]) -> None:
    """A step after the command, which ends when the time that a stopped job has is over."""
    if not unless(run.until(run.plan.verdict_at), work):
        run.left_behind = True
        run.console.error("the grace period is over: what has not been delivered by now stays on disk")


class _Abandoned(Exception):
    """A step failed, or a stop was asked for before the command ran: go on with delivering what there is."""
