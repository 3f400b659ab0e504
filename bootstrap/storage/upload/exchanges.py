"""What an upload consists of: files in one request each, and parts of large ones; and what they share."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

from ...errors import (
    BootstrapError,
    BucketMissing,
    ClockSkewed,
    CredentialsExpired,
    CredentialsMissing,
    CredentialsRejected,
    EndpointWrong,
    NameUnresolved,
    SourceChanging,
)
from ..common.file_errors import explain
from ..common.hashes import Hashes
from ..common.progress import Progress
from ..common.rate_limit import Throttle
from ..common.retry import Retry
from ..common.sparse import pieces, stretches
from ..common.workers import TransferStopped
from ..model.pipeline import Answer, Connection, Exchange, NeedsFallback
from ..model.store import ENCRYPTED, Entry, Store
from .multipart import LargeObject
from .walk import Item, Named

_ATTEMPTS = 4  # for a file that changes while it is sent
_CHUNK = 128 << 10  # bytes that are read at once; there may be hundreds of connections
LONG = 64 << 10
"""Bytes from which on a file is more than one small request, and is sent before those."""

_STEP = 256 << 10  # bytes that are sent at once: within a bound on the rate, and seen by who waits for a large file

CONCERNS_ALL: tuple[type[BootstrapError], ...] = (
    BucketMissing,
    ClockSkewed,
    CredentialsExpired,
    CredentialsMissing,
    CredentialsRejected,
    EndpointWrong,
    NameUnresolved,
)
"""Trouble that concerns every file alike, so that there is no use in trying the next."""


class Uploading:
    """What all exchanges of one upload share: how far it is. From any thread."""

    def __init__(
        self,
        store: Store,
        progress: Progress,
        retry: Retry,
        failed: Named,
        halt: threading.Event,
        throttle: Throttle,
    ) -> None:
        self.halt, self.throttle = halt, throttle
        self.store, self.progress, self.retry = store, progress, retry
        self.settled = Hashes()
        """Names of what has arrived or failed."""
        self.silent = 0
        """Objects in a row that the store did not take, without one that it did."""
        self._failed, self._names_failed = failed, set[str]()

    def arrived(self, item: Item) -> None:
        self.silent = 0
        self.settled.add(item.name)
        self.progress.finish()

    def fail(self, item: Item, reason: str) -> None:
        """This one cannot go. A file fails once, however many parts it has."""
        if not self.has_failed(item):
            self._names_failed.add(item.name)
            self.settled.add(item.name)
            self._failed.append((item.name, reason))

    def has_failed(self, item: Item) -> bool:
        return item.name in self._names_failed


class Counted:
    """The bytes of one file or part as they go, within the bound on the rate: seen while a large file is on its way,
    and taken back when it has to go again.
    """

    __slots__ = ("_seen", "_upload")

    def __init__(self, upload: Uploading) -> None:
        self._upload, self._seen = upload, 0

    def moved(self, size: int) -> None:
        """So many more go. Raises :class:`TransferStopped`."""
        if self._upload.halt.is_set():
            raise TransferStopped
        self._upload.throttle.spend(size, self._upload.halt)
        self._upload.progress.add(size)
        self._seen += size

    def again(self) -> None:
        """They go from the beginning."""
        self._upload.progress.add(-self._seen)
        self._seen = 0

    def arrived(self, size: int) -> None:
        """All of them have gone, also those that nobody could count on their way."""
        if size != self._seen:
            self.moved(size - self._seen)


class Put(Exchange):
    """One file, or one directory's marker, in one request."""

    __slots__ = ("_before", "_counted", "_md5", "_upload", "item", "weight")

    def __init__(self, upload: Uploading, item: Item) -> None:
        super().__init__()
        self._upload, self.item = upload, item
        self._counted = Counted(upload)
        self.weight = 1 + item.size // LONG  # its bytes are sent ahead with it, out of memory
        self._before: os.stat_result | None = None
        self._md5 = ""

    def send(self, connection: Connection) -> None:
        if self.item.path is None:
            raise NeedsFallback("a marker or a recorded link")
        try:
            file = os.open(self.item.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise NeedsFallback("a file that cannot be read") from error
        try:
            self._before = os.fstat(file)
            self._md5 = _send_range(self._counted, connection, self.item.key, file, 0, self._before.st_size)
        finally:
            os.close(file)

    def take(self, connection: Connection, answer: Answer) -> None:
        answer.expect(200)
        connection.body(answer.size)
        if not answer.etag:
            raise _no_store(answer) if "html" in answer.header("content-type") else NeedsFallback("no ETag")
        size = self._before.st_size if self._before is not None else 0
        if Entry("", size, answer.etag).md5 not in ("", self._md5):
            raise NeedsFallback("something else arrived")
        if _changed(self.item.path, self._before):
            raise NeedsFallback("the file changed meanwhile")
        self._counted.arrived(size)
        self._upload.arrived(self.item)

    def bring(self) -> None:
        """By the store's own methods, again if the store or the file's writer disturbs us."""
        upload, item = self._upload, self.item
        path = item.path
        if path is None:
            upload.retry(lambda: upload.store.write(item.key, item.content))
            if item.content:
                self._counted.moved(item.size)
                upload.arrived(item)
            upload.settled.add(item.name)
            return None
        for _ in range(_ATTEMPTS):
            try:
                before = path.stat()
                upload.retry(lambda: self._write(path))
            except FileNotFoundError:
                return upload.fail(item, "vanished while it was sent")
            except OSError as error:
                raise explain(error, path, "cannot read what is to be delivered") from error
            except SourceChanging:
                continue
            if not path.exists():
                return upload.fail(item, "vanished while it was sent")
            if not _changed(path, before):
                self._counted.arrived(before.st_size)
                return upload.arrived(item)
        return upload.fail(item, "kept changing while it was sent; what arrived may be a mixture")

    def _write(self, path: Path) -> None:
        self._counted.again()
        self._upload.store.write(self.item.key, path, moved=self._counted.moved)


class PutPart(Exchange):
    """A part of a large file."""

    __slots__ = ("_counted", "_large", "_md5", "_number", "_size", "_start", "_upload", "item")

    weight = 16

    def __init__(self, upload: Uploading, item: Item, large: LargeObject, number: int, start: int, size: int) -> None:
        super().__init__()
        self._upload, self.item, self._large = upload, item, large
        self._number, self._start, self._size = number, start, size
        self._counted = Counted(upload)
        self._md5 = ""

    @property
    def resumed(self) -> bool:
        """Whether it is of an upload that was begun earlier, so that it may be there."""
        return self._large.resumed

    def is_there(self) -> bool:
        """Whether it need not be sent."""
        etag = self._large.there(self._number)
        if etag:
            self._upload.progress.spare(self._size)
            self._conclude(etag, spared=True)
        return bool(etag)

    def send(self, connection: Connection) -> None:
        large = self._large
        try:
            file = large.file()
        except OSError as error:
            raise NeedsFallback("a file that cannot be read") from error
        start, size = self._start, self._size
        self._md5 = _send_range(
            self._counted, connection, large.key, file, start, size, upload_id=large.upload, part=self._number
        )

    def take(self, connection: Connection, answer: Answer) -> None:
        answer.expect(200)
        connection.body(answer.size)
        etag = answer.etag.removesuffix(ENCRYPTED)
        if not etag:
            raise NeedsFallback("a part without an ETag")
        if Entry("", self._size, answer.etag).md5 not in ("", self._md5):
            raise NeedsFallback("something else arrived")
        try:
            self._conclude(etag)
        except BootstrapError as error:
            if isinstance(error, CONCERNS_ALL):
                raise
            self._upload.fail(self.item, str(error))

    def bring(self) -> None:
        """By the store's own methods."""
        if self._upload.has_failed(self.item):
            return  # another part has failed
        self._counted.again()
        self._conclude(self._large.put(self._number))

    def _conclude(self, etag: str, spared: bool = False) -> None:
        if not spared:
            self._counted.arrived(self._size)
        if not self._large.arrived(self._number, etag):
            return
        if _changed(self.item.path, self._large.before):
            self._upload.fail(self.item, "changed while it was sent; what arrived may be a mixture")
        else:
            self._upload.arrived(self.item)


def _send_range(
    counted: Counted,
    connection: Connection,
    key: str,
    file: int,
    start: int,
    size: int,
    *,
    upload_id: str = "",
    part: int = 0,
) -> str:
    """Send a request with a part of a file as its body; returns the MD5 of what was sent.

    Where the signature needs a SHA-256 before it begins, the part is read twice, the second time out of memory. The MD5
    is made on its way, while the store takes what is sent. Holes are not read at all.
    """
    counted.again()
    md5 = hashlib.md5(usedforsecurity=False)
    sha256 = ""
    if size <= _CHUNK or not connection.is_sealed:
        digest, at = hashlib.sha256(), start
        piece: bytes | memoryview = b""
        try:
            for piece in pieces(file, start, start + size, _CHUNK):
                digest.update(piece)
                at += len(piece)
        except OSError as error:
            raise NeedsFallback("a file that cannot be read") from error
        if at < start + size:
            raise NeedsFallback("a file that became shorter")
        sha256 = digest.hexdigest()
        if size <= len(piece):
            connection.put(key, size, sha256, upload=upload_id, part=part)
            counted.moved(size)
            connection.send(bytes(piece))
            md5.update(piece)
            return md5.hexdigest()
    connection.put(key, size, sha256, upload=upload_id, part=part)
    left = size
    for begin, end, is_data in stretches(file, start, start + size):
        for at in range(begin, end, _STEP):
            step = min(_STEP, end - at)
            counted.moved(step)
            if is_data:
                connection.send_file(file, at, step, md5)
            else:
                connection.send_zeros(step, md5)
            left -= step
    if left:
        raise ConnectionAbortedError("a file became shorter while it was sent")
    return md5.hexdigest()


def _no_store(answer: Answer) -> EndpointWrong:
    """Who takes an object and sends a web page is none; boto3 would make an error of the store's of it."""
    why = f"it took an object with {answer.status} and sent a web page, as a console's port or a login page does"
    remedy = "check S3_ENDPOINT: its host, its port (not the console's) and whether the network lets us through"
    return EndpointWrong("no object store answers there", why=why, remedy=remedy)


def _changed(path: Path | None, before: os.stat_result | None) -> bool:
    """Whether the file is another, or was written to, since ``before``."""
    try:
        after = path.stat() if path is not None else None
    except OSError:
        return True
    if before is None or after is None:
        return True
    return (before.st_mtime_ns, before.st_size, before.st_ino) != (after.st_mtime_ns, after.st_size, after.st_ino)
