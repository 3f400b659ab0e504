"""What the machine itself still shows after the command's end: names near a missing one, inodes, line ends.

A look costs one system call or a few; whatever cannot be looked at is simply not known.
"""

from __future__ import annotations

import difflib
import os

from ..values import dataclass

_LIBRARIES = ("/site-packages/", "/dist-packages/", "/lib/python", "/lib64/python", "<frozen", "<string>", "<stdin>")
_MOST_NAMES = 5000


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the command ran. Relative names are looked up in ``work_dir``; ``job_dir`` holds the user's code."""

    work_dir: str = "."
    job_dir: str = ""

    def path(self, name: str) -> str:
        return os.path.normpath(os.path.join(self.work_dir, name))

    def is_users(self, file: str) -> bool:
        """Whether a source file is the user's own, not a library's."""
        if file.startswith("<"):
            return False
        if self.job_dir and file.startswith(self.job_dir.rstrip("/") + "/") and "/site-packages/" not in file:
            return True
        return not any(part in file for part in _LIBRARIES)

    def nearest(self, name: str) -> str:
        """The name most like a missing one: in its directory, or of the first part of it that is not there."""
        path = self.path(name)
        parent, missing = os.path.split(path)
        rest = ""
        while parent not in ("", "/") and not os.path.isdir(parent):
            rest = os.path.join(missing, rest) if rest else missing
            parent, missing = os.path.split(parent)
        try:
            with os.scandir(parent or "/") as found:
                names = [entry.name for _, entry in zip(range(_MOST_NAMES), found, strict=False)]
        except OSError:
            return ""
        like = difflib.get_close_matches(missing, names, n=1, cutoff=0.7)
        return os.path.join(parent, like[0], rest) if like and like[0] != missing else ""

    def out_of_inodes(self, name: str) -> bool:
        """Whether the disk of ``name`` has room and no inodes left."""
        directory = self.path(name)
        while directory != "/" and not os.path.isdir(directory):
            directory = os.path.dirname(directory)
        try:
            disk = os.statvfs(directory)
        except OSError:
            return False
        return disk.f_files > 0 and disk.f_favail == 0 and disk.f_bavail > 0

    def has_dos_lines(self, name: str) -> bool:
        """Whether a script has the line ends of DOS."""
        try:
            with open(self.path(name), "rb") as file:
                return b"\r\n" in file.read(4096)
        except OSError:
            return False

    def is_there(self, name: str) -> bool:
        return os.path.exists(self.path(name))
