"""From store to store, each object through a file of ours that is verified on the way in and gone afterwards."""

from __future__ import annotations

import os
import tempfile
import threading
from heapq import nlargest
from pathlib import Path
from typing import TextIO

from ..errors import BootstrapError, DiskFull
from ..job import Log, StopRequest
from .common.choice import EVERYTHING, Choice
from .common.file_errors import local_trouble
from .common.progress import Progress
from .common.rate_limit import RateLimit
from .common.retry import Retry
from .common.workers import TransferStopped, in_parallel
from .fetch.files import Files
from .fetch.one_stream import bring
from .fetch.plan import FetchPlan, check_room, no_object, nothing_there, single_object
from .fetch.unpack import workplace
from .fetch.verification.verifier import Verifier
from .local.staging import Staging
from .model.listing import Entries
from .model.store import Entry, Store
from .model.url import Location
from .open import Stores
from .report import Report, name_unverified, said
from .upload.exchanges import CONCERNS_ALL
from .upload.journal import UploadJournal
from .upload.multipart import LARGE, LargeObject, give_up
from .upload.walk import Named

_WIDTH = 8
_PARTS_AT_ONCE = 4  # of one large object


def relay(
    stores: Stores,
    source: Location,
    target: Location,
    *,
    tree: bool = True,
    choice: Choice = EVERYTHING,
    terminal: TextIO | None = None,
    stop: StopRequest,
    log: Log,
) -> Report:
    """Copy an object, or (with ``tree``) the content of a tree, from one bucket to another (or within one).

    A single object goes to ``<target>/<its name>`` when ``target`` is written as a directory, else to ``target``.
    What single objects kept from arriving is in ``failed``; what concerns them all is raised, also
    :class:`NothingThere` and :class:`TransferStopped`.
    """
    origin, goal = stores.open(source), stores.open(target)
    progress = Progress(log, "copying", terminal=terminal)
    retry = Retry(origin.retry_window, stop, say=progress.trouble)
    single = retry(lambda: single_object(origin, source))
    if single is not None:
        key = target.child(source.name).path if target.is_directory else target.path
        files = Files.of(((key, single),))
    elif not tree:
        raise retry(lambda: no_object(origin, source))
    else:
        prefix = source.as_directory().path if source.path else ""
        base = target.as_directory().path if target.path else ""
        listing = retry(lambda: Entries.of(origin.entries(prefix)))
        if not len(listing):
            raise retry(lambda: nothing_there(origin, source))
        files = Files(listing, len(prefix), range(len(listing)), {}, base)
        if not choice.is_everything:
            files = files.where(choice.takes(key[len(base) :]) for key in files.paths)
    if choice.rehearse((key, entry.size) for key, entry in files):
        return Report(str(target))
    progress.expect(len(files), sum(files.sizes))
    with progress:
        verifier = Verifier(origin, stores.verify)
        failed = _relay_all(
            origin, files, goal, name=f"{source} {target}", verifier=verifier, progress=progress, stop=stop
        )
    name_unverified(stores.verify, progress, log, verifier.lacking)
    moved = progress.files, progress.bytes, 0, progress.seconds
    report = Report(str(target), *moved, tuple(failed), verified=dict(progress.verified))
    return said(report, "copied", source, log)


def _relay_all(
    origin: Store,
    files: Files,
    target: Store,
    *,
    name: str,
    verifier: Verifier,
    progress: Progress,
    stop: StopRequest,
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
        relay = _Relay(origin, target, place, UploadJournal(directory / "relay", name), verifier, progress, halt)
        try:
            for done in in_parallel(files, relay.move, width=_fitting(files, place), beat=beat):
                if isinstance(done.error, BootstrapError) and not isinstance(done.error, CONCERNS_ALL):
                    failed.append((done.task[1].key, str(done.error)))
                else:
                    done.value()
            relay.give_up_leftovers()
        finally:
            halt.set()
            relay.close()
    return failed


def _fitting(files: Files, place: Path) -> int:
    """How many objects have room at the same time, whichever they are."""
    largest = [Entry("", size) for size in nlargest(_WIDTH, files.sizes)]
    while True:
        try:
            check_room(FetchPlan.of(*((str(number), entry) for number, entry in enumerate(largest))), os.fspath(place))
            return len(largest)
        except DiskFull as error:
            if len(largest) == 1:
                remedy = "free some space there, or set TMPDIR to a directory on a larger disk"
                raise error.replace(remedy=remedy) from error
            largest.pop()


class _Relay:
    """What all objects of one relay share."""

    def __init__(
        self,
        origin: Store,
        target: Store,
        place: Path,
        journal: UploadJournal,
        verifier: Verifier,
        progress: Progress,
        halt: threading.Event,
    ) -> None:
        self._origin, self._target, self._place = origin, target, place
        self._journal, self._verifier, self._progress, self._halt = journal, verifier, progress, halt
        self._staging = Staging()
        rate_limit = RateLimit()
        self._reading = Retry(origin.retry_window, halt, rate_limit=rate_limit, say=progress.trouble)
        self._writing = Retry(target.retry_window, halt, rate_limit=rate_limit, say=progress.trouble)

    def move(self, task: tuple[str, Entry]) -> None:
        key, entry = task
        if entry.is_marker:
            self._writing(lambda: self._target.write(key, b""))
            return
        encodings: list[str] = []
        with local_trouble(os.fspath(self._place)):
            partial, _, _ = bring(
                self._origin,
                entry,
                os.fspath(self._place / "object"),
                self._staging,
                note=lambda body: encodings.append(body.encoding),
                verifier=self._verifier,
                hashes=self._verifier.hashes,
                retry=self._reading,
                progress=self._progress,
                stop=self._halt,
            )
        try:
            encoding = encodings[-1]  # an object begun in parts has none: what has one goes by the store's own method
            if entry.size < LARGE or encoding or not self._in_parts(key, Path(partial)):
                self._writing(lambda: self._target.write(key, Path(partial), encoding=encoding))
        finally:
            self._staging.discard(partial)
        self._progress.finish()

    def give_up_leftovers(self) -> None:
        """Uploads of a killed relay whose objects are no longer to be sent."""
        multipart = self._target.multipart if self._journal else None
        if multipart is not None:
            for begun in self._journal.leftovers():
                give_up(multipart, begun.key, begun.upload, self._journal)

    def close(self) -> None:
        self._staging.close()
        self._journal.close()

    def _in_parts(self, key: str, path: Path) -> bool:
        """Write a large object, unless the store knows no parts."""
        multipart = self._target.multipart
        if multipart is None:
            return False
        large = LargeObject(self._target, multipart, key, path, self._journal, self._writing)

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
