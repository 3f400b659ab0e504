"""Modes and times of what we write, as far as its place has them: FAT and mounts of buckets refuse some or all, and a
directory that somebody else owns keeps its own.
"""

from __future__ import annotations

import errno
import os

_NOT_HERE = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)


def set_mode(place: int | str, mode: int) -> None:
    """Of a path or an open file. Raises ``OSError`` for what is no refusal."""
    try:
        os.chmod(place, mode)
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise


def set_times(file: int, like: os.stat_result) -> None:
    """Of an open file. Raises ``OSError`` for what is no refusal."""
    try:
        os.utime(file, ns=(like.st_atime_ns, like.st_mtime_ns))
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
