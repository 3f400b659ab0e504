"""A large object in the making: parts that are sent in any order, put together by whoever sends the last."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from ...errors import BootstrapError
from ..common.file_errors import explain
from ..common.retry import Retry
from ..common.sparse import pieces
from ..model.store import Multipart, Store
from .journal import Begun, UploadJournal

LARGE = 64 << 20
"""Bytes from which a file is sent in parts."""

_AIM = 64  # parts, of which each may have a connection of its own where the store limits each
_MOST_PARTS = 10_000
_MIB = 1 << 20
_CHUNK = 1 << 20


def part_size(size: int, least: int = 8 << 20, most: int = 16 << 20) -> int:
    """Bytes of each part but the last: as many as make 64 parts, between ``least`` and ``most``; and more where 10,000
    of those would not do (from 156 GiB on).
    """
    wanted = max(min(-(-size // _AIM), most), -(-size // _MOST_PARTS))
    return max(least, -(-wanted // _MIB) * _MIB)


class LargeObject:
    """One multipart upload: an earlier one of the same object gone on with, or begun at once. :meth:`abandon` it
    unless it was finished.
    """

    def __init__(
        self,
        store: Store,
        multipart: Multipart,
        key: str,
        path: Path,
        journal: UploadJournal,
        retry: Retry,
        sizing: Callable[[int], int] = part_size,
    ) -> None:
        """``sizing`` gives the bytes of a part for those of the file. Raises ``OSError`` if the file cannot be read."""
        self.key = key
        self._path = path
        self._store, self._multipart, self._journal, self._retry = store, multipart, journal, retry
        with open(path, "rb", buffering=0) as file:
            self.before = os.fstat(file.fileno())
        self._file = -1
        step = sizing(self.before.st_size)
        self._there: dict[int, tuple[int, str]] = {}
        self.upload = self._earlier(step)
        if not self.upload:
            self.upload = retry(lambda: multipart.begin(key))
            journal.begun(Begun(self.upload, key, self.before.st_size, step))
        self._parts = [(start, min(step, self.before.st_size - start)) for start in range(0, self.before.st_size, step)]
        self.spared = 0
        """Bytes that need not be sent, since an earlier upload has brought them."""
        self._etags = [""] * len(self._parts)
        self._left = len(self._parts)
        self._lock = threading.Lock()
        self._open = True

    def file(self) -> int:
        """The file's descriptor. Opened for the first part that is wanted, closed behind the last: all large files of a
        tree are begun before the first is sent, and may be more than a process may have open.

        Raises ``OSError``.
        """
        with self._lock:
            if not self._open:
                raise OSError(errno.ECANCELED, "the upload has ended")
            if self._file < 0:
                self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            return self._file

    def parts(self) -> Iterator[tuple[int, int, int]]:
        """Number, start and size of each."""
        for number, (start, size) in enumerate(self._parts, 1):
            yield number, start, size

    def there(self, number: int) -> str:
        """The ETag of a part that the earlier upload has brought, if it is just what the file holds; else ""."""
        start, size = self._parts[number - 1]
        found, etag = self._there.get(number, (-1, ""))
        try:
            if found != size or etag != _md5(self.file(), start, size):
                return ""
        except OSError:  # who sends it will say why
            return ""
        with self._lock:
            self.spared += size
        return etag

    @property
    def resumed(self) -> bool:
        return bool(self._there)

    def put(self, number: int) -> str:
        """Send a part by the store's own method."""
        start, size = self._parts[number - 1]
        try:
            file = self.file()
        except OSError as error:
            raise explain(error, self._path, "cannot read what is to be delivered") from error
        return self._retry(lambda: self._multipart.put_part(self.key, self.upload, number, file, start, size))

    def arrived(self, number: int, etag: str) -> bool:
        """A part is there. The last one makes the object of them all; returns whether it was that."""
        with self._lock:
            self._etags[number - 1] = etag
            self._left -= 1
            if self._left:
                return False
        try:
            self._retry(lambda: self._multipart.finish(self.key, self.upload, self._etags))
        except BootstrapError:
            # The answer may have been lost on its way while the object was made, and then the upload is gone.
            found = self._store.stat(self.key)
            if found is None or found.etag != self._etag():
                raise
        self._journal.ended(self.upload)
        self._close()
        return True

    def abandon(self) -> None:
        """Give it up, if it is not finished. Raises what the store says to that."""
        if self._close():
            give_up(self._multipart, self.key, self.upload, self._journal)

    def _earlier(self, step: int) -> str:
        """The id of an upload that a killed process has left, with some of the parts; or an empty string."""
        upload = self._journal.take(self.key, self.before.st_size, step)
        if upload:
            try:
                self._there = self._retry(lambda: self._multipart.parts(self.key, upload))
            except BootstrapError:  # it is gone, or may not be looked at
                give_up(self._multipart, self.key, upload, self._journal)
                return ""
        return upload

    def _close(self) -> bool:
        with self._lock:
            was_open, self._open = self._open, False
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
        return was_open

    def _etag(self) -> str:
        digests = b"".join(bytes.fromhex(etag) for etag in self._etags if len(etag) == 32)
        return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(self._parts)}"


def give_up(multipart: Multipart, key: str, upload: str, journal: UploadJournal) -> None:
    """Have the store forget an upload. What it does not take stays written down, for the next one to try."""
    try:
        multipart.abandon(key, upload)
    except BootstrapError:
        return
    journal.ended(upload)


def _md5(file: int, start: int, size: int) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for piece in pieces(file, start, start + size, _CHUNK):
        digest.update(piece)
    return digest.hexdigest()
