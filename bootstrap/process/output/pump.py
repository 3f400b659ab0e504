"""The byte pump: what the command writes goes to our stdout and to the log file, as it comes, byte for byte.

Nothing is parsed. One thread reads the command's pipes and writes the files; a second one writes the console, for that
is the write that may block for ever (a stuck log driver, a terminal stopped with Ctrl-S). A console that accepts
nothing for ``STUCK_AFTER`` seconds is given up until it moves again: the log file goes on, and the console is told how
many bytes it missed. Until then the console's pace is the command's, as with tee(1), so that memory stays bounded. At
the end it is nobody's pace any more: what a pipe still holds goes to the log file at once.
"""

from __future__ import annotations

import fcntl
import math
import os
import select
import termios
import threading
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from ...masking.stream import Redactor
from ..stop.signals import Stop

PIPE_BYTES = 1 << 20
READ_SMALL = 1 << 16
READ_LARGE = 1 << 20
CONSOLE_BYTES = 4 << 20
# Bytes of one write to the console. A blocked write returns when all are taken, and is no sign of life before: few for
# a console that is slow, many for one that takes them in no time, which saves a tenth of the work.
SLICE, SLICE_LARGE = 1 << 14, 1 << 18
IN_NO_TIME = 0.05
STUCK_AFTER = 2.0
IDLE = 0.1  # seconds without output, after which a redactor may let go


class Sink(Protocol):
    """Where bytes go. ``write`` never raises: what was lost is told by ``notes`` in the end."""

    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    def notes(self) -> list[str]: ...


