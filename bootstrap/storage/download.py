"""Objects into files: in parallel, large ones in pieces, each verified and given its name only when it is whole."""

from __future__ import annotations

import hashlib
import os
import random
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING
from zlib import crc32

from bootstrap.errors import NothingThere, SourceChanging, StoreUnavailable
from bootstrap.job import StopRequest
from bootstrap.storage.express import MOST_RIDES, Errand, Errands, ride
from bootstrap.storage.largefile import LargeFile, is_large
from bootstrap.storage.local import Staging, executable_if_script, explain, local_trouble, make_directories
from bootstrap.storage.manifest import Manifest
from bootstrap.storage.outage import Outlast
from bootstrap.storage.pace import Pace
from bootstrap.storage.plan import Plan
from bootstrap.storage.progress import Progress
from bootstrap.storage.store import Entry, Store
from bootstrap.storage.wire import Answer, Connection, Unusual, expect
from bootstrap.storage.workers import TransferStopped, in_parallel

if TYPE_CHECKING:
    from bootstrap.storage.lane import Lane

WIDTH = 16
"""Most requests under way at once through the client of record."""

_AT_ONCE = 512 << 10  # bytes; larger objects are written as they come. 16 connections hold twice this each at most
_ATTEMPTS = 5
_MANY_CORES = 4
"""From so many on there is one to spare for CRC-32s. On two, with the server beside us, they make it 30 % slower."""

_LOOKING = 4  # large files at once, for what an earlier fetch left of them


def bring_all(
    store: Store, plan: Plan, root: str, manifest: Manifest, *, pace: Pace, progress: Progress, stop: StopRequest
) -> None:
    """Make the plan's directories and files below ``root``; returns when every one is there, whole.

    Raises the first error; then files that are whole stay, and what has come of large ones, and nothing else does.
    ``manifest`` is told of each file.

    Memory: 0.6 kB a file of the plan, 0.2 kB a piece of a large object, and 1 MiB a request under way.
    """
    staging = Staging()
    halt = threading.Event()  # set when we leave, for whatever reason: no thread works on for nobody
    outlast = Outlast(store.patience, halt, pace=pace, say=progress.trouble)
    download = Download(store, root, staging, progress, halt, outlast, manifest)

    def beat() -> None:
        if stop.is_set():
            raise TransferStopped
        manifest.flush()
        progress.beat()

    try:
        make_directories(root, plan.directories)
        parts = download.parts(plan.files, beat)
        lane = store.lane
        if lane is not None:
            errands = Errands(parts)
            heavy = sum(isinstance(part, Piece) for part in parts)

            def drive(number: int) -> None:
                ride(lane, errands, pace, halt)

            for ended in in_parallel(errands.rides(heavy, halt), drive, width=MOST_RIDES, beat=beat):
                ended.value()
            parts = errands.left_over()

        def bring_part(part: Whole | Piece) -> None:
            pace.spend(1, halt)
            part.bring()

        for done in in_parallel(parts, bring_part, width=min(WIDTH, len(parts)), beat=beat):
            done.value()
    except OSError as error:
        raise explain(error, error.filename2 or error.filename or root, "cannot write what is fetched") from error
    finally:
        halt.set()
        download.close()


class Download:
    """What all parts of one download share."""

    def __init__(
        self,
        store: Store,
        root: str,
        staging: Staging,
        progress: Progress,
        stop: StopRequest,
        outlast: Outlast,
        manifest: Manifest,
    ) -> None:
        self.store, self.root, self.staging, self.progress, self.stop = store, root, staging, progress, stop
        self.outlast, self.manifest = outlast, manifest
        self.large: list[LargeFile] = []
        self._spare = len(os.sched_getaffinity(0)) >= _MANY_CORES

    def parts(self, files: Iterable[tuple[str, Entry]], beat: Callable[[], None]) -> list[Whole | Piece]:
        """What is to be brought: small objects as they are, the pieces of large ones that are not here yet."""
        small: list[Whole | Piece] = []
        for path, entry in sorted(files, key=lambda file: -file[1].size):  # the largest take longest
            whole = Whole(self, path, entry)
            if is_large(entry):
                self.large.append(LargeFile(entry, path, whole.final, self.staging, self.stop, whole.bring))
            else:
                small.append(whole)
        pieces: list[Whole | Piece] = []
        for found in in_parallel(self.large, LargeFile.missing, width=min(_LOOKING, len(self.large)), beat=beat):
            missing = found.value()
            self.progress.present(found.task.entry.size - sum(end - start for start, end in missing))
            pieces += [Piece(self, found.task, start, end) for start, end in missing]
        return pieces + small

    def sums(self, entry: Entry) -> bool:
        """Whether to compute CRC-32s of its pieces, since no MD5 will tell one state of the file from another."""
        return self._spare and not entry.md5

    def close(self) -> None:
        """End it: nothing more appears, and what is not whole goes away, unless another fetch can go on with it."""
        for large in self.large:
            large.close()
        self.staging.close()


