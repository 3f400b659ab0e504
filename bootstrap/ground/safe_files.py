"""Our own files, in directories where others may have been before us: a shared ``/tmp``, a log directory on a NAS.

Whoever may write there can put a link, a pipe or a file of his own under a name that we are about to use. So:

- a name that we derive (beside the log, in the run dir) is never followed when it is a link, and used only when a
  regular file of our own stands there (:func:`open_own`, :func:`replace_own`, :func:`own_directory`);
- a name that a person chose may be a link, a pipe or a device, if it is that person's (:func:`open_named`);
- nothing that stands there can make us wait: a pipe that nobody reads is an error, not a hang.

What is in the way is told as :class:`NotOurs`, an ``OSError`` like any other that a place may answer with. A directory
in which others may rename what is ours (world-writable, without the sticky bit) cannot be made safe by anybody.
"""

from __future__ import annotations

import errno
import os
import stat
from functools import lru_cache

_ALWAYS = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFREG: "a file",
}


class NotOurs(OSError):
    """Something else stands at a name of ours: ``strerror`` says what, and whose it is."""

    def __init__(self, path: str, found: os.stat_result) -> None:
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something")
        several = " with several names" if stat.S_ISREG(found.st_mode) and found.st_nlink > 1 else ""
        super().__init__(errno.EPERM, f"{kind}{several} of uid {found.st_uid} stands there", path)


def open_own(path: str | os.PathLike[str], flags: int, mode: int = 0o644) -> int:
    """Open a regular file of our own, or with ``O_CREAT`` a new one; its descriptor. Not for ``O_TRUNC``.

    Raises :class:`NotOurs` for a link, a pipe, another user's file, or one that has a second name elsewhere.
    """
    path = os.fspath(path)
    try:
        file = os.open(path, flags | os.O_NOFOLLOW | _ALWAYS, mode)
    except OSError as error:
        raise _explained(error, path) from None
    found = os.fstat(file)
    if stat.S_ISREG(found.st_mode) and found.st_nlink <= 1 and is_trusted(found, path):
        return file
    os.close(file)
    raise NotOurs(path, found)


def open_named(path: str | os.PathLike[str], flags: int, mode: int = 0o644) -> int:
    """Open what a person has named on purpose; its descriptor, which for a pipe or a terminal does not block.

    A link is followed, and a pipe opened, when it is ours or root's (``/dev/stdout``). Raises :class:`NotOurs`.
    """
    path = os.fspath(path)
    try:
        file = os.open(path, flags | os.O_NOFOLLOW | _ALWAYS, mode)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise _explained(error, path) from None
        link = os.lstat(path)
        if not is_trusted(link, path):
            raise NotOurs(path, link) from None
        return os.open(path, flags | _ALWAYS, mode)
    found = os.fstat(file)
    if stat.S_ISCHR(found.st_mode) or is_trusted(found, path):  # nobody but root makes devices
        return file
    os.close(file)
    raise NotOurs(path, found)


def read_own(path: str | os.PathLike[str], limit: int) -> bytes:
    """At most ``limit`` bytes of a regular file of our own. Raises as :func:`open_own`."""
    file = open_own(path, os.O_RDONLY)
    with open(file, "rb") as content:
        return content.read(limit)


def replace_own(path: str | os.PathLike[str], content: bytes, mode: int = 0o644) -> None:
    """Put ``content`` at ``path``, whole or not at all, whatever stood there (a link is replaced, not followed)."""
    path = os.fspath(path)
    draft = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{os.getpid()}.new")
    try:
        os.unlink(draft)  # of a process that was killed and had our number, or planted
    except FileNotFoundError:
        pass
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | _ALWAYS, mode)
    try:
        with open(file, "wb", buffering=0) as sink:
            rest = memoryview(content)
            while rest:
                rest = rest[sink.write(rest) :]
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def own_directory(path: str | os.PathLike[str], *, named: bool = False) -> int:
    """A directory of our own, made if there is none (with those above it); its descriptor.

    ``named`` by a person it may be another's, or a link that is ours or root's. Raises :class:`NotOurs`.
    """
    path = os.fspath(path)
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    try:
        os.mkdir(path, 0o755)
    except FileExistsError:
        pass
    found = os.lstat(path)
    is_link = stat.S_ISLNK(found.st_mode)
    if (is_link and not named) or ((is_link or not named) and not is_trusted(found, path)):
        raise NotOurs(path, found)
    follow = 0 if is_link else os.O_NOFOLLOW
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | follow)
    except NotADirectoryError:
        raise NotOurs(path, found) from None


def is_own(path: str | os.PathLike[str]) -> bool:
    """Whether a regular file of our own stands there: no link, no pipe, nobody else's."""
    path = os.fspath(path)
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_nlink <= 1 and is_trusted(found, path)


def is_trusted(found: os.stat_result, path: str) -> bool:
    """Whether it is ours or root's, who needs no tricks; or of the user as whom a NAS has us write there."""
    return found.st_uid in (os.geteuid(), 0) or found.st_uid == _uid_there(os.path.dirname(path) or ".")


@lru_cache(maxsize=64)
def _uid_there(directory: str) -> int:
    """Whose the files are that we make in ``directory``; -1 where we can make none. A NAS may have root be nobody."""
    probe = os.path.join(directory, f".bootstrap-{os.urandom(8).hex()}.probe")
    try:
        file = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | _ALWAYS, 0o600)
    except OSError:
        return -1
    try:
        os.unlink(probe)
        return os.fstat(file).st_uid
    finally:
        os.close(file)


def _explained(error: OSError, path: str) -> OSError:
    """``error``, or what stands at ``path`` in words where the kernel's are riddles (ELOOP, ENXIO)."""
    if error.errno in (errno.ELOOP, errno.ENXIO):
        try:
            found = os.lstat(path)
        except OSError:
            return error
        if stat.S_ISFIFO(found.st_mode) and is_trusted(found, path):
            return OSError(errno.ENXIO, "a named pipe stands there, and nobody reads from it", path)
        return NotOurs(path, found)
    return error
