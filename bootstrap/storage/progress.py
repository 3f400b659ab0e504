"""Signs of life: a bar on a terminal, elsewhere a line every few seconds, because silence looks like hanging."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TextIO

from bootstrap.errors import BootstrapError
from bootstrap.job import Log
from bootstrap.storage.local import readable

_EVERY = 5.0  # seconds between two lines
_REDRAW = 0.2  # seconds between two pictures of the bar
_COMPLAINTS = 15.0  # seconds between two words about a store that does not serve
_WIDTH = 24  # characters of the bar


class Progress:
    """Counts what is done and shows it. ``add`` and ``finish`` may be called from any thread.

    ``terminal`` is where to draw a bar; without one, lines go to ``log``. Use it as a context manager.
    """

    def __init__(self, log: Log, verb: str, *, files: int = 0, size: int = 0, terminal: TextIO | None = None) -> None:
        self.files = 0
        self.bytes = 0
        self._log = log
        self._verb = verb
        self._of_files = files
        self._of_bytes = size
        self._terminal = terminal
        self._drawn = False
        self._lock = threading.Lock()
        self._started = self._shown = time.monotonic()
        self._complain_at = 0.0

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
        if self._terminal is not None:
            self._terminal.write(f"\r{self._verb} {self._picture()}\x1b[K")
            self._terminal.flush()
            self._drawn = True
            return
        facts: dict[str, object] = {"files": self.files, "of": self._of_files, "mb": round(self.bytes / 1e6, 1)}
        if self._of_bytes:
            facts["of_mb"] = round(self._of_bytes / 1e6, 1)
        facts["mb_per_s"] = round(self._rate() / 1e6, 1)
        if self._of_bytes:
            facts["seconds_left"] = round(self._left())
        self._log.info(self._verb, **facts)

    def _picture(self) -> str:
        share = min(1.0, self.bytes / self._of_bytes) if self._of_bytes else 0.0
        bar = ("█" * round(share * _WIDTH)).ljust(_WIDTH, "·")
        left = f"{int(self._left()) // 60}:{int(self._left()) % 60:02d} left"
        moved = f"{readable(self.bytes)} of {readable(self._of_bytes)}"
        return f"{bar} {share:4.0%}  {self.files}/{self._of_files} files  {moved}  {readable(self._rate())}/s  {left}"

    def _rate(self) -> float:
        return self.bytes / max(0.001, self.seconds)

    def _left(self) -> float:
        return min(359_999.0, max(0, self._of_bytes - self.bytes) / max(1.0, self._rate()))
