"""One at a time in a directory that several machines share: who changes names there waits for his turn.

A file that only one can make (``O_EXCL``) is all it takes: NFS and FUSE have that, while locks of files and hard links
are not everywhere. Who is killed in his turn leaves the file; who then waits sees the same text in it for
:data:`_STALE` seconds by his own clock, and takes it away. So two may have their turn at once where somebody was frozen
in his: what is done in a turn must lose nothing even then.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..ground.safe_files import open_own, read_own

_STALE = 8.0
"""Seconds. A turn takes thousandths of one, and with a slow NAS and its largest file some seconds."""
_LONGEST = 20.0
"""Seconds to wait, at most."""
_NEXT = 1.0
"""Seconds to wait for another one after that: who waits once more waits for the same."""
_PAUSE = 0.002, 0.03


class NoTurn(OSError):
    """It did not come in time."""


class Turns:
    """Turns by means of the file ``path``, whose directory is made. Also for several threads of ours."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ours = threading.RLock()
        self._never = threading.Event()
        self._depth = 0
        self._longest = _LONGEST

    @contextmanager
    def turn(self, longest: float = _LONGEST) -> Iterator[None]:
        """Raises :class:`NoTurn` after ``longest`` seconds, and :class:`OSError` where the file cannot be made."""
        end = time.monotonic() + min(longest, self._longest)
        if not self._ours.acquire(timeout=max(0.0, end - time.monotonic())):
            raise NoTurn("another of our threads does not come back from it")
        try:
            if self._depth == 0:
                self._take(end)
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self._give_back()
        finally:
            self._ours.release()

    def _take(self, end: float) -> None:
        self._mark = os.urandom(8).hex().encode()
        seen, since = b"", time.monotonic()
        while True:
            with suppress(FileExistsError):  # something else is there, as the next line says
                self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                file = open_own(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            except FileExistsError:
                now, text = time.monotonic(), self._text()
                if text != seen:
                    seen, since = text, now
                elif now - since > _STALE:
                    self._break(seen)
                    since = now
                if now > end:
                    self._longest = _NEXT
                    raise NoTurn(f"{self._path} stays there") from None
                self._never.wait(random.uniform(*_PAUSE))  # sleep() raises where a clock is faked
            except FileNotFoundError:  # the one before us has tidied up the directory
                if time.monotonic() > end:
                    raise
            else:
                with open(file, "wb", buffering=0) as written, suppress(OSError):  # on a full disk it is empty
                    written.write(self._mark)
                self._longest = _LONGEST
                return

    def _give_back(self) -> None:
        with suppress(OSError):
            if self._text() in (self._mark, b""):  # else ours was taken for one that was left
                self._path.unlink()

    def _text(self) -> bytes:
        try:
            return read_own(self._path, 100)
        except FileNotFoundError:
            return b"gone"
        except OSError:
            return b""

    def _break(self, seen: bytes) -> None:
        """By a rename, of which one succeeds."""
        aside = self._path.with_name(f"{self._path.name}.{self._mark.decode()}")
        with suppress(OSError):
            if self._text() == seen:
                os.rename(self._path, aside)
                aside.unlink()
