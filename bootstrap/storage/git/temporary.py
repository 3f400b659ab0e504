"""Directories of repositories that go with their process, or with the next one on this machine if it was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from ...ground.safe_files import open_own

_LOCK = "in-use"
_YOUNG = 60.0  # seconds in which a directory may be without its lock yet


class TemporaryDirectory:
    """At ``path``. Its lock ends with the process, whatever ends that. Raises ``OSError``."""

    def __init__(self) -> None:
        # Of this machine alone: file systems exist on which another's locks are not seen.
        prefix = f"bootstrap-git-{socket.gethostname()}-"
        for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
            with suppress(OSError):
                _remove_unused(left)
        self.path = tempfile.mkdtemp(prefix=prefix)
        self._lock = os.open(os.path.join(self.path, _LOCK), os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)


def _remove_unused(directory: Path) -> None:
    """Raises ``OSError`` for what is in use. What somebody else has put there under such a name is not touched."""
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        return
    try:
        lock = open_own(directory / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        if time.time() - directory.stat().st_mtime > _YOUNG:
            shutil.rmtree(directory, ignore_errors=True)
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(directory, ignore_errors=True)
    finally:
        os.close(lock)
