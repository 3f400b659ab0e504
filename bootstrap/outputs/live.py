"""The thread that keeps all outputs up to date while the job runs: a look an interval, more when time is short."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from ..errors import BootstrapError, InternalError
from ..ground.backoff import Backoff
from ..job import Log, StopRequest
from ..reporting.prose import duration
from ..storage.common.workers import TransferStopped
from .local.scan import background
from .publisher import Publisher

_LOOK = 0.25  # seconds between two looks at whether a stop was asked for, or the end has come
_HASTE = 0.5  # seconds between two rounds once a stop was asked for: what the command saves now may be its last
_SOON = 0.5
"""Seconds to the next look where a checkpoint was still being written: who saves as regularly as we look would else be
met at work again and again. Doubled, up to the interval, as long as it is the same ones.
"""

_LOOKING = 0.1  # of a core, for such looks at most
_LEAD = 0.5
"""Of the interval: by so much a look may come before it is over, so that what it finds is in the store when it is. Who
needs longer to send what is saved is at it half of the time.
"""

_ANSWERS = 5.0  # seconds after which other nodes' checkpoints are answered, at most
_LONGEST_PAUSE = 60.0  # seconds between two rounds while the store does not work, or the interval


class Schedule:
    """When the next round begins, from how the last one went."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        longest = max(interval, _LONGEST_PAUSE)
        self._failing = Backoff(min(2 * interval, longest), longest, spread=0.0)
        self._soon, self._moving = Backoff(_SOON, interval), set[tuple[int, str]]()

    def pause(self, publishers: Sequence[Publisher], *, worked: bool) -> float:
        """Seconds from the beginning of the last round, which ``worked`` or met an error, to that of the next one."""
        moving = {(number, path) for number, each in enumerate(publishers) for path in each.moving}
        if moving != self._moving:
            self._moving = moving
            self._soon.reset()
        if not worked:
            return self._failing.next()
        self._failing.reset()
        if any(each.behind for each in publishers):
            return 0.0
        if moving:
            return min(max(self._soon.next(), self._least(publishers)), self._interval)
        return max(self._interval - self._lead(publishers), self._least(publishers))

    def _lead(self, publishers: Sequence[Publisher]) -> float:
        return min(sum(each.lead for each in publishers), _LEAD * self._interval)

    def _least(self, publishers: Sequence[Publisher]) -> float:
        """Seconds that looks must be apart, not to cost too much."""
        return min(sum(each.look_cost for each in publishers) / _LOOKING, self._interval)


class Live:
    """:meth:`start` it when the command starts, :meth:`finish` it when it has ended."""

    def __init__(self, publishers: Sequence[Publisher], *, interval: float, stop: StopRequest, log: Log) -> None:
        self.publishers = publishers
        self._interval, self._stop, self._log = interval, stop, log
        self._closing, self.halt = threading.Event(), threading.Event()
        self._failing_since: dict[int, float] = {}
        self._thread = threading.Thread(target=self._run, name="outputs", daemon=True)

    def start(self) -> None:
        if self._interval > 0 and self.publishers:
            self._thread.start()

    def finish(self, stop: StopRequest, *, keep: str | None = None) -> bool:
        """End the thread. What is on its way is finished; with ``keep`` only if it is the unit of this path, since
        there is no time for anything else. False if it hangs in the store.
        """
        self._closing.set()
        while self._thread.is_alive() and not stop.is_set():
            if keep is not None and all(each.working_on != keep for each in self.publishers):
                self.halt.set()
            self._thread.join(0.05)
        self.halt.set()
        if self._thread.is_alive():
            self._thread.join(0.5)
        return not self._thread.is_alive()

    def _run(self) -> None:
        background()
        schedule, began = Schedule(self._interval), time.monotonic()
        pause = schedule.pause(self.publishers, worked=True)
        while not self._wait(began, pause):
            began = time.monotonic()
            worked = [self._round(number, publisher) for number, publisher in enumerate(self.publishers)]
            pause = schedule.pause(self.publishers, worked=all(worked))

    def _wait(self, began: float, pause: float) -> bool:
        """Until the next round, ``pause`` seconds after the last one ``began``; True when the end has come first."""
        until = began + pause
        several = [each for each in self.publishers if each.options.nodes > 1]
        answer_at = time.monotonic() + _ANSWERS
        while not self._closing.wait(max(0.0, min(_LOOK, until - time.monotonic()))):
            now = time.monotonic()
            if now >= until:
                return False
            if self._stop.is_set() and now >= began + _HASTE:
                return False
            if now >= answer_at and several:
                answer_at = now + _ANSWERS
                for publisher in several:
                    try:
                        publisher.refresh()
                    except Exception:  # noqa: BLE001  of any kind
                        pass  # the round will meet it, too, and say it
        return True

    def _round(self, number: int, publisher: Publisher) -> bool:
        try:
            publisher.round(self.halt, self._interval)
        except TransferStopped:
            return True
        except Exception as error:  # noqa: BLE001  a thread of its own: nobody else would ever hear of it
            if number not in self._failing_since:  # said once: an hour of failures is one line
                self._failing_since[number] = time.monotonic()
                why = error if isinstance(error, BootstrapError | OSError) else InternalError.of(error)
                self._log.warning(f"the outputs cannot be kept up to date for now: {why}", output=str(publisher.root))
            return False
        since = self._failing_since.pop(number, None)
        if since is not None:
            seconds = round(time.monotonic() - since)
            self._log.info(f"outputs are delivered again, after {duration(seconds)}", output=str(publisher.root))
        return True
