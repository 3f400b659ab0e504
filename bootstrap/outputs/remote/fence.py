"""Attempts and who owns the names: each attempt claims the URL, and who began later owns it.

A claim is an object of its own, so that no store needs conditional writes: two attempts that begin at the same moment
both leave theirs, both see both, and both know which is the newer. Nodes of one attempt agree on its number by node 0's
claims.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterable

from ...ground.machine.standstill import Standstill
from ...job import StopRequest
from ...storage.common.rate_limit import Throttle
from ...storage.common.workers import TransferStopped
from ...values import dataclass, replace
from .manifest import Claim
from .target import Target

_SKEW = 30.0
"""Seconds by which the clocks of two nodes may differ, where the store does not tell."""

_ROUNDED = 5.0
"""Seconds by which what a store tells may be wrong: some count whole ones, and a request takes its time."""

_TRIES = 3
"""Of writing a claim in so short a time that its moment here and that of the store are one."""

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


def put_claim(target: Target, claim: Claim) -> Claim:
    """Write it, as of now; again where the store took its time: the difference of the clocks is told by it."""
    for _ in range(_TRIES):
        began = time.monotonic()
        claim = replace(claim, started=time.time())
        target.put(claim.key, claim.text())
        if time.monotonic() - began < _ROUNDED:
            break
    return claim


@dataclass(frozen=True, slots=True)
class Fence:
    """This node's claim, against what is claimed by now."""

    mine: Claim

    def overtaken_by(self, claims: Iterable[Claim]) -> Claim | None:
        """The newer claim of the same node, if there is one."""
        newest = max((each for each in claims if each.node == self.mine.node), default=self.mine)
        return newest if newest > self.mine else None

    def ahead(self, claims: Iterable[Claim]) -> float | None:
        """By how many seconds the store's clock is ahead of this node's; None where it is not known."""
        mine = next((each for each in claims if each == self.mine and each.listed), None)
        if mine is None:
            return None
        ahead = mine.listed - self.mine.started
        return ahead if abs(ahead) > _ROUNDED else 0.0

    def attempt(self, claims: Iterable[Claim], saved: float = math.inf) -> int:
        """The number of the attempt in which something was ``saved`` here, by this node's clock: that of node 0's
        newest claim from before that. Without ``saved``: the attempt of now.

        A node whose own attempt goes on when node 0 is started again is in node 0's newer attempt from then on, but for
        what it had saved before.
        """
        claims = list(claims)
        if self.mine.node == 0:
            return self.mine.attempt
        ahead = self.ahead(claims)

        def is_before(claim: Claim) -> bool:
            if ahead is None or not claim.listed:
                return claim.started <= saved + _SKEW
            return claim.listed <= saved + ahead + _ROUNDED

        return max((each.attempt for each in claims if each.node == 0 and is_before(each)), default=self.mine.attempt)


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
