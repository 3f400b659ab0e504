"""A growing log in a directory (a NAS mount, a volume): its files grow there as they do here, by appending."""

from __future__ import annotations

import os
from pathlib import Path

from ..job import StopRequest
from ..process.logfile import parts
from ..storage.local import local_trouble

_CHUNK = 1 << 20


class Mirror:
    """Appends what is new in each of the log's files to the file of the same name in ``directory``.

    A log beyond its limit has segments beside it (:mod:`bootstrap.process.logfile`), which come and go there as they
    do here, and are joined there as they are here. So there is nothing to do twice, and the end has little to do.
    """

    def __init__(self, path: Path, directory: Path) -> None:
        self.path = path
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
            for start, name in files:
                if stop.is_set():
                    return
                self.shipped = max(self.shipped, start + self._append(name))
            self._remove_all_but({os.path.basename(name) for _, name in files})

    def complete(self) -> bool:
        """Whether the log there is the log here, now that nothing is written any more."""
        try:
            return self.there.stat().st_size == self.path.stat().st_size
        except OSError:
            return False

    def clear(self) -> None:
        """Remove the segments that were joined here: the log there has what they held."""
        with local_trouble(str(self.there), "cannot tidy up beside the log"):
            self._remove_all_but({os.path.basename(name) for _, name in parts(str(self.path))})

    def _append(self, name: str) -> int:
        """Returns the size of the file there."""
        try:
            source = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # a segment whose time has come
            return 0
        try:
            with self.there.with_name(os.path.basename(name)).open("ab", buffering=0) as target:
                at = target.tell()
                while data := os.pread(source, _CHUNK, at):
                    at += target.write(data) or 0
                return at
        finally:
            os.close(source)

    def _remove_all_but(self, names: set[str]) -> None:
        for _, name in parts(str(self.there))[1:]:
            if os.path.basename(name) not in names:
                os.unlink(name)
