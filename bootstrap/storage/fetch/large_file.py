"""A large object's file, arriving in pieces that are written where they belong, and kept when the fetch is killed.

Until it is whole the file is longer than the object: behind the bytes is a table of the pieces that have arrived. Each
is put down there after its bytes were written, so the next fetch of the same object, which looks under the same name,
brings only what is missing. What is gone on with is checked, by the CRC-32s in the table or else by the object's MD5
when it is whole; on few cores an object without an MD5 has neither.

A killed process takes nothing with it that it had written. A machine that goes down may take anything: the kernel
writes pages in an order of its own, so that a piece can be in the table and not on the disk. To ``fsync`` each piece
before its row would hold every download up for that rare case. Instead nothing of it is gone on with: the file's name
has the machine's boot in it, so that after a restart it is another machine's file, looked at by nobody and swept when a
day has passed. Where there is no number of the boot, pieces that nothing can check are brought again.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from zlib import crc32

from ...ground.writes import write_all_at
from ...job import StopRequest
from ..common.workers import TransferStopped
from ..local.digests import PIECE, pieces_digest
from ..local.staging import Staging, boot, executable_if_script, of_this_machine
from ..model.store import Entry
from .files import Files

if TYPE_CHECKING:
    from .verification.checks import DigestCheck
    from .verification.verifier import Verifier

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
    import hashlib  # a local tree's room is checked without

    tag = hashlib.sha256(f"{name}\n{entry.key}\n{entry.etag}\n{entry.size}".encode("utf-8", "surrogateescape"))
    return os.path.join(directory, f"{of_this_machine()}{tag.hexdigest()[:16]}.partial")


def unfinished_names(files: Files, root: str) -> set[str]:
    """Where the large ones of these files, paths below ``root``, are until they are whole."""
    large = files.where(size >= 2 * PIECE for size in files.sizes)
    return {unfinished_name(os.path.join(root, path), entry) for path, entry in large if is_large(entry)}


class LargeFile:
    """Whoever brings the last piece verifies the whole and gives it its name.

    What it is verified by is computed while pieces are on their way (:mod:`.verification.verifier` says what that is).

    If the object changed between pieces, or the whole does not fit its digest, ``again`` fetches it in one stream.
    """

    def __init__(
        self,
        entry: Entry,
        path: str,
        final: str,
        staging: Staging,
        stop: StopRequest,
        verifier: Verifier,
        again: Callable[[], None],
    ) -> None:
        from .verification.running_digest import RunningDigest  # which small files and local ones do without

        self.entry, self.path = entry, path
        self.final, self._staging, self._stop, self._again = final, staging, stop, again
        self._verifier = verifier
        self._guesses: list[DigestCheck] = []
        self._lock = threading.Lock()
        self._file = -1
        self._partial = ""
        self._users = 0
        self._ended = False
        self._spoiled = self._no_md5 = False
        self._count = -(-entry.size // PIECE)
        self._crcs: dict[int, int] = {}  # of the pieces that are here, by number; 0 if it is not known
        self._at_once = verifier.at_once(entry)
        self._checked = self._at_once is not None or verifier.asks
        self._running = RunningDigest(self._first_check, entry.size, self._here_from, self._read_back)

    @property
    def spoiled(self) -> bool:
        """Whether the pieces are known not to fit together, so that bringing more of them is of no use."""
        return self._spoiled

    def places(self) -> list[tuple[int, int]]:
        """Where each piece of the object starts and ends (not included)."""
        return [self._place(number) for number in range(self._count)]

    def missing(self) -> list[tuple[int, int]]:
        """Where each piece starts and ends (not included) that an earlier fetch has not left here already."""
        if os.path.lexists(unfinished_name(self.final, self.entry)):
            self._open()
            table = os.pread(self._file, self._count * _RECORD.size, self.entry.size)
            for number, (mark, crc) in enumerate(_RECORD.iter_unpack(table[: len(table) // 8 * 8])):
                if mark == _HERE and (self._crc(number) == crc if crc else bool(self._at_once or boot())):
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

    @property
    def no_md5(self) -> bool:
        """Whether the ETag is known to be no MD5, though it looks like one."""
        return self._no_md5

    def has_no_md5(self) -> None:
        """The store has said of the object that its ETag is no MD5, though it looks like one (SSE-KMS)."""
        self._no_md5 = True
        if self._at_once is not None and self._at_once.kind == "md5":
            self._running.close()

    def spoil(self) -> None:
        """The object is not the one that was listed."""
        self._spoiled = True
        self._running.close()

    def arrived(self, start: int, crc: int) -> tuple[int, str, str] | None:
        """The piece at ``start`` has been written; ``crc`` is its CRC-32, or 0.

        If this was the last and the file now has its name, returns its ``mtime_ns``, its digest (empty if not known),
        and by what it was verified.
        """
        number = start // PIECE
        with self.file() as file:
            if not self._spoiled:
                write_all_at(file, _RECORD.pack(_HERE, crc), self.entry.size + number * _RECORD.size)
            with self._lock:
                self._crcs[number] = crc
                last = len(self._crcs) == self._count
            if not last:
                if self._checked and not self._spoiled:
                    self._running.arrived()
                return None
            digest = "" if self._no_md5 else self.entry.md5
            verified = "" if self._spoiled else self._verified()
            if not digest and all(self._crcs.values()):
                digest = pieces_digest(self._crcs[each] for each in range(self._count))
            if verified:
                os.ftruncate(file, self.entry.size)
                executable_if_script(file)
                mtime_ns = os.fstat(file).st_mtime_ns
                self._staging.publish(self._partial, self.final)
            self._ended = True
        if verified:
            return mtime_ns, digest, verified
        self._staging.discard(self._partial)
        self._again()
        return None

    def close(self) -> None:
        """The transfer has ended: a file that is not whole stays for the next if there is anything in it."""
        self._running.end()
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

    def _first_check(self) -> DigestCheck | None:
        """May ask the store; in a thread that nobody waits for, while pieces are on their way."""
        if self._at_once is None and self._checked:
            self._guesses = self._verifier.more(self.entry, large=True)
        return self._at_once or next(iter(self._guesses), None)

    def _verified(self) -> str:
        """By what the bytes are verified: the name of a digest, or "size"; empty if they are known to be wrong."""
        if self._at_once is not None and self._at_once.kind == "md5" and self._no_md5:
            return "size"
        first, right = self._running.result()
        if first is None or (first.kind == "md5" and self._no_md5):
            return "size"
        for guess in self._guesses[1:]:
            right = right or self._verifier.fits(guess, self.entry.size, self._read_back, several=True)
        if right:
            return first.name
        return "" if first.certain else "size"

    def _here_from(self, at: int) -> int:
        """Up to where the bytes from ``at`` on are here, within its piece."""
        number = at // PIECE
        return min((number + 1) * PIECE, self.entry.size) if number in self._crcs else at

    def _read_back(self, start: int, end: int) -> bytes:
        with self._lock:
            if self._file < 0:  # the transfer has ended
                return b""
            self._users += 1
        try:
            return next(self._read(start, end), b"")
        finally:
            with self._lock:
                self._users -= 1
                self._close_if_unused()

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
