"""Files with holes: where nothing is on the disk, nothing is read from it.

Checkpoints of frameworks that seek, databases and images of disks have them. What reads them without knowing pays for
every zero: a page of the cache, a copy, and the time of both.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

_ZEROS = bytes(1 << 20)


def stretches(file: int, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """The bytes ``start`` to ``end`` (not included) of an open file, in order: from where to where, and whether there
    is anything but zeros. Less where the file is shorter. Raises ``OSError``.
    """
    found = os.fstat(file)
    end = min(end, found.st_size)
    if found.st_blocks * 512 >= found.st_size:  # so are most, and cost no further question
        if start < end:
            yield start, end, True
        return
    at = start
    while at < end:
        data = min(end, _seek(file, at, os.SEEK_DATA, end))
        if at < data:
            yield at, data, False
        if data < end:
            hole = min(end, _seek(file, data, os.SEEK_HOLE, end))
            yield data, hole, True
            data = hole
        at = data


def pieces(file: int, start: int, end: int, size: int) -> Iterator[bytes | memoryview]:
    """The same as bytes, ``size`` at most at once (1 MiB at most for zeros). Raises ``OSError``."""
    for at, until, is_data in stretches(file, start, end):
        while at < until:
            wanted = min(size, until - at)
            piece = os.pread(file, wanted, at) if is_data else zeros(wanted)
            if not piece:
                return  # it became shorter
            yield piece
            at += len(piece)


def zeros(size: int) -> memoryview:
    """So many bytes of a hole, 1 MiB at most."""
    return memoryview(_ZEROS)[:size]


def _seek(file: int, at: int, whence: int, end: int) -> int:
    """Where the next data or the next hole begins; a file system that knows of no holes has data up to ``end``."""
    try:
        found = os.lseek(file, at, whence)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nothing but a hole from here on
            return end
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):
            return at if whence == os.SEEK_DATA else end
        raise
    return found if found > at or whence == os.SEEK_DATA else end
