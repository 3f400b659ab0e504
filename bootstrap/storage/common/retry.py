"""Requests made again while a store cannot be reached or cannot serve: most outages are shorter than a job is long."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from ...errors import KeysUnavailable, NameUnresolved, StoreUnavailable
from ...ground.backoff import Backoff
from ...job import StopRequest
from ...reporting.prose import counted
from ..model.store import RetryWindow
from .rate_limit import RateLimit
from .workers import TransferStopped

T = TypeVar("T")

_FIRST, _LONGEST = 0.2, 10.0  # seconds before the second try, and between two tries at most
_HICCUP = 2.0  # seconds of trouble that are not worth a word

Trouble = StoreUnavailable | NameUnresolved | KeysUnavailable
Say = Callable[[Trouble, float], None]
"""Told what went wrong and for how many seconds more it will be tried."""


class Retry:
    """Call it with a piece of work that talks to a store: it is done again until it goes well or the time is over.

    The seconds of ``retry_window`` are counted from the first failure of a piece of work, or since the store has served
    nobody; no try begins after them. ``stop`` ends the waiting. A store that says it is asked too much slows
    ``rate_limit`` down for everybody who shares it.
    """

    def __init__(
        self,
        retry_window: RetryWindow,
        stop: StopRequest,
        *,
        rate_limit: RateLimit | None = None,
        say: Say | None = None,
    ) -> None:
        self._retry_window, self._stop, self._rate_limit, self._say = retry_window, stop, rate_limit, say

    def __call__(self, work: Callable[[], T]) -> T:
        """Raises at once what another try would not cure, after the time the last trouble, with how long was tried, and
        :class:`TransferStopped`.
        """
        failed_first, tries, pauses = 0.0, 0, Backoff(_FIRST, _LONGEST)
        while True:
            try:
                result = work()
                self._retry_window.served()
                return result
            except (StoreUnavailable, NameUnresolved, KeysUnavailable) as trouble:
                now, tries = time.monotonic(), tries + 1
                if not passing(trouble):
                    raise
                failed_first = min(failed_first or now, self._retry_window.failed())
                left = failed_first + self._retry_window.seconds - now
                if left <= 0:
                    tried = f"tried {counted(tries, 'time')}" if tries > 1 else "nothing was served, to others neither,"
                    why = f"{trouble.why}; {tried} in {now - failed_first:.0f} s (--store-timeout)"
                    raise trouble.replace(why=why) from trouble
                if self._say is not None and now - failed_first > _HICCUP:
                    self._say(trouble, left)
                if self._rate_limit is not None and trouble.facts.get("overload"):
                    self._rate_limit.complaint()
            if self._stop.wait(min(left, pauses.next())):
                raise TransferStopped
            if self._rate_limit is not None:
                self._rate_limit.spend(1, self._stop)


def passing(trouble: Trouble) -> bool:
    """Whether it may be over in a moment. Who raised it knows, and says so in the fact ``temporary``; without a word, a
    store or a service that does not serve may serve again, and a name that does not exist stays so.
    """
    return bool(trouble.facts.get("temporary", not isinstance(trouble, NameUnresolved)))
