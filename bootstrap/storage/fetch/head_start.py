"""The first objects of a long listing, brought while the store still lists the rest.

A listing of a million keys is a thousand answers, one behind the other, and each takes a store 5 to 50 ms. Nothing may
get its name before all names and the room are checked, and nothing does: what comes early stands in partial files, and
gets its name when the plan is settled. A listing that is refused, or another object than was listed, costs what was
brought for it and nothing else.

Only where the store is what is waited for, into a directory that is new or empty, where no earlier fetch has left
anything to compare with. Large objects wait for the plan: they go on in files of their own
(:mod:`.large_file`). Whatever goes wrong here ends the head start, and is met and told by the fetch itself.
"""

from __future__ import annotations

import os
import threading
from array import array
from contextlib import suppress
from typing import NamedTuple

from ...errors import BootstrapError
from ...job import Log, StopRequest
from ..common.progress import Progress
from ..common.rate_limit import RateLimit
from ..common.retry import Retry
from ..common.workers import TransferStopped
from ..local.staging import Staging
from ..model.pipeline import Connection, NeedsFallback
from ..model.store import ENCRYPTED, Entry, Listed, Store
from .download import Download, Whole
from .files import Files
from .index import FetchIndex
from .large_file import is_large
from .verification.verifier import Verifier

_MOST = 16_384  # objects; 0.5 kB of memory each
_OF_ROOM = 4  # a part of what is free, and no more: whether all of it fits is not known yet
_LOOK = 0.1  # seconds between two looks for more of them
_ENDING = 1.0  # seconds that are waited for what has been asked for when the listing ends


class Early(NamedTuple):
    """An object that is here: where, as it came, and what is known of it."""

    partial: str
    found: Entry
    mtime_ns: int
    md5: str
    verified: str


