"""A growing log in a directory (a NAS mount, a volume): its files grow there as they do here, by appending."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ..ground.safe_files import open_named, open_own
from ..job import StopRequest
from ..process.output.logfile import parts
from ..storage.common.file_errors import local_trouble
from .in_directory import InDirectory

_CHUNK = 1 << 20
_HEAD = 4096  # bytes by which a log is known


class Mirror:
    """Appends what is new in each of the log's files to the file of the same name in ``directory``.

    A log beyond its limit has segments beside it (:mod:`~bootstrap.process.output.logfile`), which come and go
    there as they do here, and are joined there as they are here. So there is nothing to do twice, and the end has
    little to do.

    Which names they have there, ``names`` tells. A file is opened in a turn and written to outside of it, for that may
    take long: who sets it aside meanwhile renames it, and what is written still comes to it.
    """

    def __init__(self, path: Path, directory: Path, names: InDirectory) -> None:
        self.path = path
        self.shipped = 0
        """The output up to here is in the directory."""
        self._directory, self._names = directory, names
        self._held = -1  # our log, kept open: its inode's number is no other file's for so long

    def ship(self, stop: StopRequest) -> None:
        """Append what is new. Raises what the file system says; what was written stays, and is not written again."""
        with local_trouble(str(self._directory / self.path.name), "cannot write the log"):
            files = parts(str(self.path))
            opened: list[tuple[int, str, int]] = []
            try:
                with self._names.turn() as named:
                    self._set_aside_anothers(named(self.path.name))
                    for start, name in files:
                        opened.append((start, name, self._opened(named(os.path.basename(name)))))
                self._hold(opened[0][2])
                for start, name, file in opened:
                    if stop.is_set():
                        return
                    self.shipped = max(self.shipped, start + _append(name, file))
            finally:
                for _, _, file in opened:
                    os.close(file)
            self._remove_all_but({os.path.basename(name) for _, name in files})

    def complete(self) -> bool:
        """Whether the log there is the log here, now that nothing is written any more."""
        try:
            return self._place(self.path.name).stat().st_size == self.path.stat().st_size
        except OSError:
            return False

    def clear(self) -> None:
        """Remove the segments that were joined here: the log there has what they held."""
        with local_trouble(str(self._directory / self.path.name), "cannot tidy up beside the log"):
            self._remove_all_but({os.path.basename(name) for _, name in parts(str(self.path))})

    def _place(self, own: str) -> Path:
        return self._directory / self._names.name_of(own)

    def _opened(self, there: str) -> int:
        return open_own(self._directory / there, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def _hold(self, file: int) -> None:
        if self._held >= 0:
            os.close(self._held)
        self._held = os.dup(file)

    def _set_aside_anothers(self, there: str) -> None:
        """A plain log of ours for which somebody has put another file there, by hand: neither the file nor its
        beginning is the same. One that is gone is made again.
        """
        if self._held < 0 or there != self.path.name:
            return
        with suppress(FileNotFoundError):
            place = self._directory / there
            if not os.path.samestat(os.stat(place), os.fstat(self._held)) and not _begins_like(place, self.path):
                self._names.set_aside(there)

    def _remove_all_but(self, names: set[str]) -> None:
        """Of the segments there, those that are no more here."""
        if len(parts(str(self._place(self.path.name)))) == 1:
            return
        with self._names.turn() as named:
            kept = {named(name) for name in names}
            for _, name in parts(str(self._place(self.path.name)))[1:]:
                if os.path.basename(name) not in kept:
                    os.unlink(name)


def _append(name: str, file: int) -> int:
    """Append to ``file`` what the file ``name`` has beyond it; returns its size then."""
    try:
        source = open_named(name, os.O_RDONLY)
    except FileNotFoundError:  # a segment whose time has come
        return 0
    try:
        at = os.lseek(file, 0, os.SEEK_END)
        while data := os.pread(source, _CHUNK, at):
            at += os.write(file, data)
        return at
    finally:
        os.close(source)


def _begins_like(one: Path, other: Path) -> bool:
    with open(open_named(one, os.O_RDONLY), "rb") as first, open(open_named(other, os.O_RDONLY), "rb") as second:
        head = first.read(_HEAD)
        return second.read(len(head)) == head
