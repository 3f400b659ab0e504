"""Signs of life: a line every few seconds, because a silent bootstrap looks hung to a platform and to people."""

from __future__ import annotations

import threading
import time

from bootstrap.job import Log

_EVERY = 5.0  # seconds


class Progress:
    """Counts what is done and says so now and then. ``add`` and ``finish`` may be called from any thread."""

    def __init__(self, log: Log, verb: str, *, files: int = 0, size: int = 0) -> None:
        self.files = 0
        self.bytes = 0
        self._log = log
        self._verb = verb
        self._of_files = files
        self._of_bytes = size
        self._lock = threading.Lock()
        self._started = self._said = time.monotonic()

    def expect(self, files: int, size: int) -> None:
        """So much is to come in all."""
        self._of_files, self._of_bytes = files, size

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def add(self, size: int) -> None:
        """So many bytes more have moved; negative when they have to move again."""
        with self._lock:
            self.bytes += size

    def finish(self) -> None:
        """One file more is complete."""
        with self._lock:
            self.files += 1

    def beat(self) -> None:
        """Say where we are, if it is time to."""
        now = time.monotonic()
        if now - self._said < _EVERY:
            return
        self._said = now
        rate = self.bytes / self.seconds / 1e6
        facts: dict[str, object] = {"files": self.files, "of": self._of_files, "mb": round(self.bytes / 1e6, 1)}
        if self._of_bytes:
            facts["of_mb"] = round(self._of_bytes / 1e6, 1)
        facts["mb_per_s"] = round(rate, 1)
        if self._of_bytes and rate > 0:
            facts["seconds_left"] = round(max(0.0, (self._of_bytes - self.bytes) / 1e6 / rate))
        self._log.info(self._verb, **facts)
