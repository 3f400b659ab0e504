"""Signs of life: a bar on a terminal, elsewhere a line every few seconds, because silence looks like hanging."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, deque
from types import TracebackType
from typing import TextIO

from ...errors import BootstrapError
from ...job import Log
from .units import readable

_NAMED = 20  # keys that are kept
_EVERY = 5.0  # seconds between two lines
_REDRAW = 0.2  # seconds between two pictures of the bar
_COMPLAINTS = 15.0  # seconds between two words about a store that does not serve
_BAR = (8, 24)  # characters of the bar: fewer say nothing, more say no more
_RECENT = 10.0  # seconds of which the rate is: what a transfer did an hour ago says nothing about what is left
_SANE = 2.0  # seconds before which a rate says nothing about what is left


class Progress:
    """Counts what is done and shows it. ``add`` and ``finish`` may be called from any thread.

    ``terminal`` is where to draw a bar; without one, lines go to ``log``. Use it as a context manager.
    """

    def __init__(self, log: Log, verb: str, *, files: int = 0, size: int = 0, terminal: TextIO | None = None) -> None:
        self.files = 0
        self.bytes = 0
        self.verified: Counter[str] = Counter()
        """By what objects were verified: how many by each kind of digest, or by their size alone."""
        self.by_size: list[str] = []
        """Keys of those, not all of many."""
        self._log = log
        self._verb = verb
        self._of_files = files
        self._of_bytes = size
        self._terminal = terminal
        self._drawn = False
        self._lock = threading.Lock()
        self._started = self._shown = time.monotonic()
        self._complain_at = 0.0
        self._seen: deque[tuple[float, int]] = deque([(self._started, 0)])  # when, and how many bytes by then

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawn and self._terminal is not None:
            self._terminal.write("\r\x1b[K")
            self._terminal.flush()

    def expect(self, files: int, size: int) -> None:
        """So much is to come in all."""
        self._of_files, self._of_bytes = files, size

    def present(self, size: int) -> None:
        """So many bytes of what was expected are here already."""
        self._of_bytes -= size

    def spare(self, size: int) -> None:
        """So many bytes need not come after all."""
        with self._lock:
            self._of_bytes -= size

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def add(self, size: int) -> None:
        """So many bytes more have moved; negative when they have to move again."""
        with self._lock:
            self.bytes += size

    def finish(self) -> None:
        """One file more is complete."""
        with self._lock:
            self.files += 1

    def verified_by(self, what: str, key: str) -> None:
        """An object is what the store has, as far as this tells."""
        with self._lock:
            self.verified[what] += 1
            if what == "size" and len(self.by_size) < _NAMED:
                self.by_size.append(key)

    def trouble(self, error: BootstrapError, left: float) -> None:
        """A store does not serve, and will be asked for ``left`` seconds more. Said now and then, from any thread."""
        now = time.monotonic()
        with self._lock:
            if now < self._complain_at:
                return
            self._complain_at = now + _COMPLAINTS
        self._log.warning(f"{error.what}, and try again", where=error.where, why=error.why, for_seconds=round(left))

    def tell(self, event: str, **facts: object) -> None:
        """Something worth a line of its own."""
        self._log.info(event, **facts)

    def beat(self) -> None:
        """Show where we are, if it is time to."""
        now = time.monotonic()
        if now - self._shown < (_EVERY if self._terminal is None else _REDRAW):
            return
        self._shown = now
        self._seen.append((now, self.bytes))
        while now - self._seen[0][0] > _RECENT and len(self._seen) > 2:
            self._seen.popleft()
        if self._terminal is not None:
            picture = self._picture(_columns(self._terminal))
            if picture:
                self._terminal.write(f"\r{picture}\x1b[K")
                self._terminal.flush()
                self._drawn = True
            return
        facts: dict[str, object] = {"files": self.files, "of": self._of_files, "mb": round(self.bytes / 1e6, 1)}
        if self._of_bytes:
            facts["of_mb"] = round(self._of_bytes / 1e6, 1)
        facts["mb_per_s"] = round(self._rate() / 1e6, 1)
        left = self._left()
        if left is not None:
            facts["seconds_left"] = round(left)
        self._log.info(self._verb, **facts)

    def _picture(self, columns: int) -> str:
        """One line that fits: the words that say most come first, and the bar gets what is left. Empty for no room."""
        share = min(1.0, self.bytes / self._of_bytes) if self._of_bytes else 0.0
        left = self._left()
        words = [
            f"{share:4.0%}" if self._of_bytes else "",
            f"{readable(self.bytes)} of {readable(self._of_bytes)}" if self._of_bytes else readable(self.bytes),
            f"{readable(self._rate())}/s",
            f"{_clock(left)} left" if left is not None else "",
            f"{self.files}/{self._of_files} files" if self._of_files > 1 else "",
        ]
        room = columns - 1  # in the last column some terminals go on to the next line
        line = self._verb
        for word in words:
            if word and len(line) + 2 + len(word) <= room:
                line += f"  {word}"
        bar = min(_BAR[1], room - len(line) - 2)
        if self._of_bytes and bar >= _BAR[0]:
            line = f"{self._verb}  {('█' * round(share * bar)).ljust(bar, '·')}{line[len(self._verb) :]}"
        return line if len(line) <= room else ""

    def _rate(self) -> float:
        """Bytes a second, lately."""
        now = time.monotonic()
        since, before = self._seen[0]
        return max(0, self.bytes - before) / max(0.001, now - since)

    def _left(self) -> float | None:
        """Seconds, or None where nobody can say: at the very start, without a size, and while nothing moves."""
        rate = self._rate()
        if not self._of_bytes or rate < 1 or self.seconds < _SANE:
            return None
        return max(0, self._of_bytes - self.bytes) / rate


def _columns(terminal: TextIO) -> int:
    """How wide the terminal is now; 0 where it does not say."""
    try:
        return os.get_terminal_size(terminal.fileno()).columns
    except (OSError, ValueError):
        return 0


def _clock(seconds: float) -> str:
    """``0:07``, ``12:30``, ``3:05:00``, ``2 days``."""
    whole = int(seconds)
    if whole >= 48 * 3600:
        return f"{whole // 86400} days"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
