"""A part of a file as the body of a request."""

from __future__ import annotations

import os

from ...errors import SourceChanging
from ..common.sparse import pieces


class Window:
    """So many bytes of a file from ``start`` on, to be read like a file: never more, however the file grows. Its
    holes are not read.

    Raises :class:`SourceChanging` if there are fewer by now.
    """

    def __init__(self, file: int, start: int, size: int) -> None:
        self._file, self._start, self._size = file, start, size
        self._at = 0

    def __len__(self) -> int:
        return self._size

    def read(self, size: int = -1) -> bytes:
        left = self._size - self._at
        wanted = left if size < 0 else min(size, left)
        at = self._start + self._at
        piece = bytes(next(pieces(self._file, at, at + wanted, wanted), b""))
        if wanted and not piece:
            raise SourceChanging("a file became shorter while it was read")
        self._at += len(piece)
        return piece

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at
