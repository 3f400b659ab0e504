"""Files into objects: in parallel, each on its own, so that one that cannot go does not hold up the rest."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bootstrap.errors import (
    BootstrapError,
    BucketMissing,
    ClockSkewed,
    CredentialsExpired,
    CredentialsMissing,
    CredentialsRejected,
    EndpointWrong,
    NameUnresolved,
    SourceChanging,
    StoreUnavailable,
)
from bootstrap.job import StopRequest
from bootstrap.storage.express import MOST_RIDES, Errand, Errands, ride
from bootstrap.storage.largeobject import LARGE, LargeObject, give_up
from bootstrap.storage.local import explain
from bootstrap.storage.outage import Outlast
from bootstrap.storage.pace import Pace
from bootstrap.storage.progress import Progress
from bootstrap.storage.store import Entry, Multipart, Store
from bootstrap.storage.tree import Item, Links, Named, items_of
from bootstrap.storage.unfinished import Begun, Unfinished
from bootstrap.storage.url import Location
from bootstrap.storage.wire import Answer, Connection, Unusual, expect
from bootstrap.storage.workers import TransferStopped, in_parallel

if TYPE_CHECKING:
    from bootstrap.storage.lane import Lane

WIDTH = 16
_ATTEMPTS = 4  # for a file that changes while it is sent
_CHECKS = 4  # threads that compare what is here with what an earlier upload has brought
_CHUNK = 1 << 20
_FAREWELL = 3.0  # seconds for giving up what was begun when there is no time left

EVERYBODYS: tuple[type[BootstrapError], ...] = (
    BucketMissing,
    ClockSkewed,
    CredentialsExpired,
    CredentialsMissing,
    CredentialsRejected,
    EndpointWrong,
    NameUnresolved,
)
"""Trouble that concerns every file alike, so that there is no use in trying the next."""


def send_all(
    store: Store,
    source: Path,
    target: Location,
    *,
    links: Links,
    progress: Progress,
    stop: StopRequest,
    deadline: float | None,
) -> tuple[Named, Named]:
    """Send the file or tree ``source``; returns what failed and what was left out, names with reasons.

    Raises what concerns every file alike: bucket, credentials, endpoint, and a store that has stopped answering.

    Memory: 1 kB a file, and on each of at most 16 connections up to 3 MiB of small files sent ahead, twice while they
    are put together.
    """
    failed: Named = []
    left_out: Named = []
    items = list(items_of(source, target, failed, left_out, links))
    progress.expect(len(items), sum(item.size for item in items))
    unfinished = Unfinished(source, str(target))
    upload = Upload(store, progress, failed, unfinished)
    upload.waiting.update(item.name for item in items)

    def beat() -> None:
        if stop.is_set():
            raise TransferStopped
        if deadline is not None and time.monotonic() >= deadline:
            raise _Late
        progress.beat()

    try:
        upload.run(items, beat)
    except (_Late, TransferStopped) as reason:
        why = "not finished by the deadline" if isinstance(reason, _Late) else "not finished when asked to stop"
        failed += [(name, why) for name in sorted(upload.waiting)]
    finally:
        upload.end()
        unfinished.close()
    return failed, left_out


class _Late(Exception):
    """The deadline has come."""


class Upload:
    """What all parts of one upload share."""

    def __init__(self, store: Store, progress: Progress, failed: Named, unfinished: Unfinished) -> None:
        self.store, self.progress = store, progress
        self.waiting: set[str] = set()
        self.halt = threading.Event()
        self._pace = Pace()
        self.outlast = Outlast(store.patience, self.halt, pace=self._pace, say=progress.trouble)
        self._unfinished = unfinished
        self._failed = failed
        self._large: list[LargeObject] = []
        self._unserved: StoreUnavailable | None = None  # what the store said last
        self._silent = 0  # objects in a row that the store did not take, without one that it did

    def run(self, items: list[Item], beat: Callable[[], None]) -> None:
        """Send them all: over the lane where there is one, and over the client of record what that leaves."""
        parts: list[Put | PutPart] = []
        large = [item for item in items if item.size >= LARGE]
        # It is boto3 that does it: not loaded for small files.
        multipart = self.store.multipart if large or self._unfinished else None
        if multipart is None:
            large = []
        else:
            parts += self._begin_all(large, multipart, beat)
        in_parts = {item.name for item in large}
        parts += [Put(self, item) for item in items if item.name not in in_parts]
        lane = self.store.lane
        if lane is not None:
            errands = Errands(parts)
            heavy = sum(isinstance(part, PutPart) for part in parts)

            def drive(number: int) -> None:
                ride(lane, errands, self._pace, self.halt)

            for ended in in_parallel(errands.rides(heavy, self.halt), drive, width=MOST_RIDES, beat=beat):
                ended.value()
            parts = errands.left_over()

        def bring(part: Put | PutPart) -> None:
            self._pace.spend(1, self.halt)
            part.bring()

        for done in in_parallel(parts, bring, width=min(WIDTH, len(parts)), beat=beat):
            if done.error is not None:
                self._trouble(done.task.item, done.error)
        if self._unserved is not None and not self.progress.files:
            raise self._unserved  # it was not this file or that

    def arrived(self, item: Item, size: int) -> None:
        self._silent = 0
        self.waiting.discard(item.name)
        self.progress.add(size)
        self.progress.finish()

    def fail(self, item: Item, reason: str) -> None:
        """This one cannot go. A file fails once, however many parts it has."""
        if item.name in self.waiting:
            self.waiting.discard(item.name)
            self._failed.append((item.name, reason))

    def end(self) -> None:
        """No thread begins anything more, and no multipart upload is left behind."""
        self.halt.set()
        farewell = time.monotonic() + _FAREWELL

        def in_time() -> None:
            if time.monotonic() > farewell:
                raise _Late

        try:
            for _ in in_parallel(self._large, LargeObject.abandon, width=min(WIDTH, len(self._large)), beat=in_time):
                pass  # a store that does not take this either has been complained about already
        except _Late:
            pass

    def _begin_all(self, large: list[Item], multipart: Multipart, beat: Callable[[], None]) -> list[PutPart]:
        """Begin what goes in parts, or go on where a killed process has left off; returns what is to be sent."""
        missing: list[PutPart] = []
        there: list[PutPart] = []
        for begun in in_parallel(
            large, lambda item: self._begin(item, multipart), width=min(WIDTH, len(large)), beat=beat
        ):
            if begun.error is None:
                for part in begun.value():
                    (there if part.resumed else missing).append(part)
            else:
                self._trouble(begun.task, begun.error)

        def forget(begun: Begun) -> None:
            give_up(multipart, begun.key, begun.upload, self._unfinished)

        leftovers = self._unfinished.leftovers()
        for forgotten in in_parallel(leftovers, forget, width=min(WIDTH, len(leftovers)), beat=beat):
            forgotten.value()
        for compared in in_parallel(there, PutPart.is_there, width=min(_CHECKS, len(there)), beat=beat):
            if compared.error is not None:
                self._trouble(compared.task.item, compared.error)
            elif not compared.value():
                missing.append(compared.task)
        if there:
            self.progress.tell("an earlier upload goes on", parts=len(there), missing=len(missing))
        return missing

    def _begin(self, item: Item, multipart: Multipart) -> list[PutPart]:
        assert item.path is not None
        try:
            large = LargeObject(self.store, multipart, item.key, item.path, self._unfinished, self.outlast)
        except OSError as error:
            raise explain(error, item.path, "cannot read what is to be delivered") from error
        self._large.append(large)
        return [PutPart(self, item, large, *part) for part in large.parts()]

    def _trouble(self, item: Item, error: BaseException) -> None:
        """Put down a file's own trouble; raise what is everybody's."""
        if not isinstance(error, BootstrapError) or isinstance(error, EVERYBODYS):
            raise error
        self.fail(item, str(error))
        if isinstance(error, StoreUnavailable):
            self._unserved = error
            self._silent += 1
            if self._silent >= WIDTH:
                raise error


class Put(Errand):
    """One file, or one directory's marker, in one request."""

    __slots__ = ("_before", "_md5", "_upload", "item", "weight")

    def __init__(self, upload: Upload, item: Item) -> None:
        super().__init__()
        self._upload, self.item = upload, item
        self.weight = 1 + (item.size >> 16)  # its bytes are sent ahead with it, out of memory
        self._before: os.stat_result | None = None
        self._md5 = ""

    def send(self, lane: Lane, connection: Connection) -> None:
        if self.item.path is None:
            raise Unusual("a marker or a recorded link")
        try:
            file = os.open(self.item.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise Unusual("a file that cannot be read") from error
        try:
            self._before = os.fstat(file)
            md5 = hashlib.md5(usedforsecurity=False)
            _send_range(lane, connection, self.item.key, file, 0, self._before.st_size, digests=(md5,))
            self._md5 = md5.hexdigest()
        finally:
            os.close(file)

    def take(self, connection: Connection, answer: Answer) -> None:
        expect(answer, 200, answer.size)
        connection.body(answer.size)
        size = self._before.st_size if self._before is not None else 0
        if Entry("", size, answer.etag).md5 not in ("", self._md5):
            raise Unusual("something else arrived")
        if _changed(self.item.path, self._before):
            raise Unusual("the file changed meanwhile")
        self._upload.arrived(self.item, size)

    def bring(self) -> None:
        """Over the client of record, again if the store or the file's writer disturbs us."""
        upload, item = self._upload, self.item
        path = item.path
        if path is None:
            upload.outlast(lambda: upload.store.write(item.key, item.content))
            if item.content:
                upload.arrived(item, item.size)
            upload.waiting.discard(item.name)
            return None
        for _ in range(_ATTEMPTS):
            try:
                before = path.stat()
                upload.outlast(lambda: upload.store.write(item.key, path))
            except FileNotFoundError:
                return upload.fail(item, "vanished while it was sent")
            except OSError as error:
                raise explain(error, path, "cannot read what is to be delivered") from error
            except SourceChanging:
                continue
            if not path.exists():
                return upload.fail(item, "vanished while it was sent")
            if not _changed(path, before):
                return upload.arrived(item, before.st_size)
        return upload.fail(item, "kept changing while it was sent; what arrived may be a mixture")


class PutPart(Errand):
    """A part of a large file. Its integrity is the store's to check: the signature covers the body's SHA-256."""

    __slots__ = ("_large", "_number", "_size", "_start", "_upload", "item")

    weight = 16

    def __init__(self, upload: Upload, item: Item, large: LargeObject, number: int, start: int, size: int) -> None:
        super().__init__()
        self._upload, self.item, self._large = upload, item, large
        self._number, self._start, self._size = number, start, size

    @property
    def resumed(self) -> bool:
        """Whether it is of an upload that was begun earlier, so that it may be there."""
        return self._large.resumed

    def is_there(self) -> bool:
        """Whether it need not be sent."""
        etag = self._large.there(self._number)
        if etag:
            self._upload.progress.spare(self._size)
            self._conclude(etag)
        return bool(etag)

    def send(self, lane: Lane, connection: Connection) -> None:
        large = self._large
        try:
            file = large.file()
        except OSError as error:
            raise Unusual("a file that cannot be read") from error
        _send_range(lane, connection, large.key, file, self._start, self._size, upload=large.upload, part=self._number)

    def take(self, connection: Connection, answer: Answer) -> None:
        expect(answer, 200, answer.size)
        connection.body(answer.size)
        etag = answer.header("etag").strip('"')
        if not etag:
            raise Unusual("a part without an ETag")
        try:
            self._conclude(etag)
        except BootstrapError as error:
            if isinstance(error, EVERYBODYS):
                raise
            self._upload.fail(self.item, str(error))

    def bring(self) -> None:
        """Over the client of record."""
        if self.item.name not in self._upload.waiting:
            return  # another part has failed
        self._conclude(self._large.put(self._number))

    def _conclude(self, etag: str) -> None:
        if not self._large.arrived(self._number, etag):
            return
        if _changed(self.item.path, self._large.before):
            self._upload.fail(self.item, "changed while it was sent; what arrived may be a mixture")
        else:
            self._upload.arrived(self.item, self._large.before.st_size - self._large.spared)


def _send_range(
    lane: Lane,
    connection: Connection,
    key: str,
    file: int,
    start: int,
    size: int,
    *,
    digests: tuple[hashlib._Hash, ...] = (),
    upload: str = "",
    part: int = 0,
) -> None:
    """Send a request with a part of a file as its body, which ``digests`` are updated with too.

    It is read twice, the second time out of memory, since the signature needs its SHA-256 before it begins.
    """
    sha256 = hashlib.sha256()
    piece, at = b"", start
    while at < start + size:
        try:
            piece = os.pread(file, min(_CHUNK, start + size - at), at)
        except OSError as error:
            raise Unusual("a file that cannot be read") from error
        if not piece:
            raise Unusual("a file that became shorter")
        for digest in (sha256, *digests):
            digest.update(piece)
        at += len(piece)
    connection.send(lane.put(key, size, sha256.hexdigest(), upload=upload, part=part))
    if size <= len(piece):
        connection.send(piece)
    else:
        connection.send_file(file, start, size)


def _changed(path: Path | None, before: os.stat_result | None) -> bool:
    """Whether the file is another, or was written to, since ``before``."""
    try:
        after = path.stat() if path is not None else None
    except OSError:
        return True
    if before is None or after is None:
        return True
    return (before.st_mtime_ns, before.st_size, before.st_ino) != (after.st_mtime_ns, after.st_size, after.st_ino)
