"""What goes wrong with local files, said once: the operating system's refusals in our words."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import BootstrapError, DiskFull, NothingThere, PathUnusable
from .units import readable


def explain(error: OSError, path: str | os.PathLike[str], what: str) -> BootstrapError:
    """An operating system's refusal in our words: with owner, mode and uid where it is about rights."""
    path = os.fspath(path)
    why = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(what, where=path, why=f"{why}; {space(path)}")
    if error.errno == errno.ENOENT:
        return NothingThere(what, where=path, why="no such file or directory")
    return PathUnusable(what, where=path, why=f"{why}; {rights(path)}")


@contextmanager
def local_trouble(path: str, what: str = "cannot write what is fetched") -> Iterator[None]:
    """Turn the operating system's refusals inside the block into :func:`explain`'s words."""
    try:
        yield
    except OSError as error:
        raise explain(error, error.filename2 or error.filename or path, what) from error


def rights(path: str) -> str:
    """Who owns the nearest thing that exists at or above ``path``, and who we are."""
    while not os.path.lexists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path) or "."
    try:
        found = os.stat(path)
    except OSError as error:
        return f"{path}: {error.strerror}; we are uid {os.geteuid()}"
    return (
        f"{path} is {stat.filemode(found.st_mode)}, owner {found.st_uid}:{found.st_gid}; "
        f"we are uid {os.geteuid()}, gid {os.getegid()}"
    )


def space(path: str) -> str:
    """How much room the file system of ``path`` has, in words."""
    try:
        room = os.statvfs(existing(path))
    except OSError as error:
        return f"its file system cannot be asked ({error.strerror})"
    return f"{readable(room.f_bavail * room.f_frsize)} and {room.f_favail} inodes are free there"


def existing(path: str) -> str:
    """``path``, or the nearest directory above it that exists."""
    path = os.path.abspath(path)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path