class Whole(Errand):
    """One object, in one stream."""

    __slots__ = ("_download", "_entry", "_path", "weight")

    def __init__(self, download: Download, path: str, entry: Entry) -> None:
        super().__init__()
        self._download, self._path, self._entry = download, path, entry
        self.weight = 1 + (entry.size >> 18)

    @property
    def final(self) -> str:
        """The file's name once it is whole; put together each time, since there may be a million of us."""
        return f"{self._download.root}/{self._path}"

    def send(self, lane: Lane, connection: Connection) -> None:
        connection.send(lane.get(self._entry.key))

    def take(self, connection: Connection, answer: Answer) -> None:
        size = self._entry.size
        expect(answer, 200, size)
        # Encrypted objects have ETags that look like a digest; only the answer says so.
        etag = answer.etag
        found = self._entry if etag in ("", self._entry.etag) else replace(self._entry, etag=etag)
        if size <= _AT_ONCE:
            body = connection.body(size)
            md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
            if found.md5 not in ("", md5):
                raise Unusual("other bytes than the object's")
            final = self.final
            with local_trouble(final):
                self._keep(final, body, found, md5)
        else:
            self._stream(connection, found)

    def bring(self) -> None:
        """Over the client of record."""
        download = self._download
        final = self.final
        _, found, md5 = bring(
            download.store,
            self._entry,
            final,
            download.staging,
            publish=True,
            outlast=download.outlast,
            progress=download.progress,
            stop=download.stop,
        )
        self._finish(found, os.stat(final).st_mtime_ns, md5)

    def _keep(self, final: str, body: bytes, found: Entry, md5: str) -> None:
        staging = self._download.staging
        file, partial = staging.create(final)
        try:
            write(file, body, 0)
            if body.startswith(b"#!"):
                executable_if_script(file)
            mtime_ns = os.fstat(file).st_mtime_ns
            staging.publish(partial, final)
        finally:
            os.close(file)
        self._download.progress.add(len(body))
        self._finish(found, mtime_ns, md5)

    def _stream(self, connection: Connection, found: Entry) -> None:
        staging, progress, stop = self._download.staging, self._download.progress, self._download.stop
        final = self.final
        digest = hashlib.md5(usedforsecurity=False)
        at = 0
        with local_trouble(final):
            file, partial = staging.create(final)

        def take(piece: memoryview) -> None:
            nonlocal at
            if stop.is_set():
                raise TransferStopped
            with local_trouble(final):
                write(file, piece, at)
            digest.update(piece)
            at += len(piece)
            progress.add(len(piece))

        try:
            connection.pour(found.size, take)
            if found.md5 not in ("", digest.hexdigest()):
                raise Unusual("other bytes than the object's")
            with local_trouble(final):
                executable_if_script(file)
                mtime_ns = os.fstat(file).st_mtime_ns
                staging.publish(partial, final)
            self._finish(found, mtime_ns, digest.hexdigest())
        except (OSError, Unusual):
            progress.add(-at)
            staging.discard(partial)
            raise
        finally:
            os.close(file)

    def _finish(self, found: Entry, mtime_ns: int, md5: str) -> None:
        self._download.manifest.note(self._path, found, mtime_ns, md5)
        self._download.progress.finish()


