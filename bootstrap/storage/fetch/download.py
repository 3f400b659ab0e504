"""Objects into files: in parallel, large ones in pieces, each verified and given its name only when it is whole."""

from __future__ import annotations

import hashlib
import os
import threading
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from zlib import crc32

from ...errors import NothingThere, PermissionDenied, SourceChanging
from ...ground.writes import write_all_at
from ...job import StopRequest
from ...values import replace
from ..common.file_errors import explain, local_trouble
from ..common.progress import Progress
from ..common.rate_limit import RateLimit
from ..common.retry import Retry
from ..common.workers import TransferStopped, in_parallel
from ..local.staging import Staging, executable_if_script, make_directories
from ..model.pipeline import Answer, Connection, Exchange, Made, NeedsFallback, Several
from ..model.store import ENCRYPTED, Entry, Store
from .files import Files
from .index import FetchIndex
from .large_file import LargeFile, is_large
from .one_stream import bring, partial_reader
from .plan import FetchPlan
from .verification.verifier import Differs, Verifier

WIDTH = 16
"""Most requests under way at once by the store's own methods."""

_AT_ONCE = 128 << 10  # bytes; larger objects are written as they come, through the connection's buffer
_MOST_NAMED = 20
_LOOKING = 4  # large files at once, for what an earlier fetch left of them


def bring_all(
    store: Store,
    plan: FetchPlan,
    root: str,
    index: FetchIndex,
    *,
    rate_limit: RateLimit,
    progress: Progress,
    stop: StopRequest,
    way: Way | None = None,
    verifier: Verifier | None = None,
    land: Callable[[Files], Files] | None = None,
) -> None:
    """Make the plan's directories and files below ``root``; returns when every one is there, whole.

    The parts come from the store, or in another ``way`` that is given how to bring some of them from there; what is
    here already is given its name by ``land``, which returns the rest.

    Raises the first error; then files that are whole stay, and what has come of large ones, and nothing else does.
    ``index`` is told of each file.

    Memory: 4 bytes a file of the plan, 0.2 kB a piece of a large object, and 256 kB at most a connection.
    """
    staging = Staging()
    halt = threading.Event()  # set when we leave, for whatever reason: no thread works on for nobody
    retry = Retry(store.retry_window, halt, rate_limit=rate_limit, say=progress.trouble)
    download = Download(store, root, staging, progress, halt, retry, index, verifier or Verifier(store))

    def beat() -> None:
        if stop.is_set():
            raise TransferStopped
        index.flush()
        progress.beat()

    try:
        make_directories(root, plan.directories)
        files = plan.files if land is None else land(plan.files)
        parts = download.parts(files, beat)
        from_store = partial(_bring, download, rate_limit, beat=beat)
        if way is None:
            from_store(parts)
        else:
            way(download, parts, from_store, beat)
    except OSError as error:
        raise explain(error, error.filename2 or error.filename or root, "cannot write what is fetched") from error
    finally:
        halt.set()
        download.close()


def _bring(
    download: Download, rate_limit: RateLimit, parts: Several[Whole | Piece], *, beat: Callable[[], None]
) -> None:
    """From the store: the fast way, and by its own methods what is left."""
    pipeline, halt = download.store.pipeline, download.stop
    if pipeline is not None:
        heavy = sum(isinstance(part, Piece) for part in (parts.first if isinstance(parts, Made) else parts))
        parts = pipeline.run(parts, heavy=heavy, budget=rate_limit, stop=halt, beat=beat)

    def bring_part(part: Whole | Piece) -> None:
        rate_limit.spend(1, halt)
        part.bring()

    archived: list[PermissionDenied] = []
    for done in in_parallel(parts, bring_part, width=min(WIDTH, len(parts)), beat=beat):
        if isinstance(done.error, PermissionDenied) and done.error.facts.get("store_code") == "InvalidObjectState":
            archived.append(done.error)  # somebody has to restore them: then all at once
        else:
            done.value()
    if archived:
        raise _all_archived(archived)


