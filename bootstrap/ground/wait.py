"""One way to wait for what others bring about: ask, pause, ask again, with a word now and then, until a deadline."""

from __future__ import annotations

import time

from ..job import Log, StopRequest
from .backoff import Backoff

_SAY_AFTER = 5.0  # seconds of silence before a wait is worth a line


class Wait:
    """At most ``deadline_s`` seconds from now on, less when ``stop`` is set; pauses double up to ``longest`` seconds::

        wait = Wait("waiting for a name", deadline_s=300, stop=stop, log=log)
        while not (found := ask()):
            if not wait.again(host=host):
                raise NotFound(f"after {wait.elapsed:.0f} s{wait.cause}")

    There is one try always, however short the deadline, and one at the deadline itself.
    """

    def __init__(self, what: str, *, deadline_s: float, stop: StopRequest, log: Log, longest: float = 3.0) -> None:
        self._what, self._stop, self._log = what, stop, log
        self._pauses = Backoff(0.1, longest, spread=0.25)
        self._began = self._said = time.monotonic()
        self._end = self._began + deadline_s

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    @property
    def left(self) -> float:
        """Seconds to the deadline, 0 once it has passed."""
        return max(0.0, self._end - time.monotonic())

    @property
    def cause(self) -> str:
        """For a message, behind what was not had: why it was not waited for to the deadline, if so."""
        return " (asked to stop)" if self._stop.is_set() else ""

    def again(self, **facts: object) -> bool:
        """Pause; then, whether to try once more. ``facts`` is what this try has found, said every few seconds."""
        left, now = self.left, time.monotonic()
        if left <= 0 or self._stop.is_set():
            return False
        if now - self._said > _SAY_AFTER:
            self._said = now
            self._log.info(self._what, **facts, left_s=round(left))
        self._stop.wait(min(left, self._pauses.next()))
        return not self._stop.is_set()