class Piece(Errand):
    """A part of a large object."""

    __slots__ = ("_download", "_end", "_large", "_start")

    weight = 16

    def __init__(self, download: Download, large: LargeFile, start: int, end: int) -> None:
        super().__init__()
        self._download, self._large, self._start, self._end = download, large, start, end

    def send(self, lane: Lane, connection: Connection) -> None:
        connection.send(lane.get(self._large.entry.key, self._start, self._end))

    def take(self, connection: Connection, answer: Answer) -> None:
        large, progress, stop = self._large, self._download.progress, self._download.stop
        expect(answer, 206, self._end - self._start)
        if answer.etag != large.entry.etag:
            raise Unusual("another object than listed")
        at, crc, summed = self._start, 0, self._download.sums(large.entry)

        def take(piece: memoryview) -> None:
            nonlocal at, crc
            if stop.is_set():
                raise TransferStopped
            with local_trouble(large.final):
                write(file, piece, at)
            crc = crc32(piece, crc) if summed else 0
            at += len(piece)
            progress.add(len(piece))

        try:
            with large.file() as file:
                connection.pour(self._end - self._start, take)
        except OSError:
            progress.add(self._start - at)
            raise
        self._conclude(crc)

    def bring(self) -> None:
        """Over the client of record, again if need be."""
        crc = 0
        try:
            if not self._large.spoiled:
                crc = self._download.outlast(self._bring)
        except SourceChanging:
            self._large.spoil()
        self._conclude(crc)

    def _conclude(self, crc: int) -> None:
        large = self._large
        with local_trouble(large.final):
            whole = large.arrived(self._start, crc)
        if whole is not None:
            self._download.manifest.note(large.path, large.entry, *whole)
            self._download.progress.finish()

    def _bring(self) -> int:
        """Returns the CRC-32 of what came, if it is wanted."""
        store, progress, stop = self._download.store, self._download.progress, self._download.stop
        entry = self._large.entry
        at, crc, summed = self._start, 0, self._download.sums(entry)
        try:
            with self._large.file() as file:
                body = store.read(entry.key, start=self._start, end=self._end, etag=entry.etag)
                for piece in body:
                    if stop.is_set():
                        body.close()
                        raise TransferStopped
                    write(file, piece, at)
                    crc = crc32(piece, crc) if summed else 0
                    at += len(piece)
                    progress.add(len(piece))
        except NothingThere as error:
            raise SourceChanging("an object was listed, and gone when it was read", where=error.where) from error
        except StoreUnavailable:
            progress.add(self._start - at)
            raise
        if at != self._end:
            raise SourceChanging("an object has another size than listed", where=entry.key)
        return crc


def bring(
    store: Store,
    entry: Entry,
    final: str,
    staging: Staging,
    *,
    publish: bool = False,
    outlast: Outlast,
    progress: Progress,
    stop: StopRequest,
) -> tuple[str, Entry, str]:
    """Bring one object, in one stream, into a verified partial file beside ``final``, and ``publish`` it there.

    Returns the partial file's name, what the store said of the object when it was read, and the bytes' MD5.

    A body that breaks off is fetched again for as long as an outage is waited for; one that differs, a few times.
    """

    def once() -> tuple[str, Entry, str]:
        file, partial = staging.create(final)
        moved = 0
        try:
            digest = hashlib.md5(usedforsecurity=False)
            body = store.read(entry.key)
            for piece in body:
                if stop.is_set():
                    body.close()
                    raise TransferStopped
                write(file, piece, moved)
                digest.update(piece)
                moved += len(piece)
                progress.add(len(piece))
            _verify(body.entry, moved, digest.hexdigest())
            executable_if_script(file)
            if publish:
                staging.publish(partial, final)
            return partial, replace(body.entry, mtime=entry.mtime), digest.hexdigest()
        except BaseException:
            progress.add(-moved)
            staging.discard(partial)
            raise
        finally:
            os.close(file)

    for attempt in range(1, _ATTEMPTS):
        try:
            return outlast(once)
        except NothingThere as error:
            raise SourceChanging("an object was listed, and gone when it was read", where=error.where) from error
        except (_Differs, SourceChanging):
            pause(attempt, stop)
    return outlast(once)


class _Differs(StoreUnavailable):
    """A body is not the object's."""

    def __init__(self, what: str, *, where: str, why: str) -> None:
        super().__init__(what, where=where, why=why, http_status=200)


def pause(attempt: int, stop: StopRequest) -> None:
    """Wait before the next try: 0.1 s doubled each time, of which a random part, so that nodes do not march in step."""
    if stop.wait(random.uniform(0.5, 1.0) * min(10.0, 0.1 * 2**attempt)):
        raise TransferStopped


def write(file: int, piece: bytes | memoryview, at: int) -> None:
    """All of ``piece`` at ``at``."""
    written = os.pwrite(file, piece, at)
    while written < len(piece):
        written += os.pwrite(file, memoryview(piece)[written:], at + written)


def _verify(entry: Entry, size: int, md5: str) -> None:
    if size != entry.size:
        why = f"{size} bytes came, {entry.size} were announced"
        raise _Differs("a body is not as long as it should be", where=entry.key, why=why)
    if entry.md5 and entry.md5 != md5:
        why = f"its MD5 is {md5}, the store says {entry.md5}"
        raise _Differs("the bytes that came are not the object's", where=entry.key, why=why)
