"""A growing log in a directory (a NAS mount, a volume): its files grow there as they do here, by appending."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..ground.safe_files import open_named, open_own
from ..job import StopRequest
from ..process.output.logfile import parts
from ..storage.common.file_errors import local_trouble

_CHUNK = 1 << 20


class Mirror:
    """Appends what is new in each of the log's files to the file of the same name in ``directory``.

    A log beyond its limit has segments beside it (:mod:`~bootstrap.process.output.logfile`), which come and go
    there as they do here, and are joined there as they are here. So there is nothing to do twice, and the end has
    little to do.
    """

    def __init__(self, path: Path, directory: Path, aside: Callable[[str], str]) -> None:
        """``aside`` names what is ours once a later attempt has the plain names."""
        self.path = path
        self.overtaken = False
        self._aside = aside
        self._held = -1  # our file, kept open: its inode's number is no other file's for so long
        self.there = directory / path.name
        self.shipped = 0
        """The output up to here is in the directory."""
        self._begun = False

    def ship(self, stop: StopRequest) -> None:
        """Append what is new. Raises what the file system says; what was written stays, and is not written again."""
        files = parts(str(self.path))
        with local_trouble(str(self.there), "cannot write the log"):
            if not self._begun:
                self.there.parent.mkdir(parents=True, exist_ok=True)
                self.there.unlink(missing_ok=True)  # an earlier attempt's, which could not be set aside
                self._begun = True
            self.overtaken = self.overtaken or self._is_anothers()
            for start, name in files:
                if stop.is_set():
                    return
                self.shipped = max(self.shipped, start + self._append(name))
            if not self.overtaken:
                if self._held < 0:
                    self._held = open_own(self.there, os.O_RDONLY)
                self._remove_all_but({os.path.basename(name) for _, name in files})

    def complete(self) -> bool:
        """Whether the log there is the log here, now that nothing is written any more."""
        try:
            return self._place(str(self.path)).stat().st_size == self.path.stat().st_size
        except OSError:
            return False

    def clear(self) -> None:
        """Remove the segments that were joined here: the log there has what they held."""
        if self.overtaken:
            return
        with local_trouble(str(self.there), "cannot tidy up beside the log"):
            self._remove_all_but({os.path.basename(name) for _, name in parts(str(self.path))})

    def _append(self, name: str) -> int:
        """Returns the size of the file there."""
        try:
            source = open_named(name, os.O_RDONLY)
        except FileNotFoundError:  # a segment whose time has come
            return 0
        try:
            with open(open_own(self._place(name), os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab", buffering=0) as target:
                at = target.tell()
                while data := os.pread(source, _CHUNK, at):
                    at += target.write(data) or 0
                return at
        finally:
            os.close(source)

    def _place(self, name: str) -> Path:
        """Where the file ``name`` of the log is there."""
        own = os.path.basename(name)
        return self.there.with_name(self._aside(own) if self.overtaken else own)

    def _is_anothers(self) -> bool:
        """Whether somebody else's file has the name of ours by now. One that is gone is made again."""
        if self._held < 0:
            return False
        try:
            return not os.path.samestat(os.stat(self.there), os.fstat(self._held))
        except OSError:
            os.close(self._held)
            self._held = -1
            return False

    def _remove_all_but(self, names: set[str]) -> None:
        for _, name in parts(str(self.there))[1:]:
            if os.path.basename(name) not in names:
                os.unlink(name)
