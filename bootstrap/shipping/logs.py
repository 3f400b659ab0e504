"""The log and the run record, to the log URL: while the job runs, and at its end.

While it runs, one thread wakes every interval, sends what is new and says that we are alive. Nothing is kept in
memory: what could not be sent is read again from the log file, as often as need be. In a bucket the new bytes become
objects (:mod:`.segments`), in a directory they are appended to the log there (:mod:`.mirror`).

At the end there is one complete log under the plain name. The newest attempt always has that name, since it is the
one somebody looks for at 3 a.m. (the old downloader skipped names that were taken, so that a restarted job showed its
*first* log for ever). What an earlier attempt left under it is kept as ``NAME.attempt-N.log``; the parts and the last
heartbeat of an attempt that was killed stay where they are, as its trace.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from ..errors import BootstrapError
from ..job import Log, StopRequest
from ..process.logfile import parts
from ..storage.local import readable
from ..storage.open import Stores
from ..storage.store import Store
from ..storage.transfer import deliver
from ..storage.url import Location
from ..storage.workers import TransferStopped
from .heartbeat import Heartbeat
from .mirror import Mirror
from .names import HEARTBEAT, attempt_directory, attempts
from .source import Source

if TYPE_CHECKING:  # sockets and XML, which a local or short job never pays for
    from ..storage.direct import Direct
    from .segments import Segments

_PATIENCE = 60.0
"""Seconds between attempts, at most (or the interval), while the store does not work."""

_SLACK = 0.5
"""Seconds for a delivery to notice by itself that it is to stop, and to say how far it came."""

Failures = list[tuple[Path, str]]


class LogShipper:
    """Ships one log. :meth:`start` it, :meth:`deliver` the log when it is complete, :meth:`close` at the very end."""

    def __init__(
        self,
        stores: Stores,
        target: Location,
        path: Path,
        *,
        interval: float,
        node: int,
        attempt: int,
        phase: Callable[[], str],
        log: Log,
    ) -> None:
        self._stores = stores
        self._target = target
        self._path = path
        self._interval = interval
        self._node, self._attempt = node, attempt
        self._phase = phase
        self._log = log
        self._key = _base(target) + path.name
        self._directory = _base(target) + attempt_directory(path.name, node, attempt, time.time())
        self._live: Segments | Mirror | None = None
        self._direct: Direct | None = None
        self._beaten = self._delivered = False
        self._failing_since: float | None = None
        self._shipping = threading.Lock()
        self._complete, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-shipper", daemon=True)

    def start(self) -> None:
        """Begin to ship; nothing is opened, imported or sent before the first interval is over."""
        if self._interval > 0 and Source(self._path).is_regular and not self._is_there_already():
            self._thread.start()

    def deliver(self, stop: StopRequest) -> Failures:
        """The log is complete: have it all there, under its name. Returns what failed, and why; never raises.

        First the last bytes go the way of the others, for that is quick; then they all become one object.
        """
        self._complete.set()
        failed: Failures = [(self._path, "the store did not answer in time")]

        def carry_out() -> None:
            failed[:] = self._deliver(stop)

        work = threading.Thread(target=carry_out, name="log-delivery", daemon=True)
        work.start()  # it can be left behind, should it hang in a dead network
        while work.is_alive() and not stop.is_set():
            work.join(0.05)
        work.join(_SLACK)
        self._delivered = not failed
        if failed and self._live is not None and self._live.shipped:
            where = f"its first {self._live.shipped} bytes are in {self._target}, in parts (bootstrap logs shows them)"
            return [(path, f"{why}; {where}") for path, why in failed]
        return failed

    def close(self, stop: StopRequest) -> None:
        """The end of the run. Removes the heartbeat if the log was delivered, and else marks it as the last one."""
        self._closed.set()
        while self._thread.is_alive():
            self._thread.join(0.05)
            if stop.is_set():
                return
        if not self._beaten or self._direct is None:
            return
        try:
            if self._delivered and self._removed([self._directory + HEARTBEAT]):
                self._remove_empty()
                return
            self._beat("ended")
        except BootstrapError as error:
            self._log.debug(f"the last heartbeat stays: {error}")

    def _removed(self, keys: Sequence[str]) -> bool:
        assert self._direct is not None
        try:
            self._direct.delete(keys)
        except BootstrapError:  # a key that may write, but not delete
            return False
        return True

    def _remove_empty(self) -> None:
        """A bucket has no directories; elsewhere those of the heartbeat would stay, one for each job."""
        if not self._target.is_remote:
            directory = Path("/", self._directory)
            with suppress(OSError):  # another node's is beside it
                directory.rmdir()
                directory.parent.rmdir()

    def _is_there_already(self) -> bool:
        there = Path(self._target.path, self._path.name)
        return not self._target.is_remote and there.exists() and there.samefile(self._path)

    # --- the thread ---

    def _run(self) -> None:
        pause, left = self._interval, self._interval
        while not self._closed.wait(left):
            began = time.monotonic()
            try:
                self._round()
            except (BootstrapError, OSError) as error:
                self._failed(error)
                pause = min(2 * pause, max(self._interval, _PATIENCE))
            else:
                self._worked()
                pause = self._interval
            left = max(0.0, began + pause - time.monotonic())

    def _round(self) -> None:
        with self._shipping:
            if not self._complete.is_set():
                self._live = self._live or self._open()
                self._live.ship(self._complete)
        self._beat(self._phase())

    def _open(self) -> Segments | Mirror:
        from ..storage.direct import Direct
        from .segments import Segments

        store = self._stores.open(self._target)
        self._direct = Direct(store, str(self._target))
        if not self._target.is_remote:
            return Mirror(self._path, self._target.local)
        return Segments(store, self._direct, self._directory, Source(self._path))

    def _beat(self, phase: str) -> None:
        if self._direct is None:
            return
        shipped = self._live.shipped if self._live else 0
        from ..storage.direct import Inline

        beat = Heartbeat.now(phase, self._attempt, self._node, shipped, self._interval)
        self._beaten = True
        self._direct.put(self._directory + HEARTBEAT, Inline(beat.text()))

    def _failed(self, error: Exception) -> None:
        """Said once; an hour of failures is one line."""
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            self._log.warning(f"the log cannot be sent for now, and stays in {self._path} until it can: {error}")

    def _worked(self) -> None:
        if self._failing_since is not None:
            seconds = round(time.monotonic() - self._failing_since)
            self._failing_since = None
            self._log.info(f"the log is sent again, after {seconds} s, from where it stopped")

    # --- the end ---

    def _deliver(self, stop: StopRequest) -> Failures:
        with self._shipping:  # the last round may be under way
            live = self._live
        if live is None:  # a short job: one object is all there ever was
            return self._deliver_whole(stop)
        try:
            live.ship(stop)
            if self._finished(live, stop):
                failed: Failures = []
                self._log.info("delivered", to=str(self._target.child(self._path.name)), size=readable(live.shipped))
            else:
                failed = self._deliver_whole(stop)
        except TransferStopped:
            failed = [(self._path, "not finished when asked to stop")]
        except (BootstrapError, OSError) as error:
            self._log.debug(f"the end of the log, alone, could not be sent: {error}")
            failed = self._deliver_whole(stop)
        if not failed and not stop.is_set():
            try:
                live.clear()
            except BootstrapError as error:
                self._log.debug(f"parts of the log are left beside it: {error}")
        return failed

    def _finished(self, live: Segments | Mirror, stop: StopRequest) -> bool:
        """Whether what was sent already could be made the log, without sending all of it again."""
        if len(parts(str(self._path))) > 1:  # a full disk: its end is still beside it, and is delivered so
            return False
        if isinstance(live, Mirror):
            return live.complete()
        try:
            return live.join(self._key, self._path.stat().st_size, stop)
        except BootstrapError as error:
            self._log.debug(f"the parts of the log could not be joined in the store: {error}")
            return False

    def _deliver_whole(self, stop: StopRequest) -> Failures:
        files = [Path(name) for _, name in parts(str(self._path))]
        return deliver_files(self._stores, self._target, files, stop=stop, log=self._log)


def begin_attempt(
    stores: Stores, target: Location, log_file: Path, names: Sequence[str], *, node: int, scratch: Path, log: Log
) -> int:
    """Set aside what an earlier attempt left under ``names`` in the directory ``target``; returns our own number.

    Done before the command starts, so that it costs nothing of the time in which a stopped job must be gone. Only a
    courtesy: where the store refuses (no right to list, say) the names are simply overwritten later.
    """
    if not target.is_remote and target.local.exists() and target.local.samefile(log_file.parent):
        return 1  # the log is written where it is to be: identify has set earlier ones aside
    directory, stem, number = _base(target), log_file.stem, 1
    try:
        store = stores.open(target)
        entries = list(store.entries(directory + stem))
        seen = [_attempt(entry.key[len(directory) + len(stem) :]) for entry in entries]
        seen += [attempt.number for attempt in attempts(entries, directory) if attempt.node == node]
        number += max(seen, default=0)
        earlier = {entry.key for entry in entries} & {directory + name for name in names}
        # What a killed attempt with a log beyond its limit left beside it in a directory.
        tails = [entry.key for entry in entries if entry.key.startswith(f"{directory}{log_file.name}.tail-")]
        for key in sorted(earlier):
            _move(store, key, directory + aside(key[len(directory) :], number), scratch)
        for key in tails:
            rest = key[len(directory) + len(log_file.name) :]
            _move(store, key, directory + aside(log_file.name, number) + rest, scratch)
        return number + bool(earlier)
    except (BootstrapError, OSError) as error:
        log.debug(f"what an earlier attempt delivered is not kept: {error}")
    return number


def _base(target: Location) -> str:
    """The key of the log directory, with its slash."""
    if target.is_remote:
        return target.as_directory().path
    return os.path.join(os.path.abspath(target.path), "").lstrip("/")


def _move(store: Store, key: str, other: str, scratch: Path) -> None:
    from ..storage.direct import Direct

    if not Direct(store, key).join(other, [key], []):
        with tempfile.NamedTemporaryFile(dir=scratch) as copy:
            copy.writelines(store.read(key))
            copy.flush()
            store.write(other, Path(copy.name))
    Direct(store, key).delete([key])


def aside(name: str, attempt: int) -> str:
    """``dls-task-0.log`` of attempt 1 as ``dls-task-0.attempt-1.log``."""
    path = PurePath(name)
    return f"{path.stem}.attempt-{attempt}{path.suffix}"


def _attempt(rest: str) -> int:
    """The attempt that a name speaks of, whose beginning, up to the log's own stem, is left out of ``rest``."""
    found = re.fullmatch(r"(\.run)?\.attempt-(\d+)(\.[^./]*)?", rest)
    return int(found[2]) if found else 0


def deliver_files(stores: Stores, target: Location, files: Sequence[Path], *, stop: StopRequest, log: Log) -> Failures:
    """Write ``files`` into the directory ``target`` under their own names, replacing; what failed, and why."""
    failed = []
    for path in files:
        try:
            report = deliver(stores, path, target.child(path.name), stop=stop, log=log)
        except BootstrapError as error:
            failed.append((path, str(error)))
        else:
            failed += [(path, why) for _, why in report.failed]
    return failed
