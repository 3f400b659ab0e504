"""A large object's file, arriving in pieces that are written where they belong, and kept when the fetch is killed.

Until it is whole the file is longer than the object: behind the bytes is a table of the pieces that have arrived. Each
is put down there after its bytes were written, so the next fetch of the same object, which looks under the same name,
brings only what is missing. A killed process takes nothing with it that it had written; a machine that goes down may,
so what is gone on with is checked, by the digests in the table or else by the object's when it is whole. On few cores
an object without an MD5 has neither, and is taken on trust.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from zlib import crc32

from bootstrap.job import StopRequest
from bootstrap.storage.digests import PIECE, pieces_digest
from bootstrap.storage.local import Staging, executable_if_script, of_this_machine
from bootstrap.storage.store import Entry
from bootstrap.storage.workers import TransferStopped

_READ_BACK = 1 << 20
_RECORD = struct.Struct("<4sI")
_HERE = b"here"
_RESERVE = 0x4030582A  # FS_IOC_RESVSP64 of Linux' falloc.h: a file system's own fallocate, or a refusal
_SPACE = struct.Struct("=hhiqqiI16x")  # its struct space_resv: type, whence, padding, start, length, ...


def is_large(entry: Entry) -> bool:
    """Whether the object is brought in pieces: it is worth it, and can be told from the next that has its name."""
    return entry.size >= 2 * PIECE and bool(entry.etag)


def unfinished_name(final: str, entry: Entry) -> str:
    """Where the file ``final`` is until it is whole: what is found there is of this very object."""
    directory, name = os.path.split(final)
    tag = hashlib.sha256(f"{name}\n{entry.key}\n{entry.etag}\n{entry.size}".encode("utf-8", "surrogateescape"))
    return os.path.join(directory, f"{of_this_machine()}{tag.hexdigest()[:16]}.partial")


def unfinished_names(files: Iterable[tuple[str, Entry]], root: str) -> set[str]:
    """Where the large ones of these files, paths below ``root``, are until they are whole."""
    return {unfinished_name(os.path.join(root, path), entry) for path, entry in files if is_large(entry)}


class LargeFile:
    """Whoever brings the last piece verifies the whole and gives it its name.

    Its MD5 is checked where the ETag is one. An ETag of an upload in parts is the MD5 of the parts' MD5s; the size of
    the parts is nowhere said, and to try those that fit would cost more than to fetch.

    If the object changed between pieces, or the whole does not fit its digest, ``again`` fetches it in one stream.
    """

    def __init__(
        self, entry: Entry, path: str, final: str, staging: Staging, stop: StopRequest, again: Callable[[], None]
    ) -> None:
        self.entry, self.path = entry, path
        self.final, self._staging, self._stop, self._again = final, staging, stop, again
        self._lock = threading.Lock()
        self._file = -1
        self._partial = ""
        self._users = 0
        self._ended = False
        self._spoiled = False
        self._count = -(-entry.size // PIECE)
        self._crcs: dict[int, int] = {}  # of the pieces that are here, by number; 0 if it is not known

    @property
    def spoiled(self) -> bool:
        """Whether the pieces are known not to fit together, so that bringing more of them is of no use."""
        return self._spoiled

    def missing(self) -> list[tuple[int, int]]:
        """Where each piece starts and ends (not included) that an earlier fetch has not left here already."""
        if os.path.lexists(unfinished_name(self.final, self.entry)):
            self._open()
            table = os.pread(self._file, self._count * _RECORD.size, self.entry.size)
            for number, (mark, crc) in enumerate(_RECORD.iter_unpack(table[: len(table) // 8 * 8])):
                if mark == _HERE and (not crc or self._crc(number) == crc):
                    self._crcs[number] = crc
            if len(self._crcs) == self._count:
                self._crcs.popitem()  # whoever brings a last piece ends it
        return [self._place(number) for number in range(self._count) if number not in self._crcs]

    @contextmanager
    def file(self) -> Iterator[int]:
        """The descriptor to write at. Raises :class:`OSError` if there is no room for the whole."""
        with self._lock:
            if self._file < 0:
                self._open()
            self._users += 1
        try:
            yield self._file
        finally:
            with self._lock:
                self._users -= 1
                self._close_if_unused()

    def spoil(self) -> None:
        """The object is not the one that was listed."""
        self._spoiled = True

    def arrived(self, start: int, crc: int) -> tuple[int, str] | None:
        """The piece at ``start`` has been written; ``crc`` is its CRC-32, or 0.

        If this was the last and the file now has its name, returns its ``mtime_ns`` and digest (empty if not known).
        """
        number = start // PIECE
        with self.file() as file:
            if not self._spoiled:
                _write(file, _RECORD.pack(_HERE, crc), self.entry.size + number * _RECORD.size)
            with self._lock:
                self._crcs[number] = crc
                if len(self._crcs) < self._count:
                    return None
            digest = self.entry.md5
            whole = not self._spoiled and (not digest or self._md5() == digest)
            if not digest and all(self._crcs.values()):
                digest = pieces_digest(self._crcs[each] for each in range(self._count))
            if whole:
                os.ftruncate(file, self.entry.size)
                executable_if_script(file)
                mtime_ns = os.fstat(file).st_mtime_ns
                self._staging.publish(self._partial, self.final)
            self._ended = True
        if whole:
            return mtime_ns, digest
        self._staging.discard(self._partial)
        self._again()
        return None

    def close(self) -> None:
        """The transfer has ended: a file that is not whole stays for the next if there is anything in it."""
        with self._lock:
            if self._file >= 0 and not self._crcs:
                self._staging.discard(self._partial)
            self._ended = True
            self._close_if_unused()

    def _open(self) -> None:
        self._file, self._partial = self._staging.create(self.final, unfinished_name(self.final, self.entry))
        _reserve(self._file, self.entry.size + self._count * _RECORD.size)

    def _close_if_unused(self) -> None:
        if self._ended and not self._users and self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _place(self, number: int) -> tuple[int, int]:
        return number * PIECE, min((number + 1) * PIECE, self.entry.size)

    def _crc(self, number: int) -> int:
        crc = 0
        for data in self._read(*self._place(number)):
            crc = crc32(data, crc)
        return crc

    def _md5(self) -> str:
        digest = hashlib.md5(usedforsecurity=False)
        for data in self._read(0, self.entry.size):
            digest.update(data)
        return digest.hexdigest()

    def _read(self, start: int, end: int) -> Iterator[bytes]:
        while start < end:
            if self._stop.is_set():
                raise TransferStopped
            data = os.pread(self._file, min(_READ_BACK, end - start), start)
            if not data:
                return
            start += len(data)
            yield data


def _reserve(file: int, size: int) -> None:
    """Make the file so long, with room for all of it where the file system can promise that: a disk that is full is
    found out now and not at the end.

    Not ``posix_fallocate``: where a file system cannot (NFS, FUSE) the C library writes to every block instead. On a
    tmpfs this costs 1 % of writing the file, on ext4 it saves a quarter of that.
    """
    try:
        fcntl.ioctl(file, _RESERVE, _SPACE.pack(0, os.SEEK_SET, 0, 0, size, 0, 0))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
    os.ftruncate(file, size)


def _write(file: int, data: bytes, at: int) -> None:
    if os.pwrite(file, data, at) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
