"""The log file as a sink: it never raises, it stays within its limit, and it says in its own text what is missing.

A log that grows beyond ``limit`` bytes keeps its first half, and of the rest the newest: these go to segments beside
it, each a quarter of the limit long, of which two are kept. They are named by their offset in the whole output, so
that a reader, or the next run after a kill, finds them (:func:`parts`). At the end, or when the file is opened again,
they are appended to the first half, with a line that states the gap.
"""

from __future__ import annotations

import glob
import os
import select
import stat
import time
from collections.abc import Callable
from contextlib import suppress

from ...ground import log_names
from ...ground.safe_files import is_own, open_named, open_own
from ...ground.writes import write_all
from .unwritten import Unwritten, gap

RETRY = 1.0  # seconds between attempts while the disk refuses
STATE_EVERY = 10.0  # seconds; a progress bar is kept this often in a compacted log
STATE_BYTES = 1 << 16  # a longer "line" is no progress bar


class LogFile:
    """Appends to ``path``. Of what the disk refuses the newest is kept; when it accepts again, it gets that behind
    words for the rest. A file that somebody removes, moves or replaces is made again of what is still open; one that
    somebody empties (``: > job.log``) says so in place of what is gone, so that all offsets stay what they were.
    """

    def __init__(
        self,
        path: str,
        limit: int | None = None,
        say: Callable[[str], object] = lambda _: None,
        unwritten: Unwritten | None = None,
    ) -> None:
        """``say`` is told of the first refusal, at once; ``notes`` tell in the end what came of it. Who gives
        ``unwritten`` sees to what is in it at the end; without, the file itself says what it lacks.
        """
        self._path = path
        self._limit = limit
        self._say = say
        self._looked = 0.0  # when the file was last seen under its name
        self._unwritten = Unwritten() if unwritten is None else unwritten
        self._unwritten.begin_life()
        self._is_last = unwritten is None
        self._said = False
        self._lost = 0  # bytes that the disk refused for good, before those that are unwritten yet
        self._cause = ""
        self._again = 0.0
        self._fd = -1
        self._offset = 0  # in the whole output
        self._size: int | None = 0  # of the file that is being written; None where nothing grows
        self._emptied = 0  # bytes that somebody has taken out of it
        self._segments: list[tuple[int, str]] = []  # offset in the whole output, and name
        self._cut = 0
        self._trouble = ""
        try:
            self._join()  # what a run that was killed has left
            self._fd = _open(path)
            found = os.fstat(self._fd)
            self._offset = self._size = found.st_size
            if not stat.S_ISREG(found.st_mode):  # /dev/null, a terminal, a pipe: nothing grows there
                self._limit = limit = self._size = None
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
            self._restore()
            with suppress(OSError):  # it stays unwritten, then
                self._fill()
                self._catch_up()
            os.close(self._fd)
            self._fd = -1
        try:
            self._join()
        except OSError as error:
            names = ", ".join(file for _, file in parts(self._path)[1:])
            self._trouble = f"the end of the log is in {names}: it could not be joined ({error.strerror})"
        if self._is_last:
            self._lost += self._unwritten.state_in(parts(self._path)[-1][1])

    def notes(self) -> list[str]:
        notes = []
        if self._cut:
            notes.append(
                f"{self._cut} bytes in the middle of {self._path} were dropped: it is limited to {self._limit}"
            )
        if lost := self._lost + len(self._unwritten):
            notes.append(f"{lost} bytes of output are missing in {self._path} ({self._cause or self._unwritten.cause})")
        if self._emptied:
            notes.append(f"{self._emptied} bytes of {self._path} are gone: somebody has emptied the file")
        return [*notes, self._trouble] if self._trouble else notes

    def _append(self, data: memoryview) -> None:
        if self._unwritten and time.monotonic() < self._again:
            self._unwritten.add(data, self._cause)
            return
        self._restore(every=RETRY)
        try:
            self._fill()
            self._catch_up()
            while data:
                data = data[self._put(data) :]
        except OSError as error:
            self._cause = self._cause if self._fd < 0 else error.strerror or str(error)
            self._again = time.monotonic() + RETRY
            if not self._said:
                self._said = True
                self._say(f"{self._path} cannot be written, and has a gap from here on: {self._cause}")
            self._unwritten.add(data, self._cause)

    def _catch_up(self) -> None:
        """Write what could not be written before. Raises ``OSError`` while it still cannot."""
        unwritten = self._unwritten
        if missing := unwritten.missing:
            notice = memoryview(unwritten.notice)
            while notice:
                notice = notice[self._put(notice) :]
            unwritten.written(0)
            self._lost += missing
        while kept := unwritten.kept:
            unwritten.written(self._put(memoryview(kept)))

    def _restore(self, every: float = 0.0) -> None:
        """Give the file its name again, with all that was written, if somebody has removed it (``rm -rf /tmp/*``),
        moved it, or put another file in its place, which is set aside.
        """
        now = time.monotonic()
        if self._segments or now - self._looked < every:
            return
        self._looked = now
        with suppress(OSError):
            if self._size is None or self._is_in_place():
                return
            if os.path.lexists(self._path):
                os.rename(self._path, f"{self._path}.replaced-{time.time_ns()}")
            os.makedirs(os.path.dirname(self._path) or ".", exist_ok=True)
            fd = open_own(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND)
            try:
                with open(f"/proc/self/fd/{self._fd}", "rb", buffering=0) as removed:
                    while data := removed.read(1 << 20):
                        write_all(fd, data)
            except OSError:
                os.close(fd)
                os.unlink(self._path)
                raise
            os.close(self._fd)
            self._fd = fd

    def _is_in_place(self) -> bool:
        """Whether the name leads to the file that is being written; a link, wherever it leads, is left alone."""
        try:
            return os.path.islink(self._path) or os.path.samestat(os.stat(self._path), os.fstat(self._fd))
        except FileNotFoundError:
            return False

    def _fill(self) -> None:
        """Where somebody has emptied the file, words in place of what is gone, and as long."""
        if self._size is None or self._fd < 0 or (size := os.fstat(self._fd).st_size) >= self._size:
            return
        gone = self._size - size
        self._emptied += gone
        words = gap(gone, "somebody has emptied the file")
        write_all(self._fd, words.ljust(gone, b"\n") if gone >= len(words) else b"\n" * gone)

    def _put(self, data: memoryview) -> int:
        try:
            written = os.write(self._fd, data)
        except BlockingIOError:  # a pipe whose reader is slow: it has a moment, and we cannot wait for ever
            select.select([], [self._fd], [], RETRY)
            written = os.write(self._fd, data)
        self._offset += written
        if self._size is not None:
            self._size += written
        if self._left is not None:
            self._left = max(0, self._left - written)
        return written

    def _next_segment(self) -> None:
        assert self._limit is not None
        name = log_names.tail(self._path, self._offset)
        self._left = max(1, self._limit // 4)
        if self._fd < 0:
            return
        try:
            fd = open_own(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND)
        except OSError:  # no room for one more name, or something stands there: the file at hand goes on
            return
        os.close(self._fd)
        self._fd, self._size = fd, 0
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
            before = between(segments[0][0] - os.fstat(whole).st_size)
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
    """The files that hold the log of a running command: offset in the whole output, and name; in order.

    What others have put beside the log under such a name is none of them.
    """
    beside = ((log_names.tail_offset(path, name), name) for name in glob.glob(glob.escape(path) + ".*"))
    return [(0, path), *sorted((offset, name) for offset, name in beside if offset is not None and is_own(name))]


def end_of_tails(path: str, size: int) -> bytes:
    """The last ``size`` bytes of what the log has beside its file, where that could not be joined."""
    data = b""
    for _, name in reversed(parts(path)[1:]):
        with suppress(OSError), open(open_own(name, os.O_RDONLY), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - size + len(data)))
            data = file.read() + data
        if len(data) >= size:
            break
    return data


def between(missing: int) -> bytes:
    """What stands between a log's first half and its segments, where so many bytes lie between them."""
    return gap(missing, "the size of the log is limited") if missing > 0 else b""


def _open(path: str) -> int:
    return open_named(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _append(whole: int, before: bytes, name: str) -> None:
    """Append ``before`` and the file ``name``, or nothing: what does not fit stays where it is, and is there once."""
    size = os.fstat(whole).st_size
    segment = open_own(name, os.O_RDONLY)
    try:
        data = before or os.read(segment, 1 << 20)
        while data:
            write_all(whole, data)
            data = os.read(segment, 1 << 20)
    except OSError:
        os.ftruncate(whole, size)
        raise
    finally:
        os.close(segment)
