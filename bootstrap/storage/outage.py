"""Requests made again while a store cannot be reached or cannot serve: most outages are shorter than a job is long."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from bootstrap.errors import NameUnresolved, StoreUnavailable
from bootstrap.job import StopRequest
from bootstrap.storage.pace import Pace
from bootstrap.storage.refusals import is_overload, may_pass
from bootstrap.storage.store import Patience
from bootstrap.storage.workers import TransferStopped

T = TypeVar("T")

_FIRST = 0.2  # seconds before the second try; doubled each time
_LONGEST = 10.0
_HICCUP = 2.0  # seconds of trouble that are not worth a word

Trouble = StoreUnavailable | NameUnresolved
Say = Callable[[Trouble, float], None]
"""Told what went wrong and for how many seconds more it will be tried."""


class Outlast:
    """Call it with a piece of work that talks to a store: it is done again until it goes well or the time is over.

    The seconds of ``patience`` are counted from the first failure of a piece of work, or since the store has served
    nobody; no try begins after them. ``stop`` ends the waiting. A store that says it is asked too much slows ``pace``
    down for everybody who shares it.
    """

    def __init__(
        self, patience: Patience, stop: StopRequest, *, pace: Pace | None = None, say: Say | None = None
    ) -> None:
        self._patience, self._stop, self._pace, self._say = patience, stop, pace, say

    def __call__(self, work: Callable[[], T]) -> T:
        """Raises at once what another try would not cure, after the time the last trouble, with how long was tried, and
        :class:`TransferStopped`.
        """
        failed_first, tries = 0.0, 0
        while True:
            try:
                result = work()
                self._patience.went_well()
                return result
            except (StoreUnavailable, NameUnresolved) as trouble:
                now, tries = time.monotonic(), tries + 1
                if not passing(trouble):
                    raise
                failed_first = min(failed_first or now, self._patience.failed())
                left = failed_first + self._patience.seconds - now
                if left <= 0:
                    tried = f"tried {tries} times" if tries > 1 else "nothing was served, to others neither,"
                    trouble.why += f"; {tried} in {now - failed_first:.0f} s (--store-timeout)"
                    raise
                if self._say is not None and now - failed_first > _HICCUP:
                    self._say(trouble, left)
                if self._pace is not None and is_overload(trouble.facts.get("http_status")):
                    self._pace.complaint()
            # A random part, so that the nodes of a job do not come back in step.
            if self._stop.wait(min(left, random.uniform(0.5, 1.0) * min(_LONGEST, _FIRST * 2 ** (tries - 1)))):
                raise TransferStopped
            if self._pace is not None:
                self._pace.spend(1, self._stop)


def passing(trouble: Trouble) -> bool:
    """Whether it may be over in a moment."""
    if isinstance(trouble, NameUnresolved):
        return bool(trouble.facts.get("temporary"))
    return may_pass(str(trouble.facts.get("store_code", "")), int(str(trouble.facts.get("http_status", 0))))
