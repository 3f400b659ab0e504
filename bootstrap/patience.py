"""Work that may hang, and a request to stop that must not.

A store that takes a connection and never answers holds the thread that asked for as long as its time-outs last, longer
than any grace period. So what talks to stores runs in a thread of its own, and the main thread, which also catches the
signals, leaves it behind when the time has come.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from .job import StopRequest

SLACK = 2.0  # seconds for the work to notice the request itself, and to tidy up
_LOOK = 0.1


def unless(stop: StopRequest, work: Callable[[], None], slack: float = SLACK) -> bool:
    """Do ``work`` to its end, and return True; or return False when ``stop`` came and the work did not end in
    ``slack`` seconds. What it raises is raised here.
    """
    failures: list[BaseException] = []

    def carry_out() -> None:
        try:
            work()
        except BaseException as failure:  # noqa: BLE001  carried to the waiting thread, which raises it
            failures.append(failure)

    thread = threading.Thread(target=carry_out, name="work", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the system has no thread left for us: then without patience, but done
        work()
        return True
    while thread.is_alive() and not stop.is_set():
        thread.join(_LOOK)
    thread.join(slack)
    if failures:
        raise failures[0]
    return not thread.is_alive()
