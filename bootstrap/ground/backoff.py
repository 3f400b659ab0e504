"""Pauses between tries: the first is short, each is twice the one before, and a part of each is left to chance.

Whoever makes something again takes its pauses from here; who retries what, how often and for how long is in
``docs/architecture.md``.
"""

from __future__ import annotations


class Backoff:
    """Seconds to wait: ``first``, doubled each time up to ``longest``.

    Of each pause the part ``spread`` (0 to 1) is random, so that the nodes of a job, which fail at the same moment, do
    not come back at the same moment, too.
    """

    def __init__(self, first: float, longest: float, *, spread: float = 0.5) -> None:
        self._first, self._longest, self._spread = first, max(first, longest), spread
        self._now = first

    def next(self) -> float:
        """How long to wait before the next try, in seconds."""
        pause, self._now = self._now, min(2 * self._now, self._longest)
        if not self._spread:
            return pause
        import random  # where all goes well nobody ever waits

        return pause * random.uniform(1.0 - self._spread, 1.0)

    def reset(self) -> None:
        """A try went well: the next pause is the first again."""
        self._now = self._first
