"""How a file comes to be, whole or not at all: partial files, the locks that tell whose they are, and sweeping them."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import threading
import time
from collections.abc import Collection, Iterable
from functools import cache
from itertools import count
from zlib import crc32

from ...ground.patterns import pattern
from .attributes import set_mode

PARTIAL = ".bootstrap-"
"""How the names of files begin that are not complete yet; they stand beside the name they will get."""

_UNFINISHED = pattern(
    r"\.bootstrap-(?:[0-9a-f]{8}(?:-.+)?\.partial"  # Staging, large_file, unpack's directories, restore_links
    r"|.*-[0-9a-f]{8}\.manifest|.*-[0-9a-f]{16}\.uploads|[0-9a-f]{16}\.probe)",  # index, journal, safe_files
    re.DOTALL,
)
_ABANDONED = 86_400.0  # seconds without a byte after which another machine's partial file has nobody any more


def is_unfinished(name: str) -> bool:
    """Whether ``name`` is that of a file of ours on its way or about one, which is nobody's data. A file that somebody
    else calls ``.bootstrap-config``, say, is data like any other.
    """
    return name.startswith(PARTIAL) and _UNFINISHED.fullmatch(name) is not None


@cache
def boot() -> str:
    """What tells this boot of this machine from every other; empty where the kernel does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read(8)
    except OSError:
        return ""


@cache
def of_this_machine() -> str:
    """How the names of partial files begin that this machine writes, until it is started anew. A lock on a shared
    directory may be known to the machine alone that has it (NFS mounted with ``nolock``), so only of our own we know
    whether somebody is at work on them; and what a machine that went down has left is not to be trusted.
    """
    return f"{PARTIAL}{boot() or f'{crc32(os.uname().nodename.encode()):08x}'}-"


class Staging:
    """Files in the making. Each is written under a name of its own in its final directory and appears by rename.

    After :meth:`close` nothing more can appear, whatever threads are still at work, and no partial file is left but
    those of which the next transfer can make use. Threads do not wait for each other's calls, each of which takes
    milliseconds on a mount over the network.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._busy = 0  # threads that are making a file or giving it its name
        self._partial: dict[str, bool] = {}  # and whether it goes away at the end
        self._closed = False
        self._beginning = f"{of_this_machine()}{os.urandom(4).hex()}"
        self._numbers = count(1)

    def create(self, final: str, lasting: str = "", *, mode: int = 0o666, claimed: bool = True) -> tuple[int, str]:
        """A file that will become ``final``: its descriptor (the caller's to close) and its name for now.

        It is new, with what the umask leaves of ``mode``; or it is ``lasting``, which may be there already, and stays
        when the transfer ends before it is published or discarded. That is not had when somebody else, or nobody can
        tell who, is at work on it. One that is not ``claimed`` costs two calls less, and may be swept away before it is
        published.
        """
        self._begin()
        try:
            file = _take_over(lasting) if lasting else -1
            if file >= 0:
                self._partial[lasting] = False
                return file, lasting
            above = final[: final.rfind("/") + 1]
            while True:
                name = f"{above}{self._beginning}-{next(self._numbers)}.partial"
                file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
                if not claimed or claim(file):
                    self._partial[name] = True
                    return file, name
                os.close(file)  # another transfer's sweep was faster than our claim
                _remove(name)
        finally:
            self._end()

    def publish(self, partial: str, final: str) -> None:
        """Give the finished file its name, while it is still open: once closed it is anybody's to sweep."""
        self._begin()
        try:
            if partial not in self._partial:
                raise OSError(errno.ECANCELED, "the transfer has ended")
            os.replace(partial, final)
            del self._partial[partial]
        finally:
            self._end()

    def discard(self, partial: str) -> None:
        """Forget a file that did not work out."""
        self._partial.pop(partial, None)
        _remove(partial)

    def close(self) -> None:
        """End it: what is not published goes away, but for what is lasting."""
        with self._lock:
            self._closed = True
            while self._busy:
                self._idle.wait()
            for name, goes in list(self._partial.items()):
                if goes:
                    _remove(name)
            self._partial.clear()

    def _begin(self) -> None:
        with self._lock:
            if self._closed:
                raise OSError(errno.ECANCELED, "the transfer has ended")
            self._busy += 1

    def _end(self) -> None:
        with self._lock:
            self._busy -= 1
            if self._closed:
                self._idle.notify_all()


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
            found = [entry for entry in os.scandir(os.path.join(root, directory)) if is_unfinished(entry.name)]
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
                    import shutil  # for what a killed fetch has left, and nobody else

                    shutil.rmtree(entry.path)
                else:
                    os.unlink(entry.path)
            except OSError:
                pass  # its owner is at work on it, or it is not ours to remove
            finally:
                os.close(file)


def executable_if_script(file: int) -> None:
    """Give a file that begins with ``#!`` the x bits beside its r bits: object stores lose modes.

    ModelArts' docs advise ``chmod +x`` against the ``Permission denied`` that follows otherwise.
    """
    if os.pread(file, 2, 0) == b"#!":
        mode = stat.S_IMODE(os.fstat(file).st_mode)
        set_mode(file, mode | executable(mode))


def executable(mode: int) -> int:
    """The x bits beside the r bits of ``mode``."""
    return (mode & 0o444) >> 2


def _remove(name: str) -> None:
    try:
        os.unlink(name)
    except FileNotFoundError:
        pass
