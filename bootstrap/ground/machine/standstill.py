"""Whether this process, or its machine, stood still: SIGSTOP, a frozen container, a virtual machine that was moved.

Nobody is told of it. Afterwards a step has taken far longer than it can; others may have taken us for dead meanwhile,
and what we are about to write may be theirs.
"""

from __future__ import annotations

import time

LONG = 8.0
"""Seconds from which on a step that takes a moment has not been a step."""


class Standstill:
    """The time since a step began. From any thread."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def begin(self) -> None:
        """From here on time counts."""
        self._began = time.monotonic()

    def was_long(self) -> bool:
        """Whether more has passed than a moment."""
        return time.monotonic() - self._began > LONG
