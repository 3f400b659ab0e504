"""The log, to the log URL while the job runs.

One thread wakes every interval, sends what is new and says that we are alive. Nothing is kept in memory: what could
not be sent is read again from the log file, as often as need be. In a bucket the new bytes become objects
(:mod:`.segments`), in a directory they are appended to the log there (:mod:`.mirror`). At the end :mod:`.ending` makes
one complete log of it. The parts and the last heartbeat of an attempt that was killed stay, as its trace.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BootstrapError, InternalError
from ..ground.abandonable import unless
from ..ground.backoff import Backoff
from ..job import Log, StopRequest
from ..process.output.unwritten import Unwritten
from ..storage.model.url import Location
from ..storage.open import Stores
from .ending import Failures, LogEnding
from .heartbeat import HeartbeatWriter
from .in_directory import InDirectory
from .live_files import LiveFiles
from .mirror import Mirror
from .source import Source
from .succession import Succession, base

if TYPE_CHECKING:  # sockets and XML, which a local or short job never pays for
    from .segments import Segments

_LONGEST_PAUSE = 60.0
"""Seconds between attempts, at most (or the interval), while the store does not work."""


class LogShipper:
    """Ships one log. :meth:`start` it, :meth:`deliver` the log when it is complete, :meth:`close` at the very end."""

    def __init__(
        self,
        stores: Stores,
        target: Location,
        path: Path,
        *,
        unwritten: Unwritten,
        succession: Succession,
        files: LiveFiles,
        interval: float,
        node: int,
        phase: Callable[[], str],
        log: Log,
    ) -> None:
        """``files`` go beside the log's parts while it runs."""
        self._stores, self._target, self._path = stores, target, path
        self._unwritten = unwritten
        self._interval, self._phase, self._log = interval, phase, log
        self.succession = succession
        self._heartbeat = HeartbeatWriter(
            lambda: stores.open(target).light_writer(),
            lambda: self._directory,
            files,
            attempt=lambda: succession.attempt,
            node=node,
            interval=interval,
        )
        self._live: Segments | Mirror | None = None
        self._delivered = False
        self._failing_since: float | None = None
        self._shipping = threading.Lock()
        self._complete, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-shipper", daemon=True)

    def start(self) -> None:
        """Begin to ship; nothing is opened, imported or sent before the first interval is over."""
        if self._interval > 0 and Source(self._path).is_regular and not self._is_there_already():
            self._thread.start()

    def deliver(self, stop: StopRequest) -> Failures:
        """The log is complete: have it all there, under its name. Returns what failed, and why; never raises."""
        self._complete.set()
        came: list[Failures] = []
        unless(stop, lambda: came.append(self._delivered_or_not(stop)))  # left behind, should it hang in a dead network
        failed = came[0] if came else [(self._path, "the store did not answer in time")]
        self._delivered = not failed
        if failed and self._shipped:
            where = f"its first {self._shipped} bytes are in {self._target}, in parts (bootstrap logs shows them)"
            return [(path, f"{why}; {where}") for path, why in failed]
        return failed

    def close(self, stop: StopRequest, *, told: bool) -> None:
        """The end of the run, and of its heartbeat; ``told``: the record is delivered."""
        self._closed.set()
        while self._thread.is_alive():
            self._thread.join(0.05)
            if stop.is_set():
                return
        try:
            self._heartbeat.end(delivered=self._delivered, shipped=self._shipped, stop=stop)
            if self._delivered and told:
                self.succession.end()
        except Exception as error:  # noqa: BLE001  it is old soon, and that is what it is for
            self._log.debug(f"the last heartbeat stays: {error}")

    @property
    def _directory(self) -> str:
        """The key, or path, of what is sent while it runs: known for good when something is."""
        return base(self._target) + self.succession.directory.path

    @property
    def _shipped(self) -> int:
        """Bytes of the log that are there, whatever becomes of the rest."""
        return self._live.shipped if self._live is not None else 0

    def _is_there_already(self) -> bool:
        there = Path(self._target.path, self._path.name)
        return not self._target.is_remote and there.exists() and there.samefile(self._path)

    def _deliver(self, stop: StopRequest) -> Failures:
        with self._shipping:  # the last round may be under way
            live = self._live
        ending = LogEnding(self._stores, self._target, self._path, self._unwritten, self.succession, self._log)
        return ending.deliver(live, stop)

    def _delivered_or_not(self, stop: StopRequest) -> Failures:
        try:
            return self._deliver(stop)
        except Exception as error:  # noqa: BLE001  the record and the outputs are still to go
            return [(self._path, str(error if isinstance(error, BootstrapError) else InternalError.of(error)))]

    # --- the thread ---

    def _run(self) -> None:
        longest = max(self._interval, _LONGEST_PAUSE)
        pauses, left = Backoff(min(2 * self._interval, longest), longest, spread=0.0), self._interval
        while not self._closed.wait(left):
            began = time.monotonic()
            try:
                self._round()
            except Exception as error:  # noqa: BLE001  a thread of its own: nobody else would ever hear of it
                known = isinstance(error, BootstrapError | OSError)
                self._failed(error if known else InternalError.of(error))
                pause = pauses.next()
            else:
                self._worked()
                pauses.reset()
                pause = self._interval
            left = max(0.0, began + pause - time.monotonic())

    def _round(self) -> None:
        with self._shipping:
            if not self._complete.is_set():
                self._live = self._live or self._open()
                self._live.ship(self._complete)
        # Also while others deliver: a command that has ended within the first interval may leave hours of that.
        self._heartbeat.beat(self._phase(), self._shipped)

    def _open(self) -> Segments | Mirror:
        if isinstance(self.succession, InDirectory):
            return Mirror(self._path, self._target.local, self.succession)
        from .segments import Segments

        store = self._stores.open(self._target)
        return Segments(store, store.light_writer(), self._directory, Source(self._path))

    def _failed(self, error: Exception) -> None:
        """Said once; an hour of failures is one line."""
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            self._log.warning(f"the log cannot be sent for now, and stays in {self._path} until it can: {error}")

    def _worked(self) -> None:
        if self._failing_since is not None and not self._complete.is_set():
            seconds = round(time.monotonic() - self._failing_since)
            self._failing_since = None
            self._log.info(f"the log is sent again, after {seconds} s, from where it stopped")
