"""Attempts and who owns the names: each attempt claims the URL, and who began later owns it.

A claim is an object of its own, so that no store needs conditional writes: two attempts that begin at the same moment
both leave theirs, both see both, and both know which is the newer. Nodes of one attempt agree on its number by node 0's
claims.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable

from ...ground.machine.standstill import Standstill
from ...job import StopRequest
from ...storage.common.rate_limit import Throttle
from ...storage.common.workers import TransferStopped
from ...values import dataclass
from .manifest import Claim

_SKEW = 30.0
"""Seconds by which the clocks of two nodes may differ."""

_EPOCH = 1_767_225_600  # 2026
_BLIND_STEP = 300.0  # seconds; six digits are enough for nine years


def new_claim(claims: Iterable[Claim], *, node: int, nodes: int, job: str, blind: bool = False) -> Claim:
    """The next attempt's, of this node. Who is ``blind`` to earlier ones takes a number from the time: theirs are
    smaller.
    """
    number = max((each.attempt for each in claims if each.node == node), default=0) + 1
    if blind:
        number = max(number, int((time.time() - _EPOCH) // _BLIND_STEP))
    run = os.urandom(4).hex()
    return Claim(number, run, time.time(), node, nodes, job, os.uname().nodename)


@dataclass(frozen=True, slots=True)
class Fence:
    """This node's claim, against what is claimed by now."""

    mine: Claim

    def overtaken_by(self, claims: Iterable[Claim]) -> Claim | None:
        """The newer claim of the same node, if there is one."""
        newest = max((each for each in claims if each.node == self.mine.node), default=self.mine)
        return newest if newest > self.mine else None

    def attempt(self, claims: Iterable[Claim], saved: float) -> int:
        """The number of the attempt in which something was ``saved`` here: node 0's newest claim from before that.

        A node whose own attempt goes on when node 0 is started again is in node 0's newer attempt from then on, but for
        what it had saved before.
        """
        if self.mine.node == 0:
            return self.mine.attempt
        started = [each for each in claims if each.node == 0 and each.started <= saved + _SKEW]
        return max((each.attempt for each in started), default=self.mine.attempt)


class Watchful(Throttle):
    """A bound on the rate of what is sent that notices when nothing was for long: a machine that was frozen, or cut
    off, and wakes up in the middle of a file whose name has been a newer attempt's for an hour. (A request that was on
    its way then is begun anew: :mod:`bootstrap.storage.s3.fast.serving`.)

    ``overtaken`` is asked then, from any thread; it may raise what the store says.
    """

    def __init__(self, rate: float, overtaken: Callable[[], bool]) -> None:
        super().__init__(rate)
        self._overtaken = overtaken
        self._asking = threading.Lock()
        self._standstill = Standstill()

    def begin(self) -> None:
        """The fence has just been looked at."""
        self._standstill.begin()

    def spend(self, size: int, stop: StopRequest) -> None:
        """As the bound; raises :class:`TransferStopped` as well when a newer attempt has begun."""
        super().spend(size, stop)
        if self._standstill.was_long():
            with self._asking:
                if self._standstill.was_long() and self._overtaken():
                    raise TransferStopped
        self._standstill.begin()