class Download:
    """What all parts of one download share."""

    def __init__(
        self,
        store: Store,
        root: str,
        staging: Staging,
        progress: Progress,
        stop: StopRequest,
        retry: Retry,
        index: FetchIndex,
        verifier: Verifier,
    ) -> None:
        self.store, self.root, self.staging, self.progress, self.stop = store, root, staging, progress, stop
        self.retry, self.index, self.verifier = retry, index, verifier
        self.large: list[LargeFile] = []
        self.arrived: Callable[[Whole, str], None] | None = None  # told of each object in one stream, with its MD5

    def parts(self, files: Files, beat: Callable[[], None]) -> Several[Whole | Piece]:
        """What is to be brought: small objects as they are, the pieces of large ones that are not here yet."""
        sizes = files.listing.sizes
        small = array("I")
        streams: list[int] = []  # beside them, and those of large objects
        for row in files.rows:
            if sizes[row] <= _AT_ONCE:
                small.append(row)
            else:
                streams.append(row)
        whole: list[int] = []
        for row in sorted(streams, key=sizes.__getitem__, reverse=True):  # the largest take longest
            entry, path = files.listing[row], files.path(row)
            if is_large(entry):
                again = Whole(self, path, entry)
                self.large.append(
                    LargeFile(entry, path, again.final, self.staging, self.stop, self.verifier, again.bring)
                )
            else:
                whole.append(row)
        pieces: list[Whole | Piece] = []
        for found in in_parallel(self.large, LargeFile.missing, width=min(_LOOKING, len(self.large)), beat=beat):
            missing = found.value()
            self.progress.present(found.task.entry.size - sum(end - start for start, end in missing))
            pieces += [Piece(self, found.task, start, end) for start, end in missing]
        return Made(pieces, files.only(array("I", whole) + small), lambda file: Whole(self, *file))

    def sums(self, entry: Entry) -> bool:
        """Whether to compute CRC-32s of its pieces, since no MD5 will tell one state of the file from another."""
        return self.verifier.spare and not entry.md5

    @property
    def hashes(self) -> bool:
        """Whether MD5s of small objects are wanted, by us or by other nodes."""
        return self.verifier.hashes or self.arrived is not None

    def close(self) -> None:
        """End it: nothing more appears, and what is not whole goes away, unless another fetch can go on with it."""
        for large in self.large:
            large.close()
        self.staging.close()


class Whole(Exchange):
    """One object, in one stream."""

    __slots__ = ("_download", "_path", "entry", "weight")

    reads = True

    def __init__(self, download: Download, path: str, entry: Entry) -> None:
        super().__init__()
        self._download, self._path, self.entry = download, path, entry
        self.weight = 1 + (entry.size >> 18)

    @property
    def final(self) -> str:
        """The file's name once it is whole."""
        return f"{self._download.root}/{self._path}"

    def send(self, connection: Connection) -> None:
        connection.get(self.entry.key)

    def take(self, connection: Connection, answer: Answer) -> None:
        found = self.entry
        size = found.size
        answer.expect(200, size)
        # Encrypted objects have ETags that look like a digest; only the answer says so.
        etag = answer.etag
        if etag not in ("", found.etag):
            found = replace(found, etag=etag)
        if size <= _AT_ONCE:
            body = connection.body(size)
            md5 = hashlib.md5(body, usedforsecurity=False).hexdigest() if self._download.hashes else ""
            verified = self._verified(found, md5, lambda start, end: body[start:end])
            final = self.final
            with local_trouble(final):
                self._keep(final, body, found, md5, verified)
        else:
            self._stream(connection, found)

    def bring(self) -> None:
        """By the store's own methods."""
        download = self._download
        final = self.final
        _, found, md5 = bring(
            download.store,
            self.entry,
            final,
            download.staging,
            publish=True,
            verifier=download.verifier,
            hashes=download.hashes,
            retry=download.retry,
            progress=download.progress,
            stop=download.stop,
        )
        self._note(found, os.stat(final).st_mtime_ns, md5)

    def appear(self, partial: str, found: Entry, mtime_ns: int, md5: str, verified: str) -> None:
        """All of it is here, and is what the store has, as it was ``found``: it gets its name."""
        self._download.staging.publish(partial, self.final)
        self._download.progress.verified_by(verified, self.entry.key)
        self._note(found, mtime_ns, md5)

    def _keep(self, final: str, body: bytes, found: Entry, md5: str, verified: str) -> None:
        staging = self._download.staging
        file, partial = staging.create(final)
        try:
            write_all_at(file, body, 0)
            if body.startswith(b"#!"):
                executable_if_script(file)
            mtime_ns = os.fstat(file).st_mtime_ns
            self._download.progress.add(len(body))
            self.appear(partial, found, mtime_ns, md5, verified)
        finally:
            os.close(file)

    def _stream(self, connection: Connection, found: Entry) -> None:
        staging, progress, stop = self._download.staging, self._download.progress, self._download.stop
        final = self.final
        digest = hashlib.md5(usedforsecurity=False) if self._download.hashes else None
        at = 0
        with local_trouble(final):
            file, partial = staging.create(final)

        def take(piece: memoryview) -> None:
            nonlocal at
            if stop.is_set():
                raise TransferStopped
            with local_trouble(final):
                write_all_at(file, piece, at)
            if digest is not None:
                digest.update(piece)
            at += len(piece)
            progress.add(len(piece))

        try:
            connection.pour(found.size, take)
            md5 = digest.hexdigest() if digest is not None else ""
            verified = self._verified(found, md5, partial_reader(file, stop))
            with local_trouble(final):
                executable_if_script(file)
                self.appear(partial, found, os.fstat(file).st_mtime_ns, md5, verified)
        except (OSError, NeedsFallback):
            progress.add(-at)
            staging.discard(partial)
            raise
        finally:
            os.close(file)

    def _verified(self, found: Entry, md5: str, read: Callable[[int, int], bytes]) -> str:
        if md5 and found.md5 not in ("", md5):
            raise NeedsFallback("other bytes than the object's")
        try:
            return self._download.verifier.verified(self.entry, found, md5, read, large=False)
        except Differs as error:
            raise NeedsFallback(error.what) from error

    def _note(self, found: Entry, mtime_ns: int, md5: str) -> None:
        self._download.index.note(self._path, found, mtime_ns, md5)
        self._download.progress.finish()
        if self._download.arrived is not None:
            self._download.arrived(self, md5)


