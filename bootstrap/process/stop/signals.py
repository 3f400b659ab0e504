"""Signals, from the first moment of our process on.

The C-level handler writes each signal's number into a pipe; whoever supervises reads them there, in order, and
sleeps on that pipe while nothing happens. Before a child exists, a signal that asks to stop sets ``stop``, which
long work (a fetch) looks at. Nothing else is done inside a handler.
"""

from __future__ import annotations

import math
import os
import select
import signal
import time
from collections import deque
from types import FrameType, TracebackType
from typing import Any, NamedTuple

from ...job import AskedBy

LONGEST_POLL = (1 << 31) - 1  # milliseconds, 24 days: the kernel counts them in an int

# A fault of our own raises SEGV, BUS, FPE and ILL, and a handler that returns from one would loop for ever; PIPE and
# XFSZ are raised by our own writes. None of them can be told from one that was sent to us to be passed on.
OURS_ALONE: frozenset[int] = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGPIPE, signal.SIGXFSZ}
    | {signal.SIGKILL, signal.SIGSTOP}
)

ASKS: dict[int, AskedBy] = {
    signal.SIGTERM: AskedBy.PLATFORM,
    signal.SIGINT: AskedBy.USER,
    signal.SIGQUIT: AskedBy.USER,
    signal.SIGHUP: AskedBy.USER,
}


class Request(NamedTuple):
    """Somebody asks for the end: who, by which signal (None: by none), and why in words."""

    asked_by: AskedBy
    number: int | None
    why: str


class RepeatedRequests:
    """What a person means who asks more than once, with Ctrl-C: the second time within ``_TWICE`` seconds leaves so
    many, and the third none.
    """

    _TWICE = 2.0

    def __init__(self) -> None:
        self._times = 0
        self._last = -math.inf

    def kill_at(self, now: float) -> float:
        """When KILL is due by what was asked at ``now`` (monotonic seconds); never, after the first time."""
        if self._times < 2 and now - self._last > self._TWICE:
            self._times = 0  # long ago: this is a first time again
        self._times, self._last = self._times + 1, now
        return math.inf if self._times == 1 else now + self._TWICE if self._times == 2 else now


class Stop:
    """A :class:`~bootstrap.job.StopRequest` that a signal handler may set.

    ``threading.Event`` may not be: its lock may be held by the very code that the signal interrupted. A counter in
    the kernel has no such lock, and wakes every thread that waits.
    """

    def __init__(self) -> None:
        self._set = False
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def fileno(self) -> int:
        """Readable once it is set; never read."""
        return self._fd

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        if not self._set:
            self._set = True
            os.eventfd_write(self._fd, 1)

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep until a stop is asked for, at most ``timeout`` seconds (and 24 days); whether it was."""
        if not self._set:
            _readable(self._fd, timeout)
        return self._set

    def __del__(self) -> None:
        os.close(self._fd)


class Signals:
    """Catches every signal that can be caught, while it is entered. Main thread only.

    - ``stop``: set by TERM, INT, QUIT, HUP or :meth:`request_stop`;
    - ``asked_by``, ``first`` (the signal's number, if it was one), ``why``, ``stopped_at`` (monotonic seconds): the
      first such request; another node's failure does not set ``stopped_at``, since nobody waits for our own end then,
      but ``asked_at``, which any request does;
    - :meth:`wait`: the numbers of the signals that came, ``requests``: every request to stop, ``looks``: why
      others want it written down what the command does; all for the supervisor.

    A signal that is ignored when we start stays ignored, for us and for the command (``nohup``, a shell's ``&``);
    only TERM and CHLD are always caught. Signals that are blocked when we start are unblocked: a TERM that never
    arrives helps nobody.
    """

    def __init__(self) -> None:
        self.stop = Stop()
        self.asked_by = AskedBy.NOBODY
        self.first: int | None = None
        self.why = ""
        self.stopped_at: float | None = None
        self.asked_at: float | None = None
        self.requests: deque[Request] = deque()
        self.looks: deque[str] = deque()
        self.supervising = False  # a command is there to receive what comes: HUP is then its own affair
        self._handlers: dict[int, Any] = {}
        self._mask: set[int] = set()
        self._read = self._write = self._wakeup = -1
        self._looked_at: list[int] = []

    def __enter__(self) -> Signals:
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in signal.valid_signals() - OURS_ALONE:
            before = signal.getsignal(number)
            if before is signal.SIG_IGN and number not in (signal.SIGTERM, signal.SIGCHLD):
                continue
            self._handlers[number] = before
            signal.signal(number, self._caught)
        self._mask = set(signal.pthread_sigmask(signal.SIG_SETMASK, ()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for number, before in self._handlers.items():
            if number in self._mask:
                # Held for us until we have exited: what comes now must not meet the default, in any of our threads.
                signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else signal.SIG_IGN)
            else:  # None: a handler that was not installed from Python cannot be put back by it
                signal.signal(number, signal.SIG_DFL if before is None else before)
        self._handlers.clear()
        signal.set_wakeup_fd(self._wakeup)
        read, write = self._read, self._write
        self._read = self._write = -1
        os.close(read)
        os.close(write)

    def request_stop(self, asked_by: AskedBy, why: str = "") -> None:
        """Ask for a stop without a signal, from any thread; the supervisor wakes and stops the command."""
        self._ask(asked_by, None, why)
        self.wake()

    def request_look(self, why: str) -> None:
        """Ask, from any thread, for it to be written down what the command's processes do; they go on."""
        self.looks.append(why)
        self.wake()

    def wake(self) -> None:
        """Have :meth:`wait` return now."""
        try:
            os.write(self._write, b"\0")
        except OSError:  # the pipe is full of reasons to wake already, or nobody waits any more
            pass

    def wait(self, timeout: float | None = None) -> list[int]:
        """Sleep until signals come, at most ``timeout`` seconds (and 24 days; None: for ever); their numbers."""
        looked_at, self._looked_at = self._looked_at, []
        if not _readable(self._read, 0 if looked_at else timeout):
            return looked_at
        return looked_at + [number for number in os.read(self._read, 4096) if number]

    def has_come(self, number: int) -> bool:
        """Whether a signal is among those that :meth:`wait` is still to tell of."""
        self._looked_at = self.wait(0)
        return number in self._looked_at

    def _caught(self, number: int, frame: FrameType | None) -> None:
        asked_by = ASKS.get(number)
        if asked_by is not None and not (self.supervising and number == signal.SIGHUP):
            self._ask(asked_by, number, f"{signal.Signals(number).name} received")

    def _ask(self, asked_by: AskedBy, number: int | None, why: str) -> None:
        self.requests.append(Request(asked_by, number, why))
        now = time.monotonic()
        if self.stopped_at is None and asked_by is not AskedBy.PEER:
            self.stopped_at = now
            self.first = number
        if self.asked_at is None:
            self.asked_at = now
        if not self.stop.is_set():
            self.asked_by, self.why = asked_by, why
            self.stop.set()


def _readable(fd: int, timeout: float | None) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    # rounded up: a deadline that is 0.3 ms away must not become a busy loop of zero waits
    return bool(poller.poll(None if timeout is None else min(max(0, math.ceil(timeout * 1000)), LONGEST_POLL)))
