"""The log on this machine, as it grows: one stream of bytes, whatever files hold it at the moment.

A log within its limit is one file. Beyond it (:mod:`bootstrap.process.output.logfile`) the first half stays, and
the newest bytes are in segments beside it, named by their offset in the whole output, of which the older ones are
removed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ..errors import SourceChanging
from ..ground.safe_files import open_named
from ..process.output.logfile import between, parts
from ..storage.model.light_writer import Content, Inline
from ..values import dataclass

_CHUNK = 256 << 10


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of the log, read when they are iterated and never kept. A
    :class:`bootstrap.storage.model.light_writer.Content`.
    """

    pieces: tuple[tuple[str, int, int], ...]  # file, offset in it, bytes

    @property
    def size(self) -> int:
        return sum(size for _, _, size in self.pieces)

    def __iter__(self) -> Iterator[bytes]:
        for path, at, size in self.pieces:
            try:
                file = open_named(path, os.O_RDONLY)
            except OSError as error:
                raise SourceChanging("a part of the log is gone", where=path, why=error.strerror or "") from error
            try:
                while size:
                    data = os.pread(file, min(size, _CHUNK), at)
                    if not data:
                        raise SourceChanging("the log became shorter", where=path)
                    yield data
                    at += len(data)
                    size -= len(data)
            finally:
                os.close(file)


@dataclass(frozen=True, slots=True)
class Joined:
    """Contents, one behind the other, as one."""

    contents: tuple[Content, ...]

    @property
    def size(self) -> int:
        return sum(content.size for content in self.contents)

    def __iter__(self) -> Iterator[bytes]:
        for content in self.contents:
            yield from content


def whole(path: Path, behind: bytes) -> Content:
    """The log as it is delivered when its disk had no room for it: its files joined, and ``behind`` them what the disk
    did not take.
    """
    contents: list[Content] = []
    at = 0
    for start, name in parts(str(path)):
        if not os.path.exists(name):
            continue
        size = os.stat(name).st_size
        contents += [Inline(between(start - at)), Span(((name, 0, size),))]
        at = start + size
    return Joined((*contents, Inline(behind)))


class Source:
    """The output of one command, by its offsets. Offsets are those of the log file up to :attr:`head`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.head: int | None = None
        """Where the log file stopped to be the whole output; None as long as it is."""
        self._files: list[tuple[int, int, str]] = []  # start, end, name

    @property
    def is_regular(self) -> bool:
        """Whether there is a file that can be read again: not for ``/dev/null``, a FIFO or a terminal."""
        try:
            return stat.S_ISREG(self.path.stat().st_mode)
        except OSError:
            return False

    def look(self) -> int:
        """Look at the files again; returns the offset up to which the output can be read."""
        found: list[tuple[int, int, str]] = []
        names = parts(str(self.path))
        for start, name in names:
            try:
                size = os.stat(name).st_size
            except OSError:  # a segment whose time has come; or the log itself was removed, then there is nothing
                continue
            found.append((start, start + size, name))
        if self.head is None and len(names) > 1:
            self.head = next((end for start, end, _ in found if start == 0), 0)
        if self.head is not None:
            # What the log file has beyond its head was joined to it at the end, and has other offsets there.
            found = [(start, min(end, self.head) if start == 0 else end, name) for start, end, name in found]
        self._files = found
        return max((end for _, end, _ in found), default=0)

    def available(self, start: int) -> int:
        """The first offset from ``start`` on that is still there; ``start`` itself unless segments were removed."""
        return min((max(start, begin) for begin, end, _ in self._files if end > start), default=start)

    def span(self, start: int, end: int) -> Span:
        """The bytes of the output from ``start`` to ``end`` (not included), as far as they are there without a gap."""
        pieces = []
        for begin, stop, name in self._files:
            if begin <= start < stop and start < end:
                size = min(stop, end) - start
                pieces.append((name, start - begin, size))
                start += size
        return Span(tuple(pieces))

    def oldest_tail(self) -> int | None:
        """Where the segments begin that are still there; None without any."""
        return min((start for start, _, _ in self._files if start), default=None)
