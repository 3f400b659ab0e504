"""Writing for somebody who may not read: a pipe that nobody empties, a terminal that was stopped by Ctrl-S.

A write to it would hang, and the job with it. So a thread writes, and whoever has something to say waits for it as long
as anybody would: in the usual case until it is there, so that what we say keeps its place among what others write to
the same terminal.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque

_LONGEST = 1.0  # seconds for which a text that is not taken holds up the job, once
_MOST = 1000  # texts kept for a reader who comes back


class TimedWriter:
    """Texts to the descriptor ``fd``, in their order. What is not taken within a second is kept, as what comes behind
    it is, and written when there is a reader again; our own end does not wait for that.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._thread: threading.Thread | None = None
        self._stuck = False
        self._gone = False  # the reader has left for good

    def write(self, text: bytes) -> None:
        """Have it written; never fails."""
        with self._changed:
            if self._gone or len(self._waiting) >= _MOST:
                return
            self._waiting.append(text)
            if self._thread is None and not self._start():
                return
            self._changed.notify_all()
            if not self._stuck:
                self._stuck = not self._changed.wait_for(lambda: not self._waiting, _LONGEST)

    def _start(self) -> bool:
        thread = threading.Thread(target=self._run, name="our-lines", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads to be had: here and now, then, and as long as it takes
            self._write(self._waiting.popleft())
            return False
        self._thread = thread
        return True

    def _run(self) -> None:
        while not self._gone:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                text = self._waiting[0]
            self._write(text)
            with self._changed:
                self._waiting.popleft()
                if not self._waiting:
                    self._stuck = False
                self._changed.notify_all()

    def _write(self, text: bytes) -> None:
        left = memoryview(text)
        try:
            while left:
                try:
                    left = left[os.write(self._fd, left) :]
                except BlockingIOError:  # somebody who has the same pipe or terminal made it so
                    select.select((), (self._fd,), ())
        except (OSError, ValueError):  # nobody reads us any more; the JSON lines and the record still tell it
            self._gone = True