class ConsoleWriter:
    """Our stdout, written by a thread of its own."""

    def __init__(self, fd: int = 1, limit: int = CONSOLE_BYTES) -> None:
        self._fd = fd
        self._limit: float = limit
        self._changed = threading.Condition()
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._slice = SLICE
        self._into = 0  # bytes of the first in the queue that are written
        self._moved = time.monotonic()  # when the console last accepted a byte
        self._missed = 0  # bytes not shown since it stopped accepting
        self._lost = 0  # bytes not shown at all
        self._failed = ""
        self._closing = self._closed = False
        self._thread = threading.Thread(target=self._run, name="console", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        with self._changed:
            while self._queued >= self._limit and not self._stuck():
                self._changed.wait(STUCK_AFTER / 4)
            if self._failed or self._queued >= self._limit:
                self._missed += len(data)
                self._lost += len(data)
                return
            if self._missed:
                gap = (
                    b"\n[bootstrap] %d bytes are missing here: the console did not accept them; the log file has them\n"
                )
                data = gap % self._missed + data
                self._missed = 0
            if not self._queue:
                self._moved = time.monotonic()
            self._queue.append(data)
            self._queued += len(data)
            self._changed.notify_all()

    def hurry(self) -> None:
        """From now on nobody waits for the console: what comes is queued, however much it is."""
        with self._changed:
            self._limit = math.inf
            self._changed.notify_all()

    def close(self) -> None:
        """Wait for what is queued, as long as the console accepts any of it."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            while self._queue and not self._stuck():
                self._changed.wait(STUCK_AFTER / 4)
            self._lost += self._queued - self._into
            self._closed = True

    @property
    def is_last(self) -> bool:
        """Whether all other sinks have all bytes, and the end of the console alone is waited for."""
        return self._closing

    def notes(self) -> list[str]:
        with self._changed:
            lost, cause = self._lost, self._failed or f"it accepted nothing for {STUCK_AFTER:.0f} s"
            if self._closing and not self._closed:
                lost, cause = lost + self._queued - self._into, self._failed or "it is too slow"
        if not lost:
            return []
        return [f"{lost} bytes of output could not be shown on the console ({cause}); the log file has them"]

    def _stuck(self) -> bool:
        return bool(self._failed) or time.monotonic() - self._moved >= STUCK_AFTER

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._queue:
                    if self._closing:
                        return
                    self._changed.wait()
                data = self._queue[0]
            try:
                self._write_all(data)
            except OSError as error:  # the reader has gone, or the device is broken: nothing more can be shown
                with self._changed:
                    self._failed = error.strerror or str(error)
                    self._lost += self._queued - self._into
                    self._queue.clear()
                    self._queued = self._into = 0
                    self._changed.notify_all()
                return
            with self._changed:
                self._queue.popleft()
                self._queued -= len(data)
                self._into = 0
                self._changed.notify_all()

    def _write_all(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            began = time.monotonic()
            try:
                written = os.write(self._fd, rest[: self._slice])
            except BlockingIOError:  # somebody who shares our stdout made it non-blocking
                poller = select.poll()
                poller.register(self._fd, select.POLLOUT)
                poller.poll()
                continue
            rest = rest[written:]
            self._into += written
            self._moved = time.monotonic()
            self._slice = min(2 * self._slice, SLICE_LARGE) if self._moved - began < IN_NO_TIME else SLICE


class Pump:
    """Copies every source to its sinks until all have ended, in a thread of its own.

    ``sources`` are pairs of a read end and the sinks its bytes go to; the pump owns both, and closes them.
    ``on_end`` is called from the pump's thread when it has written the last byte.
    """

    def __init__(
        self,
        sources: Sequence[tuple[int, Sequence[Sink]]],
        redactor: Callable[[], Redactor] | None = None,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._routes = {fd: tuple(sinks) for fd, sinks in sources}
        self._redactors = {fd: redactor() for fd in self._routes} if redactor is not None else {}
        self._on_end = on_end
        self._notes: list[str] = []
        self._hurry = Stop()
        self._thread = threading.Thread(target=self._run, name="pump", daemon=True)
        self.bytes = 0  # how many the command has written so far
        self.done = False

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Do not wait for the end of the sources: take what is there now, and end."""
        self._hurry.set()

    def join(self, timeout: float | None = None) -> None:
        self._thread.join(timeout)

    def notes(self) -> list[str]:
        """What could not be delivered where, in words."""
        sinks = dict.fromkeys(sink for route in self._routes.values() for sink in route)
        return self._notes + [note for sink in sinks for note in sink.notes()]

    def _run(self) -> None:
        poller = select.poll()
        poller.register(self._hurry, select.POLLIN)
        for fd in self._routes:
            os.set_blocking(fd, False)
            poller.register(fd, select.POLLIN)
        size = dict.fromkeys(self._routes, READ_SMALL)
        left: dict[int, int] | None = None  # bytes to read yet, once nobody waits for the end of the sources
        while size if left is None else any(left.values()):
            held = any(redactor.held for redactor in self._redactors.values())
            ready = poller.poll(IDLE * 1000 if held else None)
            if not ready:
                for fd, redactor in self._redactors.items():
                    self._deliver(fd, redactor.idle())
                continue
            for fd, _ in ready:
                if fd == self._hurry.fileno():
                    poller.unregister(fd)
                    left = {fd: _pending(fd) for fd in size}
                    break
                data = self._read(fd, size[fd] if left is None else min(size[fd], left[fd]))
                if data is None:
                    continue
                if not data:
                    poller.unregister(fd)
                    del size[fd]
                    if left is not None:
                        left[fd] = 0
                    continue
                if left is not None:
                    left[fd] -= len(data)
                size[fd] = READ_LARGE if len(data) == size[fd] else READ_SMALL
                self.bytes += len(data)
                if self._redactors:
                    data = self._redactors[fd].feed(data)
                self._deliver(fd, data)
        for fd, redactor in self._redactors.items():
            self._deliver(fd, redactor.flush())
        for sink in dict.fromkeys(sink for route in self._routes.values() for sink in route):
            sink.close()
        for fd in self._routes:
            os.close(fd)
        self.done = True
        self._on_end()

    def _read(self, fd: int, size: int) -> bytes | None:
        """Bytes; b"" at the end; None when there is nothing yet."""
        try:
            return os.read(fd, size)
        except BlockingIOError:
            return None
        except OSError as error:
            # EIO is how a terminal says that nobody has it open any more
            if not os.isatty(fd):
                self._notes.append(f"reading the command's output failed: {error.strerror}")
            return b""

    def _deliver(self, fd: int, data: bytes) -> None:
        if data:
            for sink in self._routes[fd]:
                sink.write(data)


def _pending(fd: int) -> int:
    """How many bytes can be read now."""
    count = array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]


def pipe() -> tuple[int, int]:
    """A pipe for the command's output, as large as we may have it: bursts then do not wait for us."""
    read, write = os.pipe2(os.O_CLOEXEC)
    try:
        fcntl.fcntl(write, getattr(fcntl, "F_SETPIPE_SZ", 1031), PIPE_BYTES)
    except OSError:  # EPERM: this user's pipes have reached the system's limit; 64 KiB works as well
        pass
    return read, write
