"""Threads that work through tasks while the caller's thread watches the clock and whether it should stop."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_BEAT = 0.1
"""Seconds between two looks at the clock: what a request to stop may cost at most."""


class TransferStopped(Exception):
    """Somebody asked for the stop that was made; not a failure. What was complete by then stays."""


class Done(Generic[T, R]):
    """A task that ended: with a value, or with the error that :meth:`value` raises again."""

    __slots__ = ("_value", "error", "task")

    def __init__(self, task: T, value: R | None, error: BaseException | None) -> None:
        self.task = task
        self.error = error
        self._value = value

    def value(self) -> R:
        if self.error is not None:
            raise self.error
        return self._value  # type: ignore[return-value]  # None only beside an error, or because R is


def in_parallel(
    tasks: Iterable[T], work: Callable[[T], R], *, width: int, beat: Callable[[], None]
) -> Iterator[Done[T, R]]:
    """Do ``work`` on each of ``tasks`` in up to ``width`` threads and yield them as they end.

    A thread is started when there is a task for it: ``tasks`` may be an iterator that waits until there is.
    ``beat`` is called ten times a second in the caller's thread and may raise. When the caller leaves the loop, for
    whatever reason, no further task begins; threads that hang in a read are left behind, and being daemons they do
    not keep the process from ending.
    """
    source = iter(tasks)
    taking = threading.Lock()
    left = threading.Event()
    results: queue.SimpleQueue[Done[T, R] | None] = queue.SimpleQueue()
    started = 0

    def start() -> None:
        nonlocal started
        started += 1  # first: the new thread looks at it, too, and would start one more than there may be
        try:
            threading.Thread(target=worker, name=f"transfer-{started - 1}", daemon=True).start()
        except RuntimeError:
            started -= 1
            raise

    def worker() -> None:
        while not left.is_set():
            with taking:
                task = next(source, results)
                if task is not results and started < width:
                    with suppress(RuntimeError):  # no more threads to be had: those there are do the work
                        start()  # whoever waits for the next task
            if task is results:
                break
            try:
                done = Done[T, R](task, work(task), None)  # type: ignore[arg-type]  # the sentinel is gone
            except BaseException as error:  # noqa: BLE001 (carried to the waiting thread, which raises it)
                done = Done(task, None, error)  # type: ignore[arg-type]
            results.put(done)
        results.put(None)

    if width:
        start()
    try:
        ended = 0
        while ended < started:
            beat()
            try:
                done = results.get(timeout=_BEAT)
            except queue.Empty:
                continue
            if done is None:
                ended += 1
            else:
                yield done
    finally:
        left.set()
