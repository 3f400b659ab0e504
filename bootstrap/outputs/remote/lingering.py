"""How long the old stays beside the new: no listing is a picture of one moment.

A store that lists for seconds, or goes through its directories one after the other, shows neither a manifest that came
behind its back nor one that went before it was there. So what something newer has taken the place of stays for a while,
and a reader who has read its manifest has this while for its files.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from ...values import dataclass, field
from .contents import Contents, WholeCheckpoint

LINGER = 10.0
"""Seconds. What one line brings to a store in this time is all that it costs there."""


@dataclass
class Lingering:
    """Since when versions have been complete, as far as it has been seen here; by a clock that nobody puts back."""

    seconds: float = LINGER
    _since: dict[tuple[str, int, int], float] = field(default_factory=dict)
    _gone: list[tuple[float, str]] = field(default_factory=list)  # keys that no manifest names any more, since when

    def see(self, contents: Contents) -> None:
        now = time.monotonic()
        complete = [one.identity for one in contents.checkpoints if one.complete]
        self._since = {each: self._since.get(each, now) for each in complete}

    def is_over(self, one: WholeCheckpoint) -> bool:
        """Whether ``one`` has been complete for so long that what is older may go."""
        since = self._since.get(one.identity)
        return since is not None and time.monotonic() - since >= self.seconds

    def let_go(self, keys: Iterable[str]) -> None:
        now = time.monotonic()
        self._gone += [(now, key) for key in keys]

    def due(self, *, at_end: bool) -> list[str]:
        """The keys that may be removed by now; they are told once."""
        until = time.monotonic() - (0.0 if at_end else self.seconds)
        due = [key for since, key in self._gone if since <= until]
        self._gone = [(since, key) for since, key in self._gone if since > until]
        return due
