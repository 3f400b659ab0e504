"""Digests of a large file whose pieces come in any order, computed while the others are still on their way.

What is in the page cache is read back, in threads that give way to all others: on a machine with a core to spare, or
that waits for its network, next to nothing is left to be done when the last piece has come. What is a digest of parts
is computed on several cores.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import islice

from ....ground.machine import cores
from .checks import Digest, DigestCheck, new

_NICE = 10
_STEP = 256 << 10  # bytes of a read: there may be a hundred files at once, with as many threads
_THREADS = 4  # for one file
_LAST_READ = 5.0  # seconds for what is being read at the end
_AHEAD = 256  # spans that are looked at for one that can be gone on with: as many pieces may be on their way at once


class _Span:
    __slots__ = ("at", "digest", "end", "number", "taken")

    def __init__(self, number: int, digest: Digest, start: int, end: int) -> None:
        self.number, self.digest, self.at, self.end = number, digest, start, end
        self.taken = False


class RunningDigest:
    """Of a file of ``size`` bytes. ``here`` says up to where it is, from a place on; ``read`` gives its bytes there.

    ``check`` says what is computed, if anything; it is asked once, in a thread of ours, and may take its time.
    """

    def __init__(
        self,
        check: Callable[[], DigestCheck | None],
        size: int,
        here: Callable[[int], int],
        read: Callable[[int, int], bytes],
    ) -> None:
        self._asked, self._size, self._here, self._read = check, size, here, read
        self._check: DigestCheck | None = None
        self._spans: list[_Span] = []
        self._left: dict[int, _Span] = {}  # those that are not done, by their number
        self._known = threading.Lock()  # held by who finds out what is to be computed
        self._found = False
        self._changed = threading.Condition()
        self._closed = self._begun = False

    def arrived(self) -> None:
        """A piece is here. Begins with the first."""
        with self._changed:
            if not self._begun and not self._closed:
                self._begun = True
                self._start(self._begin)
            self._changed.notify_all()

    def result(self) -> tuple[DigestCheck | None, bool]:
        """All is here: what was checked, and whether it fits. What is left is computed at the caller's priority, since
        somebody waits for it now. Raises what ``read`` and ``check`` raise.
        """
        self._find_out()
        self.close()
        for _ in range(self._side_by_side(len(self._left)) - 1):
            self._start(self._help)
        self._work(asked=True)
        return self._check, self._check is None or self._check.fits([span.digest.digest() for span in self._spans])

    def close(self) -> None:
        """Nothing more is computed unasked."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def end(self) -> None:
        """As :meth:`close`; and nobody reads any more when it returns, if the disk answers within seconds: who fetches
        the file again takes one that is open for one that is worked on.
        """
        self.close()
        with self._changed:
            self._changed.wait_for(lambda: not any(span.taken for span in self._spans), _LAST_READ)

    def _find_out(self) -> None:
        with self._known:
            if self._found:
                return
            self._check = self._asked()
            if self._check is not None:
                kind = self._check.kind
                spans = self._check.spans(self._size)
                self._spans = [_Span(number, new(kind), *span) for number, span in enumerate(spans)]
                self._left = {span.number: span for span in self._spans if span.at < span.end}
            self._found = True

    def _begin(self) -> None:
        try:
            self._find_out()
        except Exception:  # noqa: BLE001  who asks for the result meets it, too
            return
        for _ in range(self._side_by_side(len(self._spans)) - 1):
            self._start(self._run)
        self._run()

    @staticmethod
    def _side_by_side(spans: int) -> int:
        return min(_THREADS, int(cores.usable()) // 2, spans)

    def _start(self, work: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # no more threads to be had: all is done in the end
            threading.Thread(target=work, name="digest", daemon=True).start()

    def _run(self) -> None:
        with suppress(OSError, AttributeError):  # forbidden, or not Linux: then at ours
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.nice(0) + _NICE)
        with suppress(Exception):  # who asks for the result meets it, too
            self._work(asked=False)

    def _help(self) -> None:
        with suppress(Exception):  # as above
            self._work(asked=True)

    def _work(self, *, asked: bool) -> None:
        while (span := self._take(asked=asked)) is not None:
            self._step(span)

    def _take(self, *, asked: bool) -> _Span | None:
        """A span that can be gone on with, when there is one; None when all are done, or closed and not ``asked``."""
        with self._changed:
            while self._left and (asked or not self._closed):
                for span in islice(self._left.values(), _AHEAD):
                    if not span.taken and self._here(span.at) > span.at:
                        span.taken = True
                        return span
                self._changed.wait()
            return None

    def _step(self, span: _Span) -> None:
        try:
            data = self._read(span.at, min(span.at + _STEP, span.end, self._here(span.at)))
            if not data:
                raise OSError("a file became shorter while it was read back")
            span.digest.update(data)
            span.at += len(data)
        finally:
            with self._changed:
                span.taken = False
                if span.at >= span.end:
                    del self._left[span.number]
                self._changed.notify_all()
