"""Local files: what goes wrong with them, said once, and how a file comes to be, whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from zlib import crc32

from bootstrap.errors import BootstrapError, DiskFull, NothingThere, PathUnusable, SourceChanging

PARTIAL = ".bootstrap-"
"""How the names of files begin that are not complete yet; they stand beside the name they will get."""

_ABANDONED = 86_400.0  # seconds without a byte after which another machine's partial file has nobody any more


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


def readable(size: float) -> str:
    """Bytes for people: ``1.5 GB`` (powers of ten, as disks and stores count)."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


@cache
def of_this_machine() -> str:
    """How the names of partial files begin that this machine writes. A lock on a shared directory may be known to the
    machine alone that has it (NFS mounted with ``nolock``), so only of our own we know whether somebody is at work on
    them.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            machine = file.read(8)
    except OSError:
        machine = f"{crc32(os.uname().nodename.encode()):08x}"
    return f"{PARTIAL}{machine}-"


class Staging:
    """Files in the making. Each is written under a name of its own in its final directory and appears by rename.

    After :meth:`close` nothing more can appear, whatever threads are still at work, and no partial file is left but
    those of which the next transfer can make use.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._partial: dict[str, bool] = {}  # and whether it goes away at the end
        self._closed = False
        self._tag = os.urandom(4).hex()
        self._count = 0

    def create(self, final: str, lasting: str = "") -> tuple[int, str]:
        """A file that will become ``final``: its descriptor (the caller's to close) and its name for now.

        It is new; or it is ``lasting``, which may be there already, and stays when the transfer ends before it is
        published or discarded. That is not had when somebody else, or nobody can tell who, is at work on it.
        """
        with self._lock:
            if self._closed:
                raise OSError(errno.ECANCELED, "the transfer has ended")
            file = _take_over(lasting) if lasting else -1
            if file >= 0:
                self._partial[lasting] = False
                return file, lasting
            while True:
                self._count += 1
                name = os.path.join(os.path.dirname(final), f"{of_this_machine()}{self._tag}-{self._count}.partial")
                file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
                if claim(file):
                    self._partial[name] = True
                    return file, name
                os.close(file)  # another transfer's sweep was faster than our claim
                _remove(name)

    def publish(self, partial: str, final: str) -> None:
        """Give the finished file its name, while it is still open: once closed it is anybody's to sweep."""
        with self._lock:
            if partial not in self._partial:
                raise OSError(errno.ECANCELED, "the transfer has ended")
            os.replace(partial, final)
            del self._partial[partial]

    def discard(self, partial: str) -> None:
        """Forget a file that did not work out."""
        with self._lock:
            self._partial.pop(partial, None)
            _remove(partial)

    def close(self) -> None:
        """End it: what is not published goes away, but for what is lasting."""
        with self._lock:
            self._closed = True
            for name in (name for name, goes in self._partial.items() if goes):
                _remove(name)
            self._partial.clear()


def claim(file: int) -> bool:
    """While we live and hold ``file`` open, nobody takes it for a leftover. False if somebody just has."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return os.fstat(file).st_nlink > 0


def make_directories(root: str, directories: Iterable[str]) -> None:
    """Make the ``directories`` of the tree ``root``, parents first.

    A link in the place of one is removed if it leads back into the tree (an earlier state of the source had it): else
    the files of two directories would land in one. Who put a link there that leads out wants them where it leads.
    """
    os.makedirs(root, exist_ok=True)
    top = os.path.join(os.path.realpath(root), "")
    for directory in directories:
        place = os.path.join(root, directory)
        if os.path.islink(place) and os.path.join(os.path.realpath(place), "").startswith(top):
            os.unlink(place)
        os.makedirs(place, exist_ok=True)


def _take_over(name: str) -> int:
    """Open the file, be it new or what a dead process left; -1 if a living one has it, or if nobody can know."""
    file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file), os.stat(name)):  # and not published or swept meanwhile
            return file
    except OSError:
        pass
    os.close(file)
    return -1


def sweep(root: str, directories: Iterable[str], wanted: Collection[str] = ()) -> None:
    """Remove what earlier transfers left half made in ``directories`` of ``root``; not what a living one is making, nor
    the paths that are ``wanted``, nor what another machine has written to within a day."""
    ours, abandoned = of_this_machine(), time.time() - _ABANDONED
    for directory in directories:
        try:
            found = [entry for entry in os.scandir(os.path.join(root, directory)) if entry.name.startswith(PARTIAL)]
        except OSError:
            continue
        for entry in found:
            if not entry.name.endswith(".partial") or entry.path in wanted:
                continue
            try:
                if not entry.name.startswith(ours) and entry.stat(follow_symlinks=False).st_mtime > abandoned:
                    continue
                file = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except OSError:
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                else:
                    os.unlink(entry.path)
            except OSError:
                pass  # its owner is at work on it, or it is not ours to remove
            finally:
                os.close(file)


class Window:
    """So many bytes of a file from ``start`` on, to be read like a file: never more, however the file grows.

    Raises :class:`SourceChanging` if there are fewer by now.
    """

    def __init__(self, file: int, start: int, size: int) -> None:
        self._file, self._start, self._size = file, start, size
        self._at = 0

    def __len__(self) -> int:
        return self._size

    def read(self, size: int = -1) -> bytes:
        left = self._size - self._at
        wanted = left if size < 0 else min(size, left)
        piece = os.pread(self._file, wanted, self._start + self._at)
        if wanted and not piece:
            raise SourceChanging("a file became shorter while it was read")
        self._at += len(piece)
        return piece

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at


def executable_if_script(file: int) -> None:
    """Give a file that begins with ``#!`` the x bits beside its r bits: object stores lose modes.

    ModelArts' docs advise ``chmod +x`` against the ``Permission denied`` that follows otherwise.
    """
    if os.pread(file, 2, 0) == b"#!":
        mode = stat.S_IMODE(os.fstat(file).st_mode)
        os.fchmod(file, mode | (mode & 0o444) >> 2)


def _remove(name: str) -> None:
    try:
        os.unlink(name)
    except FileNotFoundError:
        pass
