"""Copies of files that are rewritten in place faster than they can be sent: what is copied in a moment is one state.

They have no names, and lie in the same file system where that is possible: one that shares blocks between files (XFS,
Btrfs) then copies nothing, whatever the size. Elsewhere only small ones are copied.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from ...ground.writes import write_all
from .open_files import OpenFiles

_SHARE = 0x40049409  # FICLONE of Linux' fs.h
_MOST = 32 << 20  # bytes of all copies that are really made
_MOST_FILES = 64
_ROOM = 4
"""How many times its size has to be free where a copy is made: the trainer needs the room more than we do."""

_CHUNK = 1 << 20


class Snapshots(OpenFiles):
    """Use it as a context manager: the copies are gone at its end."""

    def __init__(self) -> None:
        super().__init__()
        self._copied = 0

    def take(self, path: Path, directory: Path) -> Path:
        """A way to a copy of ``path``, in the file system of ``directory``. Raises ``OSError`` when none can be had;
        ``EFBIG``: it is too large to be copied.
        """
        if len(self._open) >= _MOST_FILES:
            raise OSError(errno.EMFILE, "too many copies")
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            copy = unnamed(directory)
            try:
                self._fill(copy, source)
            except BaseException:
                os.close(copy)
                raise
            self._open.append(copy)
        finally:
            os.close(source)
        return Path(f"/proc/self/fd/{copy}")

    def _fill(self, copy: int, source: int) -> None:
        try:
            fcntl.ioctl(copy, _SHARE, source)
            return
        except OSError:
            pass
        size, there = os.fstat(source).st_size, os.fstatvfs(copy)
        if self._copied + size > _MOST:
            raise OSError(errno.EFBIG, "too large to be copied")
        if _ROOM * size > there.f_bavail * there.f_frsize:
            raise OSError(errno.ENOSPC, "too little room for a copy")
        self._copied += size
        while piece := os.read(source, _CHUNK):
            write_all(copy, piece)


def unnamed(directory: Path) -> int:
    """A new file in the file system of ``directory``, where it can have such; its descriptor."""
    try:
        return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:  # not every file system has such
        import tempfile

        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
