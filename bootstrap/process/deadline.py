"""The end of the grace period, as the request to stop that deliveries look at."""

from __future__ import annotations

import math
import time

from .budget import Budget
from .signals import Signals

_LOOK = 0.2  # seconds between two looks for a signal, where there is nothing to wait on


class TimeIsUp:
    """A :class:`bootstrap.job.StopRequest` for deliveries: a stop request does not end them, the end of its grace does.

    Without one they take as long as they need. One that comes while they run starts the clock then.
    """

    def __init__(self, signals: Signals, budget: Budget) -> None:
        self._signals = signals
        self._budget = budget

    def is_set(self) -> bool:
        return self._budget.left(self._signals.stopped_at) <= 0

    def wait(self, timeout: float | None = None) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.is_set():
            left = self._budget.left(self._signals.stopped_at)
            if deadline is not None:
                left = min(left, deadline - time.monotonic())
                if left <= 0:
                    break
            # Once stopped only time matters; before that, the stop itself shortens what is left.
            if self._signals.stopped_at is not None:
                time.sleep(left)
            elif self._signals.stop.is_set():  # by another node's failure: that alone sets no end
                time.sleep(min(left, _LOOK))
            else:
                self._signals.stop.wait(None if left == math.inf else left)
        return self.is_set()