class HeadStart:
    """One fetch's, into ``root``. Use it as a context manager: :meth:`close` it, whatever happened."""

    def __init__(
        self, store: Store, root: str, verifier: Verifier, rate_limit: RateLimit, stop: StopRequest, log: Log
    ) -> None:
        self._stop = stop
        self._store, self._root, self._rate_limit = store, root, rate_limit
        self._enough = threading.Event()  # nothing more is asked for
        self._halt = threading.Event()  # and nothing is waited for
        self._staging = Staging()
        uncounted = Progress(log, "")  # what is brought counts when it gets its name
        retry = Retry(store.retry_window, self._halt, rate_limit=rate_limit)
        index = FetchIndex.nowhere()
        self._download = Download(store, root, self._staging, uncounted, self._halt, retry, index, verifier)
        self._lock = threading.Lock()
        self._here: dict[str, Early] = {}
        self._wanted: list[Entry] = []
        self._taken = 0  # rows of the listing that were looked at
        self._known = set[str]()
        self._thread: threading.Thread | None = None
        self._room = 0  # bytes that may still come
        self._made = False

    def __enter__(self) -> HeadStart:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def seen(self, listing: Listed) -> None:
        """What is listed so far, while more is to come: only now it begins. From the thread that lists."""
        if self._store.pipeline is None or self._enough.is_set() or self._stop.is_set():
            return
        if len(listing) < self._taken:  # it was begun anew
            self._taken = 0
        for row in range(self._taken, len(listing)):
            if len(self._known) >= _MOST:
                return
            entry = listing[row]
            if entry.etag and entry.key not in self._known and not entry.key.endswith("/") and not is_large(entry):
                self._known.add(entry.key)
                with self._lock:
                    self._wanted.append(entry)
        self._taken = len(listing)
        if self._thread is None:
            with self._lock:
                if not self._enough.is_set():  # else the fetch has ended meanwhile, and nobody would tidy up
                    self._begin()

    @property
    def partials(self) -> list[str]:
        """Where what has come stands, for who counts the room and who sweeps."""
        with self._lock:
            return [early.partial for early in self._here.values()]

    def settle(self) -> None:
        """The listing has ended, well or not: what was asked for may still come, all else is the fetch's."""
        with self._lock:
            self._enough.set()
        if self._thread is not None:
            self._thread.join(_ENDING)
        self._halt.set()

    def land(self, files: Files, index: FetchIndex, progress: Progress) -> Files:
        """Give what is here its name; returns the files that are not. Their directories must be there."""
        with self._lock:
            here, self._here = self._here, {}
        if not here:
            return files
        left = array("I")
        rows = iter(files.rows)
        for row in rows:
            early = here.pop(files.listing.keys[row], None)
            if early is None or not self._publish(early, files.path(row), files.listing[row], index, progress):
                left.append(row)
            if not here:
                break
        left.extend(rows)
        return files.only(left)

    def close(self) -> None:
        """End it: what got no name goes away, and the directory, if it was made for nothing else."""
        self.settle()
        self._staging.close()
        if self._made:
            with suppress(OSError):
                os.rmdir(self._root)  # unless there is anything in it

    @property
    def asks(self) -> bool:
        """Whether more is asked for. From any thread."""
        return not self._enough.is_set()

    def arrived(self, early: Early) -> None:
        """From the threads that bring. Raises :class:`TransferStopped` where it is too late, or enough."""
        with self._lock:
            self._room -= early.found.size
            if self._halt.is_set() or self._room < 0:
                raise TransferStopped
            self._here[early.found.key] = early

    def _begin(self) -> None:
        try:
            if not os.path.isdir(self._root):
                os.makedirs(self._root)
                self._made = True
            room = os.statvfs(self._root)
        except OSError:
            self._enough.set()
            return
        self._room = room.f_bavail * room.f_frsize // _OF_ROOM
        if room.f_files and room.f_favail // _OF_ROOM < _MOST:
            self._enough.set()
            return
        self._thread = threading.Thread(target=self._work, name="head-start", daemon=True)
        with suppress(RuntimeError):  # no more threads to be had
            self._thread.start()
            return
        self._thread = None
        self._enough.set()

    def _work(self) -> None:
        try:
            while not self._enough.is_set():
                with self._lock:
                    some, self._wanted = self._wanted, []
                if some:
                    self._bring(some)
                else:
                    self._enough.wait(_LOOK)
        except (BootstrapError, OSError, NeedsFallback, TransferStopped):
            self._enough.set()

    def _bring(self, entries: list[Entry]) -> None:
        def beat() -> None:
            if self._halt.is_set() or self._stop.is_set():
                raise TransferStopped

        assert self._store.pipeline is not None
        exchanges = [_Ahead(self, self._download, entry) for entry in entries]
        self._store.pipeline.run(exchanges, heavy=0, budget=self._rate_limit, stop=self._halt, beat=beat)

    def _publish(self, early: Early, path: str, entry: Entry, index: FetchIndex, progress: Progress) -> bool:
        """False where that is not the object of the listing as it ended, or somebody swept it away."""
        etags = (
            early.found.etag.removesuffix(ENCRYPTED),
            entry.etag.removesuffix(ENCRYPTED),
        )  # a listing does not say it
        if early.found.size != entry.size or etags[0] != etags[1]:
            self._staging.discard(early.partial)
            return False
        try:
            self._staging.publish(early.partial, f"{self._root}/{path}")
        except FileNotFoundError:
            self._staging.discard(early.partial)
            return False
        index.note(path, early.found, early.mtime_ns, early.md5)
        progress.add(entry.size)
        progress.verified_by(early.verified, entry.key)
        progress.finish()
        return True


class _Ahead(Whole):
    """One object, into a partial file that gets no name yet."""

    __slots__ = ("_head_start",)

    def __init__(self, head_start: HeadStart, download: Download, entry: Entry) -> None:
        super().__init__(download, "-", entry)  # of the path only the directory counts
        self._head_start = head_start

    def send(self, connection: Connection) -> None:
        if not self._head_start.asks:
            raise NeedsFallback("the listing has ended")
        super().send(connection)

    def appear(self, partial: str, found: Entry, mtime_ns: int, md5: str, verified: str) -> None:
        self._head_start.arrived(Early(partial, found, mtime_ns, md5, verified))
