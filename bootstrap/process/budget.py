"""The seconds between the request to stop and the end that others force on us, planned once."""

from __future__ import annotations

import math
import time
from typing import NamedTuple


class Budget(NamedTuple):
    """``grace`` seconds from the first stop request on; ``reserve`` of them belong to the last log bytes and outputs.

    The default grace is Kubernetes' own. ModelArts documents none for v2; Huawei's own launcher waits about 15 s for
    the processes and leaves the rest to the upload of logs, whence a reserve of a third, 10 s at most.
    """

    grace: float = 30.0
    reserve: float | None = None

    @property
    def for_delivery(self) -> float:
        """Seconds kept for the last log bytes and outputs."""
        wanted = min(10.0, self.grace / 3) if self.reserve is None else self.reserve
        return min(wanted, self.grace)

    @property
    def for_child(self) -> float:
        """Seconds between the stop signal to the command and KILL."""
        return self.grace - self.for_delivery

    def left(self, stopped_at: float | None) -> float:
        """Seconds left of the whole, never negative; endless while nobody has asked us to stop.

        ``stopped_at`` is :attr:`Signals.stopped_at`. A command that was ended by ``--timeout`` leaves it at None:
        nobody waits to kill us then.
        """
        return math.inf if stopped_at is None else max(0.0, stopped_at + self.grace - time.monotonic())