class Piece(Exchange):
    """A part of a large object. ``offer`` is told when it has come from the store, and is on the disk."""

    __slots__ = ("_download", "end", "large", "offer", "start")

    weight, reads = 16, True

    def __init__(self, download: Download, large: LargeFile, start: int, end: int) -> None:
        super().__init__()
        self._download, self.large, self.start, self.end = download, large, start, end
        self.offer: Callable[[Piece], None] | None = None

    def send(self, connection: Connection) -> None:
        connection.get(self.large.entry.key, self.start, self.end)

    def take(self, connection: Connection, answer: Answer) -> None:
        large = self.large
        answer.expect(206, self.end - self.start)
        if answer.etag.removesuffix(ENCRYPTED) != large.entry.etag.removesuffix(ENCRYPTED):
            raise NeedsFallback("another object than listed")
        if answer.etag.endswith(ENCRYPTED):
            large.has_no_md5()
        with self.arriving() as bytes_of_it:
            connection.save(self.end - self.start, bytes_of_it)
        self._conclude(bytes_of_it.crc)

    def bring(self) -> None:
        """By the store's own methods, again if need be."""
        crc = 0
        try:
            if not self.large.spoiled:
                crc = self._download.retry(self._bring)
        except SourceChanging:
            self.large.spoil()
        self._conclude(crc)

    @contextmanager
    def arriving(self) -> Iterator[Arriving]:
        """For its bytes, in order; when it is left by an error, they count as not come."""
        with self.large.file() as file:
            bytes_of_it = Arriving(self._download, self, file)
            try:
                yield bytes_of_it
            except BaseException:
                self._download.progress.add(self.start - bytes_of_it.at)
                raise

    def conclude(self, crc: int) -> None:
        """All its bytes are in the file."""
        large = self.large
        with local_trouble(large.final):
            whole = large.arrived(self.start, crc)
        if whole is not None:
            mtime_ns, digest, verified = whole
            self._download.index.note(large.path, large.entry, mtime_ns, digest)
            self._download.progress.verified_by(verified, large.entry.key)
            self._download.progress.finish()

    def _conclude(self, crc: int) -> None:
        if self.offer is not None and not self.large.spoiled:
            self.offer(self)
        self.conclude(crc)

    def _bring(self) -> int:
        """Returns the CRC-32 of what came, if it is wanted."""
        entry = self.large.entry
        try:
            body = self._download.store.read(entry.key, start=self.start, end=self.end, etag=entry.etag)
            if body.entry.etag.endswith(ENCRYPTED):
                self.large.has_no_md5()
            with self.arriving() as bytes_of_it:
                try:
                    for data in body:
                        bytes_of_it.take(data)
                except TransferStopped:
                    body.close()
                    raise
                if bytes_of_it.at != self.end:
                    raise SourceChanging("an object has another size than listed", where=entry.key)
        except NothingThere as error:
            raise SourceChanging("an object was listed, and gone when it was read", where=error.where) from error
        return bytes_of_it.crc


class Arriving:
    """Bytes of a piece, on their way into its file. ``crc``: their CRC-32 so far, 0 if it is not wanted."""

    __slots__ = ("_download", "_final", "at", "crc", "file", "sums")

    def __init__(self, download: Download, piece: Piece, file: int) -> None:
        self._download, self.file, self._final = download, file, piece.large.final
        self.sums = download.sums(piece.large.entry)
        self.at, self.crc = piece.start, 0

    def take(self, data: bytes | memoryview) -> None:
        """The next of them. Raises :class:`TransferStopped`."""
        if self._download.stop.is_set():
            raise TransferStopped
        with local_trouble(self._final):
            write_all_at(self.file, data, self.at)
        self.took(len(data), crc32(data, self.crc) if self.sums else 0)

    def took(self, size: int, crc: int) -> None:
        """So many more are written, all with this CRC-32. Raises :class:`TransferStopped`."""
        if self._download.stop.is_set():
            raise TransferStopped
        self.crc = crc
        self.at += size
        self._download.progress.add(size)

    def refused(self, number: int) -> None:
        """Raises what a file means that takes no more."""
        with local_trouble(self._final):
            raise OSError(number, os.strerror(number))


Way = Callable[
    [Download, "Several[Whole | Piece]", Callable[["Several[Whole | Piece]"], None], Callable[[], None]], None
]
"""Brings the parts of a download, given how to bring some from the store, and the heartbeat of whoever waits."""


def _all_archived(errors: list[PermissionDenied]) -> PermissionDenied:
    names = sorted({error.where for error in errors})
    listed = ", ".join(names[:_MOST_NAMED]) + (f" and {len(names) - _MOST_NAMED} more" * (len(names) > _MOST_NAMED))
    first = errors[0]
    what = f"{len(names)} objects are archived" if len(names) > 1 else first.what
    return PermissionDenied(what, where=listed, why=first.why, remedy=first.remedy, **{**first.facts, "names": names})
