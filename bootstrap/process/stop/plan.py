"""One stop, planned: what ends when, in seconds from the request to our own end.

Whoever asks us to stop kills us when the grace period is over: a kubelet does so to the millisecond. So everything is
over before, and this is the one place that says when::

    request ---------------- kill_after ---- gone_after ---- deliver_until - verdict_at - end_at | grace
            the command saves            KILL           log, outputs      tidy        run.json
                                                                                      and reason

Whoever works within a stop gets one of these moments as a :class:`bootstrap.job.StopRequest` and looks at nothing else.
"""

from __future__ import annotations

import math
import time

from ...values import dataclass
from .signals import Signals

DEFAULT_GRACE = 30.0
"""Kubernetes' own. ModelArts documents none for v2; Huawei's launcher waits about 15 s for the processes and leaves the
rest to the upload of logs."""

_LOOK = 0.2  # seconds between two looks for a signal, where there is nothing to wait on


@dataclass(frozen=True, slots=True)
class StopPlan:
    """``grace`` seconds from the first stop request on, divided. All moments are in seconds after that request.

    They shrink with the grace: of 30 s the command has 20, deliveries have 7.5, and 2.5 are left for the verdict;
    of 3 s it is 2, 0.25 and 0.75.
    """

    grace: float = DEFAULT_GRACE

    @property
    def kill_after(self) -> float:
        """What is left of the command gets KILL: a third of the grace, 10 s at most, belongs to log and outputs."""
        return self.grace - min(10.0, self.grace / 3)

    @property
    def gone_after(self) -> float:
        """A process that KILL has not ended by now (a device, a dead file server) is not waited for any longer."""
        return self.kill_after + self.dying_takes

    @property
    def dying_takes(self) -> float:
        """Seconds that KILL may take to have its effect."""
        return min(5.0, (self.deliver_until - self.kill_after) / 2)

    @property
    def deliver_until(self) -> float:
        """Deliveries end by themselves, and say how far they came."""
        return self.verdict_at - min(0.5, self.grace / 20)

    @property
    def verdict_at(self) -> float:
        """Who still delivers is left behind; the verdict goes on the console, into run.json, and to the store."""
        return self.end_at - min(1.5, self.grace / 10)

    @property
    def end_at(self) -> float:
        """We exit, whatever hangs. What is left of the grace is for the interpreter's end, and for a busy machine."""
        return self.grace - min(0.5, self.grace / 10)

    @property
    def tidied_after(self) -> float:
        """A step before the command (a fetch, say) has noticed the request, and is else left behind."""
        return min(2.0, self.grace / 4)


class Moment:
    """A :class:`bootstrap.job.StopRequest` that comes ``after`` seconds behind the request to stop, never without.

    Another node's failure makes no moment of these come: nobody waits for our own end then, and what there is may be
    delivered to its end. With ``whoever`` any request counts, that one too.
    """

    def __init__(self, signals: Signals, after: float, *, whoever: bool = False) -> None:
        self._signals, self._after, self._whoever = signals, after, whoever

    @property
    def left(self) -> float:
        """Seconds until then, never negative; endless while nobody has asked."""
        asked = self._signals.asked_at if self._whoever else self._signals.stopped_at
        return math.inf if asked is None else max(0.0, asked + self._after - time.monotonic())

    def is_set(self) -> bool:
        return self.left <= 0

    def wait(self, timeout: float | None = None) -> bool:
        end = math.inf if timeout is None else time.monotonic() + timeout
        while (left := self.left) > 0:
            left = min(left, end - time.monotonic())
            if left <= 0:
                break
            # Once stopped only time matters; before that, the stop itself shortens what is left.
            if self.left < math.inf:
                time.sleep(left)
            elif self._signals.stop.is_set():  # by another node's failure: that alone sets no end
                time.sleep(min(left, _LOOK))
            else:
                self._signals.stop.wait(None if left == math.inf else left)
        return self.is_set()
