"""How fast to ask: a bucket serves so many requests a second, and the nodes of a job all come at the same moment."""

from __future__ import annotations

import threading
import time

from ...job import StopRequest
from .workers import TransferStopped

_BUCKET = 6000.0  # requests a second that a job may ask of one bucket; the public stores start to refuse not far above
_LEAST = 20.0  # requests a second that a node may always make
_JITTER = 0.02  # seconds for each node of the job, among which the nodes' beginnings are spread
_MOST_JITTER = 5.0
_RECOVERY = 1.2  # how much faster again after a second without complaint


class Throttle:
    """So many bytes a second, shared by all threads that :meth:`spend` them; 0: as many as go."""

    def __init__(self, rate: float = 0.0) -> None:
        self.rate = rate
        self._lock = threading.Lock()
        self._free_at = 0.0

    def spend(self, size: int, stop: StopRequest) -> None:
        """Wait until so many more may be sent. Raises :class:`TransferStopped`."""
        if self.rate <= 0:
            return
        with self._lock:
            now = time.monotonic()
            wait = self._free_at - now
            self._free_at = max(self._free_at, now) + size / self.rate
        if wait > 0 and stop.wait(wait):
            raise TransferStopped


class RateLimit:
    """A budget of requests, shared by all threads of a transfer. It shrinks when the store says that it is too much.

    ``nodes`` is how many machines begin the same transfer at the same time.
    """

    def __init__(self, nodes: int = 1) -> None:
        self._limit = max(_LEAST, _BUCKET / nodes) if nodes > 1 else float("inf")
        self._jitter = min(_MOST_JITTER, _JITTER * nodes) if nodes > 1 else 0.0
        self._lock = threading.Lock()
        self._rate = self._limit
        self._free_at = self._counted_since = time.monotonic()
        self._counted = 0
        self._complained = 0.0

    def begin(self, stop: StopRequest) -> None:
        """Wait for this node's turn. Raises :class:`TransferStopped`."""
        if not self._jitter:
            return
        import random  # a single node takes no turns

        if stop.wait(random.uniform(0.0, self._jitter)):
            raise TransferStopped

    def spend(self, requests: int, stop: StopRequest) -> None:
        """Wait until so many more requests are in the budget. Raises :class:`TransferStopped`."""
        with self._lock:
            now = time.monotonic()
            self._counted += requests
            if now - self._counted_since > 2.0:
                self._counted, self._counted_since = requests, now
            if self._rate == float("inf"):
                return
            if self._rate < self._limit and now - self._complained > 1.0:
                self._rate, self._complained = min(self._limit, self._rate * _RECOVERY), now
            wait = self._free_at - now
            self._free_at = max(self._free_at, now) + requests / self._rate
        if wait > 0 and stop.wait(wait):
            raise TransferStopped

    def complaint(self) -> None:
        """The store said that this is too fast: half of what was asked lately, once a second at most."""
        with self._lock:
            now = time.monotonic()
            if now - self._complained < 1.0:
                return
            lately = self._counted / max(0.1, now - self._counted_since)
            self._rate = max(_LEAST, min(self._rate, lately) / 2)
            self._complained = now
