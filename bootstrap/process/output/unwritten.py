"""What belongs at the end of a log and its disk has refused: a full one, one that turned read-only, one that broke."""

from __future__ import annotations

import os
from contextlib import suppress

from ...ground.safe_files import open_own

KEPT = 64 << 10
"""Bytes of the newest that are kept in memory: a traceback, and what we say of it ourselves."""


class Unwritten:
    """The newest bytes, in memory, and how many more there were: for the disk should it accept again, for who delivers
    the log, and for who looks for a cause in it. A job whose disk is full says so in its last lines.
    """

    def __init__(self) -> None:
        self.missing = 0
        """Bytes that are nowhere."""
        self.cause = ""
        self._kept = bytearray()
        self._life = 0

    def __len__(self) -> int:
        """Bytes that the disk does not have."""
        return self.missing + len(self._kept)

    def add(self, data: bytes | memoryview, cause: str) -> None:
        self.cause = cause
        self._kept += data[-KEPT:]
        over = max(0, len(self._kept) - KEPT)
        del self._kept[:over]
        self._life = max(0, self._life - over)
        self.missing += max(0, len(data) - KEPT) + over

    def begin_life(self) -> None:
        """What comes from here on is of another life of the command."""
        self._life = len(self._kept)

    @property
    def of_this_life(self) -> bytes:
        return bytes(self._kept[self._life :])

    @property
    def kept(self) -> bytes:
        return bytes(self._kept)

    @property
    def notice(self) -> bytes:
        return gap(self.missing, self.cause)

    @property
    def text(self) -> bytes:
        """What stands at the end of a log that is delivered; nothing where nothing was refused."""
        return self.notice + self._kept if self else b""

    def written(self, count: int) -> None:
        """The first ``count`` bytes that were kept are in the log, and behind what is said to be missing."""
        self.missing = 0
        del self._kept[:count]
        self._life = max(0, self._life - count)

    def state_in(self, path: str) -> int:
        """Say it in the file itself, at the very end: the last bytes that a full disk took make room for the words.

        Returns how many.
        """
        if not self:
            return 0
        with suppress(OSError):
            file = open_own(path, os.O_WRONLY)
            try:
                size = os.fstat(file).st_size
                notice = gap(len(self), self.cause)
                notice = gap(len(self) + len(notice), self.cause)
                if size > len(notice):
                    os.pwrite(file, notice, size - len(notice))
                    return len(notice)
            finally:
                os.close(file)
        return 0


def gap(count: int, cause: str) -> bytes:
    """What a log says where ``count`` bytes of it are missing."""
    return b"\n[bootstrap] %d bytes are missing here: %s\n" % (count, cause.encode("utf-8", "backslashreplace"))
