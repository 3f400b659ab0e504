"""A large object's file, arriving in pieces that are written where they belong."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator

from bootstrap.job import StopRequest
from bootstrap.storage.local import Staging, executable_if_script
from bootstrap.storage.store import Entry
from bootstrap.storage.workers import TransferStopped

PIECE = 16 << 20
"""Bytes of one ranged GET."""

_READ_BACK = 1 << 20


class LargeFile:
    """Whoever brings the last piece verifies the whole and gives it its name.

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
        self._left = -(-entry.size // PIECE)
        self._spoiled = False

    @property
    def spoiled(self) -> bool:
        """Whether the pieces are known not to fit together, so that bringing more of them is of no use."""
        return self._spoiled

    def pieces(self) -> Iterator[tuple[int, int]]:
        """Where each piece starts and ends (not included)."""
        for start in range(0, self.entry.size, PIECE):
            yield start, min(start + PIECE, self.entry.size)

    def open(self) -> int:
        """The descriptor to write at, of a file that has its full length already."""
        with self._lock:
            if self._file < 0:
                self._file, self._partial = self._staging.create(self.final)
                os.ftruncate(self._file, self.entry.size)
            return self._file

    def spoil(self) -> None:
        """The object is not the one that was listed."""
        self._spoiled = True

    def arrived(self) -> int:
        """A piece has been written. If this was the last and the file now has its name, returns its ``mtime_ns``."""
        with self._lock:
            self._left -= 1
            if self._left:
                return 0
        file = self.open()
        try:
            whole = not self._spoiled and (not self.entry.md5 or self._digest() == self.entry.md5)
            if whole:
                executable_if_script(file)
                mtime_ns = os.fstat(file).st_mtime_ns
                self._staging.publish(self._partial, self.final)
        finally:
            os.close(file)
        if whole:
            return mtime_ns
        self._staging.discard(self._partial)
        self._again()
        return 0

    def _digest(self) -> str:
        digest, at = hashlib.md5(usedforsecurity=False), 0
        while piece := os.pread(self._file, _READ_BACK, at):
            if self._stop.is_set():
                raise TransferStopped
            digest.update(piece)
            at += len(piece)
        return digest.hexdigest()
