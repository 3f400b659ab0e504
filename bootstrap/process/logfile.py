"""The log file as a sink: it never raises, it stays within its limit, and it says in its own text what is missing.

A log that grows beyond ``limit`` bytes keeps its first half, and of the rest the newest: these go to segments beside
it, each a quarter of the limit long, of which two are kept. They are named by their offset in the whole output, so
that a reader, or the next run after a kill, finds them (:func:`parts`). At the end, or when the file is opened again,
they are appended to the first half, with a line that states the gap.
"""

from __future__ import annotations

import glob
import os
import stat
import time
from contextlib import suppress

RETRY = 1.0  # seconds between attempts while the disk refuses
STATE_EVERY = 10.0  # seconds; a progress bar is kept this often in a compacted log
STATE_BYTES = 1 << 16  # a longer "line" is no progress bar


class LogFile:
    """Appends to ``path``. What the disk refuses is counted, not kept; when it accepts again, the log says so."""

    def __init__(self, path: str, limit: int | None = None) -> None:
        self._path = path
        self._limit = limit
        self._missing = 0  # bytes since the disk began to refuse
        self._lost = 0
        self._cause = ""
        self._again = 0.0
        self._fd = -1
        self._offset = 0  # in the whole output
        self._segments: list[tuple[int, str]] = []  # offset in the whole output, and name
        self._cut = 0
        self._trouble = ""
        try:
            self._join()  # what a run that was killed has left
            self._fd = _open(path)
            found = os.fstat(self._fd)
            self._offset = found.st_size
            if not stat.S_ISREG(found.st_mode):  # /dev/null, a terminal, a pipe: nothing grows there
                self._limit = limit = None
        except OSError as error:
            self._cause = error.strerror or str(error)
        self._left = max(0, limit // 2 - self._offset) if limit else None  # room in the file that is being written

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            if self._left == 0:
                self._next_segment()
            piece = rest if self._left is None else rest[: self._left]
            self._append(piece)
            rest = rest[len(piece) :]

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        try:
            self._join()
        except OSError as error:
            names = ", ".join(file for _, file in parts(self._path)[1:])
            self._trouble = f"the end of the log is in {names}: it could not be joined ({error.strerror})"

    def notes(self) -> list[str]:
        notes = []
        if self._cut:
            notes.append(
                f"{self._cut} bytes in the middle of {self._path} were dropped: it is limited to {self._limit}"
            )
        if self._lost:
            notes.append(f"{self._lost} bytes of output are missing in {self._path} ({self._cause})")
        return [*notes, self._trouble] if self._trouble else notes

    def _append(self, data: memoryview) -> None:
        if self._missing and time.monotonic() < self._again:
            self._miss(len(data))
            return
        try:
            if self._missing:
                self._put(memoryview(_gap(self._missing, self._cause)))
                self._missing = 0
            while data:
                data = data[self._put(data) :]
        except OSError as error:
            self._cause = self._cause if self._fd < 0 else error.strerror or str(error)
            self._again = time.monotonic() + RETRY
            self._miss(len(data))

    def _put(self, data: memoryview) -> int:
        written = os.write(self._fd, data)
        self._offset += written
        if self._left is not None:
            self._left = max(0, self._left - written)
        return written

    def _miss(self, count: int) -> None:
        self._missing += count
        self._lost += count

    def _next_segment(self) -> None:
        assert self._limit is not None
        name = f"{self._path}.tail-{self._offset:015d}"
        self._left = max(1, self._limit // 4)
        if self._fd < 0:
            return
        try:
            fd = _open(name)
        except OSError:  # no room for one more name: the file at hand goes on
            return
        os.close(self._fd)
        self._fd = fd
        self._segments.append((self._offset, name))
        if len(self._segments) > 2:
            start, oldest = self._segments.pop(0)
            self._cut += self._segments[0][0] - start
            with suppress(OSError):  # somebody else has removed it, or removed our leave to do so
                os.unlink(oldest)

    def _join(self) -> None:
        """Append the segments to the file, the gap before them stated."""
        _, *segments = parts(self._path)
        if not segments:
            return
        whole = _open(self._path)
        try:
            gap = segments[0][0] - os.fstat(whole).st_size
            before = _gap(gap, "the size of the log is limited") if gap > 0 else b""
            for _, name in segments:
                _append(whole, before, name)
                os.unlink(name)
                before = b""
        finally:
            os.close(whole)


class Compacted:
    """A log file in which progress bars are thinned out: of the states that a carriage return overwrites, one every
    ``STATE_EVERY`` seconds is kept, and the last one. Lines are written as they come.
    """

    def __init__(self, log: LogFile) -> None:
        self._log = log
        self._held = b""  # a state that may be overwritten
        self._begun = False  # the current line is in the log already, up to here
        self._kept_at = -STATE_EVERY

    def write(self, data: bytes) -> None:
        if not self._held and b"\r" not in data:
            self._begun = not data.endswith(b"\n")
            self._log.write(data)
            return
        keep = []
        rewriting = bool(self._held)
        *pieces, last = (self._held + data).splitlines(keepends=True)
        self._held = b""
        for piece in pieces:
            rewriting = not piece.endswith(b"\n")
            now = time.monotonic()
            if not rewriting or self._begun or now - self._kept_at >= STATE_EVERY:
                keep.append(piece)
                if rewriting:
                    self._kept_at = now
            self._begun = False
        if last.endswith(b"\n"):
            keep.append(last)
            self._begun = False
        elif (rewriting or last.endswith(b"\r")) and len(last) < STATE_BYTES:
            self._held = last  # "\r" at the end may yet become "\r\n"
        else:
            keep.append(last)
            self._begun = True
        if keep:
            self._log.write(b"".join(keep))

    def close(self) -> None:
        if self._held:
            self._log.write(self._held)
        self._log.close()

    def notes(self) -> list[str]:
        return self._log.notes()


def parts(path: str) -> list[tuple[int, str]]:
    """The files that hold the log of a running command: offset in the whole output, and name; in order."""
    tails = glob.glob(glob.escape(path) + ".tail-" + "[0-9]" * 15)
    return [(0, path), *sorted((int(name[-15:]), name) for name in tails)]


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)


def _append(whole: int, before: bytes, name: str) -> None:
    """Append ``before`` and the file ``name``, or nothing: what does not fit stays where it is, and is there once."""
    size = os.fstat(whole).st_size
    segment = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = before or os.read(segment, 1 << 20)
        while data:
            _write_all(whole, data)
            data = os.read(segment, 1 << 20)
    except OSError:
        os.ftruncate(whole, size)
        raise
    finally:
        os.close(segment)


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _gap(count: int, cause: str) -> bytes:
    return b"\n[bootstrap] %d bytes are missing here: %s\n" % (count, cause.encode())
