"""A store that thinks before it answers, and how many of its answers a client waited for one behind the other.

Over a store far away, or a busy one, these are a job's time, whatever else it does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from tests.lab.faulty_proxy import FaultyProxy
from tests.lab.proxy import Handler, Request


class Asked(NamedTuple):
    """A request, and when its client waited for it, in seconds of the monotonic clock."""

    what: str
    began: float
    ended: float


class Thinker(FaultyProxy):
    """Thinks for some ``seconds`` about each request, and about any number at once. ``asked`` has every request."""

    def __init__(self, endpoint: str, seconds: float) -> None:
        super().__init__(endpoint)
        self.asked: list[Asked] = []
        self._seconds = seconds
        self._asking = threading.Lock()

    def serve(self, handler: Handler, request: Request) -> None:
        began = time.monotonic()
        time.sleep(self._seconds)
        try:
            super().serve(handler, request)
        finally:
            with self._asking:
                self.asked.append(Asked(f"{request.method} {request.target}", began, time.monotonic()))


def one_behind_the_other(asked: Sequence[Asked]) -> list[Asked]:
    """The longest chain of requests of which each began when the one before had been answered."""
    chain: list[Asked] = []
    for one in sorted(asked, key=lambda one: one.ended):
        if not chain or one.began >= chain[-1].ended:
            chain.append(one)
    return chain
