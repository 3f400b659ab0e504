"""Work that may hang, and a request to stop that must not.

A store that takes a connection and never answers holds the thread that asked for as long as its time-outs last, longer
than any grace period. So what talks to stores runs in a thread of its own, and the main thread, which also catches the
signals, leaves it behind when the time has come.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from ..job import StopRequest

R = TypeVar("R")

_LOOK = 0.05  # seconds between two looks at the time


class After:
    """A :class:`bootstrap.job.StopRequest` that comes ``seconds`` after another one was seen."""

    def __init__(self, stop: StopRequest, seconds: float) -> None:
        self._stop, self._seconds = stop, seconds
        self._end: float | None = None

    def is_set(self) -> bool:
        if self._end is None and self._stop.is_set():
            self._end = time.monotonic() + self._seconds
        return self._end is not None and time.monotonic() >= self._end

    def wait(self, timeout: float | None = None) -> bool:
        end = None if timeout is None else time.monotonic() + timeout
        while not self.is_set() and (end is None or time.monotonic() < end):
            time.sleep(_LOOK)
        return self.is_set()


class Abandonable(Generic[R]):
    """``work``, in a thread that does not keep the process from ending. It begins at once.

    Where the system has no thread left for us it is done here and now, without a way out.
    """

    def __init__(self, work: Callable[[], R]) -> None:
        self._work = work
        self._results: list[R] = []
        self._failures: list[BaseException] = []
        self._ended = threading.Event()
        try:
            threading.Thread(target=self._carry_out, name="work", daemon=True).start()
        except RuntimeError:
            self._carry_out()

    def wait(self, seconds: float | None = None) -> bool:
        """Whether the work has ended, or ends within so many seconds; None: as long as it takes."""
        return self._ended.wait(seconds)

    def result(self) -> R:
        """What the work returned, or raises what it raised. Only once it has ended."""
        if self._failures:
            raise self._failures[0]
        return self._results[0]

    def _carry_out(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as failure:  # noqa: BLE001  carried to the waiting thread, which raises it
            self._failures.append(failure)
        finally:
            self._ended.set()


def unless(over: StopRequest, work: Callable[[], object]) -> bool:
    """Do ``work`` to its end, and return True; or return False when ``over`` came first: the work is left behind then.

    ``over`` comes later than whatever asks the work itself to end, so that it can tidy up. What it raises is raised
    here.
    """
    begun = Abandonable(work)
    while not begun.wait(_LOOK):
        if over.is_set():
            return False
    begun.result()
    return True


def watched(work: Callable[[], R], beat: Callable[[], None]) -> R:
    """Do one thing that may hang, and call ``beat`` every now and then meanwhile. What either raises is raised here;
    when it is ``beat``, the work is left behind.
    """
    begun = Abandonable(work)
    beat()
    while not begun.wait(_LOOK):
        beat()
    return begun.result()
