"""From store to store, each object through a file of ours that is verified on the way in and gone afterwards."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path

from bootstrap.errors import BootstrapError, DiskFull
from bootstrap.job import StopRequest
from bootstrap.storage.download import bring
from bootstrap.storage.largeobject import LARGE, LargeObject, give_up
from bootstrap.storage.local import Staging, local_trouble
from bootstrap.storage.outage import Outlast
from bootstrap.storage.pace import Pace
from bootstrap.storage.packed import workplace
from bootstrap.storage.plan import Plan, check_room
from bootstrap.storage.progress import Progress
from bootstrap.storage.store import Entry, Store
from bootstrap.storage.tree import Named
from bootstrap.storage.unfinished import Unfinished
from bootstrap.storage.upload import EVERYBODYS
from bootstrap.storage.workers import TransferStopped, in_parallel

_WIDTH = 8
_PARTS_AT_ONCE = 4  # of one large object


def relay_all(
    origin: Store, files: list[tuple[str, Entry]], target: Store, *, name: str, progress: Progress, stop: StopRequest
) -> Named:
    """Put each entry of ``origin`` at its key in ``target``; returns what failed, keys with reasons.

    Needs room in the temporary directory for as many of the objects as are under way: eight, or fewer where eight do
    not fit. ``name`` tells this pair of places from others: who relays between them again goes on with what a killed
    process has left.

    Raises :class:`DiskFull` when there is no room for the largest.
    """
    failed: Named = []
    halt = threading.Event()

    def beat() -> None:
        if stop.is_set():
            raise TransferStopped
        progress.beat()

    directory = Path(tempfile.gettempdir())
    with local_trouble(os.fspath(directory), "cannot use the temporary directory"), workplace(directory) as place:
        relay = _Relay(origin, target, place, Unfinished(directory / "relay", name), progress, halt)
        try:
            for done in in_parallel(files, relay.move, width=_fitting(files, place), beat=beat):
                if isinstance(done.error, BootstrapError) and not isinstance(done.error, EVERYBODYS):
                    failed.append((done.task[1].key, str(done.error)))
                else:
                    done.value()
            relay.give_up_leftovers()
        finally:
            halt.set()
            relay.close()
    return failed


def _fitting(files: list[tuple[str, Entry]], place: Path) -> int:
    """How many objects have room at the same time, whichever they are."""
    largest = sorted((entry for _, entry in files), key=lambda entry: -entry.size)[:_WIDTH]
    while True:
        try:
            check_room(Plan((), tuple((str(number), entry) for number, entry in enumerate(largest))), os.fspath(place))
            return len(largest)
        except DiskFull as error:
            if len(largest) == 1:
                error.remedy = "free some space there, or set TMPDIR to a directory on a larger disk"
                raise
            largest.pop()


class _Relay:
    """What all objects of one relay share."""

    def __init__(
        self,
        origin: Store,
        target: Store,
        place: Path,
        unfinished: Unfinished,
        progress: Progress,
        halt: threading.Event,
    ) -> None:
        self._origin, self._target, self._place = origin, target, place
        self._unfinished, self._progress, self._halt = unfinished, progress, halt
        self._staging = Staging()
        pace = Pace()
        self._reading = Outlast(origin.patience, halt, pace=pace, say=progress.trouble)
        self._writing = Outlast(target.patience, halt, pace=pace, say=progress.trouble)

    def move(self, task: tuple[str, Entry]) -> None:
        key, entry = task
        if entry.is_marker:
            self._writing(lambda: self._target.write(key, b""))
            return
        with local_trouble(os.fspath(self._place)):
            partial, _, _ = bring(
                self._origin,
                entry,
                os.fspath(self._place / "object"),
                self._staging,
                outlast=self._reading,
                progress=self._progress,
                stop=self._halt,
            )
        try:
            if entry.size < LARGE or not self._in_parts(key, Path(partial)):
                self._writing(lambda: self._target.write(key, Path(partial)))
        finally:
            self._staging.discard(partial)
        self._progress.finish()

    def give_up_leftovers(self) -> None:
        """Uploads of a killed relay whose objects are no longer to be sent."""
        multipart = self._target.multipart if self._unfinished else None
        if multipart is not None:
            for begun in self._unfinished.leftovers():
                give_up(multipart, begun.key, begun.upload, self._unfinished)

    def close(self) -> None:
        self._staging.close()
        self._unfinished.close()

    def _in_parts(self, key: str, path: Path) -> bool:
        """Write a large object, unless the store knows no parts."""
        multipart = self._target.multipart
        if multipart is None:
            return False
        large = LargeObject(self._target, multipart, key, path, self._unfinished, self._writing)

        def put(part: tuple[int, int, int]) -> None:
            large.arrived(part[0], large.there(part[0]) or large.put(part[0]))

        def beat() -> None:
            if self._halt.is_set():
                raise TransferStopped

        try:
            for done in in_parallel(list(large.parts()), put, width=_PARTS_AT_ONCE, beat=beat):
                done.value()
        finally:
            large.abandon()
        return True
