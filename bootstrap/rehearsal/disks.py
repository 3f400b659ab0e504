"""A disk that is full at byte N: a file system of that size under a node's directory, where we may mount one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import CannotStart
from ..storage.common.units import readable


@contextmanager
def of_a_size(home: Path, size: int) -> Iterator[None]:
    """``home`` on a disk of ``size`` bytes, in memory. What is on it at the end stays in the directory.

    Raises :class:`CannotStart`.
    """
    import psutil

    available = psutil.virtual_memory().available
    if size > available:
        why = f"it would be in memory, of which {readable(available)} are available"
        raise CannotStart("the rehearsal's disk cannot be made", where=f"{home}, {readable(size)}", why=why)
    home.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "rehearsal", str(home))
    try:
        yield
    finally:
        left = Path(tempfile.mkdtemp(prefix=f"{home.name}-", dir=home.parent))
        try:
            subprocess.run(["cp", "-a", f"{home}/.", str(left)], capture_output=True, check=False)
            # Who still works there, such as a process that left its session, keeps it until it ends.
            subprocess.run(["umount", "-l", str(home)], capture_output=True, check=False)
            subprocess.run(["cp", "-a", f"{left}/.", str(home)], capture_output=True, check=False)
        finally:
            shutil.rmtree(left, ignore_errors=True)


def used(home: Path) -> str:
    """How much of the disk is in use, in words."""
    room = os.statvfs(home)
    total = room.f_blocks * room.f_frsize
    return f"disk of {readable(total)}, {readable(total - room.f_bfree * room.f_frsize)} in use at the end"


def _run(*words: str) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as error:
        why = str(error.strerror)
    else:
        if done.returncode == 0:
            return
        why = done.stderr.strip()
    raise CannotStart(
        "the rehearsal's disk cannot be made",
        where=" ".join(words),
        why=why,
        remedy="rehearse as root, where file systems may be mounted",
    )
