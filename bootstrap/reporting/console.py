"""What we say: one structlog logger, read by a person on stderr and by programs as JSON lines in a file."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

from ..ground.plain_text import plain, plain_document, printable
from ..ground.safe_files import open_own
from .colour import in_colour
from .folding import folded, width_of
from .prose import sentence
from .timed_writer import TimedWriter

_EARLY = 1000  # messages kept for a file that is not there yet, and may never be

Event = MutableMapping[str, Any]


class ScreenHolder(Protocol):
    """What stands between us and a terminal that a program has: it shows our lines with ``write``, now or later."""

    def say(self, text: str, write: Callable[[str], None]) -> None: ...
    def show(self, write: Callable[[str], None]) -> None: ...


_BEFORE = len("12:34:56 bootstrap identify   ")  # what stands in front of a message
_COLOURS = {"step": "\x1b[36m", "warning": "\x1b[33m", "error": "\x1b[31m", "dim": "\x1b[2m", "off": "\x1b[0m"}


def _unmasked(text: str) -> str:
    return text


class Console:
    """A :class:`bootstrap.job.Log` that masks secrets in everything it is told.

    ``quiet`` keeps only warnings and errors on ``stream``; the JSON lines always hold everything. A stream or a file
    that cannot be written never stops the job: we go on without it.
    """

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self.mask: Callable[[str], str] = _unmasked
        self.step = ""
        self.quiet = quiet
        self._stream = stream
        self._writer = _writer_to(stream)
        self._coloured = in_colour(stream)
        self._lines: TextIO | None = None
        self._early: list[str] = []
        self._logger: Any = None
        self._holder: ScreenHolder | None = None
        self._day: tuple[int, ...] = ()  # of the last line on the stream: when it changes, that is said

    @contextmanager
    def behind(self, holder: ScreenHolder | None) -> Iterator[None]:
        """While a command has our terminal: what we say waits until it disturbs nobody, at the latest until the end."""
        self._holder = holder if self._stream.isatty() else None
        try:
            yield
        finally:
            behind, self._holder = self._holder, None
            if behind is not None:
                behind.show(self._show)

    @property
    def terminal(self) -> TextIO | None:
        """Where a progress bar can be drawn, if anywhere."""
        return self._stream if self._stream.isatty() and not self.quiet else None

    def open_lines(self, path: Path) -> None:
        """Append JSON lines to ``path`` from here on, beginning with what was said before. Raises :class:`OSError`."""
        file = open_own(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._lines = open(file, "a", encoding="utf-8", buffering=1)  # noqa: SIM115  open until we close
        self._write_line("".join(self._early))
        self._early.clear()

    def close(self) -> None:
        if self._lines is not None:
            self._lines.close()
            self._lines = None

    def debug(self, event: str, **facts: object) -> None:
        self._tell("debug", event, facts)

    def info(self, event: str, **facts: object) -> None:
        self._tell("info", event, facts)

    def warning(self, event: str, **facts: object) -> None:
        self._tell("warning", event, facts)

    def error(self, event: str, **facts: object) -> None:
        self._tell("error", event, facts)

    def _tell(self, level: str, event: str, facts: dict[str, object]) -> None:
        if self._logger is None:
            from .logger import make_logger  # with the first message: `bootstrap ip` has none

            self._logger = make_logger(_stamped, self._masked, self._to_file, self._to_stream)
        step = {"step": self.step} if self.step else {}
        getattr(self._logger, level)(event, **step, **facts)

    # --- processors, in their order; the last one drops the event since it has been written by then ---------------

    def _masked(self, _logger: object, _method: str, event: Event) -> Event:
        # Masked as it is, then made plain: a secret need not be UTF-8 either.
        return {key: plain(self.mask(value)) if isinstance(value, str) else value for key, value in event.items()}

    def _to_file(self, _logger: object, _method: str, event: Event) -> Event:
        # Masked once more as text: a value that is no string (a path, a tuple) becomes one only here.
        facts = {name: value for name, value in event.items() if name != "lines"}  # the same once more, for a screen
        self._write_line(self.mask(json.dumps(plain_document(facts), ensure_ascii=False)) + "\n")
        return event

    def _to_stream(self, _logger: object, _method: str, event: Event) -> Event:
        from .logger import dropped

        level = event["level"]
        if level == "debug" or (self.quiet and level == "info"):
            raise dropped()
        text = plain(self._readable(dict(event))) + "\n"
        if self._holder is not None:
            self._holder.say(text, self._show)
        else:
            self._show(text)
        raise dropped()

    def _show(self, text: str) -> None:
        if self._writer is not None:
            self._writer.write(text.encode("utf-8", "backslashreplace"))
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads us any more; the JSON lines and the record still tell it
            pass

    def _write_line(self, text: str) -> None:
        if self._lines is None:
            if len(self._early) < _EARLY:
                self._early.append(text)
            return
        try:
            self._lines.write(text)
        except OSError:  # a full disk: the messages stay on stderr
            pass

    def _readable(self, event: dict[str, Any]) -> str:
        level, text, step = event.pop("level"), str(event.pop("event")), str(event.pop("step", ""))
        event.pop("timestamp", None)
        paint = _COLOURS if self._coloured else dict.fromkeys(_COLOURS, "")
        mark = event.pop("mark", "") or {"warning": "warning", "error": "error"}.get(level, "")
        mark = f"{mark}: " if mark else ""
        parts = [str(part) for part in event.pop("lines", ())]
        said = [printable(self.mask(sentence(text, event)))]
        if self._stream.isatty():  # one line in a log, where it is searched for; on a screen what to do stands out
            parts = parts or said[0].replace(" What to do: ", "\nWhat to do: ").split("\n")
            said = [printable(self.mask(part)) for part in parts]
        told = folded([mark + said[0], *said[1:]], width_of(self._stream), _BEFORE)
        now = time.localtime()
        day, self._day = self._day, now[:3]
        date = f"{paint['dim']}{time.strftime('%Y-%m-%d', now)}{paint['off']}\n" if day not in ((), self._day) else ""
        return (
            date
            + (
                f"{paint['dim']}{time.strftime('%H:%M:%S', now)} bootstrap{paint['off']} "
                f"{paint['step']}{step:<10}{paint['off']} {paint.get(level, '')}{told}{paint['off']}"
            ).rstrip()
        )


def _stamped(_logger: object, method: str, event: Event) -> Event:
    now = time.time()
    moment = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1e6):06}Z"
    return {**event, "level": method, "timestamp": moment}


def _writer_to(stream: TextIO) -> TimedWriter | None:
    """What writes to it where it is a descriptor of the system's, which can block."""
    try:
        return TimedWriter(stream.fileno())
    except (OSError, ValueError):  # a text in memory; a stream that somebody has closed
        return None


class Silence:
    """A :class:`bootstrap.job.Log` for work that is not worth a word unless it fails."""

    def debug(self, event: str, **facts: object) -> None: ...
    def info(self, event: str, **facts: object) -> None: ...
    def warning(self, event: str, **facts: object) -> None: ...
    def error(self, event: str, **facts: object) -> None: ...
