"""The end of a log: what has not been sent yet, then one complete log under its name.

The newest attempt always has the plain name, since it is the one somebody looks for at 3 a.m. (the old downloader
skipped names that were taken, so that a restarted job showed its *first* log for ever). What an earlier attempt left
under it is kept as ``NAME.attempt-N.log``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BootstrapError, StoreUnavailable
from ..ground.backoff import Backoff
from ..ground.safe_files import open_own
from ..ground.writes import write_all
from ..job import Log, StopRequest
from ..process.output.logfile import LogFile, parts
from ..process.output.unwritten import Unwritten
from ..reporting.console import Silence
from ..storage.common.progress import Progress
from ..storage.common.retry import Retry
from ..storage.common.units import readable
from ..storage.common.workers import TransferStopped
from ..storage.model.url import Location
from ..storage.open import Stores
from ..storage.report import Report, said
from ..storage.transfer import deliver
from ..values import dataclass
from .evidence import PutAs, as_called
from .in_directory import InDirectory
from .mirror import Mirror
from .source import whole
from .succession import Succession, base

if TYPE_CHECKING:  # sockets and XML, which a local or short job never pays for
    from .segments import Segments

_TRIES = 12
"""To tidy up at the end, some 15 seconds in all."""

Failures = list[tuple[Path, str]]


@dataclass(frozen=True, slots=True)
class LogEnding:
    """What becomes of the log at ``path`` when it is complete; its disk did not take what is ``unwritten``."""

    stores: Stores
    target: Location
    path: Path
    unwritten: Unwritten
    succession: Succession
    log: Log

    def deliver(self, live: Segments | Mirror | None, stop: StopRequest) -> Failures:
        """All of it, under its name; ``live`` is what has sent it so far. What failed, and why.

        First the last bytes go the way of the others, for that is quick; then they all become one object.
        """
        self.succession.look()
        if live is None and isinstance(self.succession, InDirectory):
            live = Mirror(self.path, self.target.local, self.succession)
        if live is None:  # a short job: one object is all there ever was
            return self._deliver_whole(stop)
        try:
            live.ship(stop)
            if self._finished(live, stop):
                failed = self._complete_there()
                self.log.info("delivered", to=str(self.target.child(self._name)), size=readable(live.shipped))
            else:
                failed = self._deliver_whole(stop)
        except TransferStopped:
            failed = [(self.path, "not finished when asked to stop")]
        except Exception as error:  # noqa: BLE001  whatever it is, all of it may go the other way
            self.log.debug(f"the end of the log, alone, could not be sent: {error}")
            failed = self._deliver_whole(stop)
        if not failed and not stop.is_set():
            try:
                until_it_works(live.clear, stop)
            except Exception as error:  # noqa: BLE001  the log is there
                self.log.debug(f"parts of the log are left beside it: {error}")
        return failed

    def _finished(self, live: Segments | Mirror, stop: StopRequest) -> bool:
        """Whether what was sent already could be made the log, without sending all of it again."""
        if len(parts(str(self.path))) > 1:  # a full disk: its end is still beside it, and is delivered so
            return False
        if isinstance(live, Mirror):
            return live.complete()
        try:
            size, behind = self.path.stat().st_size, self.unwritten.text
            return live.join(base(self.target) + self._name, size, behind, stop)
        except BootstrapError as error:
            self.log.debug(f"the parts of the log could not be joined in the store: {error}")
            return False

    def _deliver_whole(self, stop: StopRequest) -> Failures:
        files = [Path(name) for _, name in parts(str(self.path))]
        if self.unwritten and not self.path.exists():  # there was no place for it
            return self._put_together(stop)
        if self.target.is_remote and (len(files) > 1 or self.unwritten) and self.path.is_file():
            return self._put_together(stop)
        put, log = self.succession.put, self.log
        return deliver_files(self.stores, self.target, files, put=put, stop=stop, log=log) or self._complete_there()

    def _put_together(self, stop: StopRequest) -> Failures:
        """To a bucket, as one object, what the disk here had no room for as one file."""
        try:
            store = self.stores.open(self.target)
            writer, content = store.light_writer(), whole(self.path, self.unwritten.text)
            with Progress(self.log, "delivering") as progress:
                retry = Retry(store.retry_window, stop, say=progress.trouble)
                retry(lambda: writer.put(base(self.target) + self._name, content))
        except TransferStopped:
            return [(self.path, "not finished when asked to stop")]
        except (BootstrapError, OSError) as error:
            return [(self.path, str(error))]
        self.log.info("delivered", to=str(self.target.child(self._name)), size=readable(content.size))
        return []

    def _complete_there(self) -> Failures:
        """In a directory: what is there as several files joined, and behind it what the disk here did not take."""
        if self.target.is_remote:
            return []
        place = self.target.local / self._name
        try:
            with self.succession.turn() as named:
                place = self.target.local / named(self.path.name)
                if not place.is_file() or _same(place, self.path):
                    return []
                LogFile(str(place)).close()
                file = open_own(place, os.O_WRONLY | os.O_APPEND)
            try:
                write_all(file, self.unwritten.text)
            finally:
                os.close(file)
        except OSError as error:
            return [(place, f"its end cannot be written: {error.strerror}")]
        return []

    @property
    def _name(self) -> str:
        """Under which the log is there in the end."""
        return self.succession.name_of(self.path.name)


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def deliver_files(
    stores: Stores,
    target: Location,
    files: Sequence[Path],
    *,
    put: PutAs = as_called,
    stop: StopRequest,
    log: Log,
) -> Failures:
    """Write ``files`` into the directory ``target``, replacing, under their own names or as ``put`` has it; what
    failed, and why.
    """
    failed = []
    for path in files:
        try:
            there, report = put(path.name, partial(_deliver_one, stores, target, path, stop, log))
        except BootstrapError as error:
            failed.append((path, str(error)))
        else:
            if not target.is_remote:  # what it was written as is not what it is called in the end
                said(report, "delivered", target.child(there), log)
            failed += [(path, why) for _, why in report.failed]
    return failed


def _deliver_one(stores: Stores, target: Location, path: Path, stop: StopRequest, log: Log, name: str) -> Report:
    return deliver(stores, path, target.child(name), stop=stop, log=log if target.is_remote else Silence())


def until_it_works(work: Callable[[], None], stop: StopRequest) -> None:
    """Do it again while the store has trouble: who looks at a log that is whole is to find nothing else beside it.

    Raises what the store says of the last of :data:`_TRIES`, or when a stop does not leave the time.
    """
    pauses = Backoff(0.1, 2.0)
    for _ in range(_TRIES - 1):
        try:
            return work()
        except StoreUnavailable:
            until = time.monotonic() + pauses.next()
            while time.monotonic() < until:
                if stop.is_set():
                    raise
                time.sleep(0.02)
    return work()
