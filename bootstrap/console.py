"""What we say: one structlog logger, read by a person on stderr and by programs as JSON lines in a file.

The only place that knows structlog. It is imported with the first message, not with the package: that is most of our
start-up time, and commands such as ``bootstrap ip`` never need it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

_EARLY = 1000  # messages kept for a file that is not there yet, and may never be

Event = MutableMapping[str, Any]

_COLOURS = {"step": "\x1b[36m", "warning": "\x1b[33m", "error": "\x1b[31m", "dim": "\x1b[2m", "off": "\x1b[0m"}


def _unmasked(text: str) -> str:
    return text


@contextmanager
def _standing_in(modules: Mapping[str, ModuleType | None]) -> Iterator[None]:
    """Have an import find these instead: structlog imports rich where there is one, for tracebacks in colour that we
    never print (50 ms), and asyncio for loggers that we never make (10 ms, TLS included).
    """
    there = {name: sys.modules.get(name) for name in modules}
    sys.modules.update({name: there[name] or modules[name] for name in modules})  # type: ignore[misc]  # None: there is none
    try:
        yield
    finally:
        for name, module in there.items():
            if module is None:
                del sys.modules[name]


def _late(name: str) -> ModuleType:
    """A module that is imported when somebody asks it for something."""
    module = ModuleType(name)
    module.__dict__["__getattr__"] = lambda attribute: getattr(import_module(name), attribute)
    return module


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
        self._coloured = stream.isatty() and not os.environ.get("NO_COLOR")
        self._lines: TextIO | None = None
        self._early: list[str] = []
        self._logger: Any = None

    @property
    def terminal(self) -> TextIO | None:
        """Where a progress bar can be drawn, if anywhere."""
        return self._stream if self._stream.isatty() and not self.quiet else None

    def open_lines(self, path: Path) -> None:
        """Append JSON lines to ``path`` from here on, beginning with what was said before. Raises :class:`OSError`."""
        self._lines = path.open("a", encoding="utf-8", buffering=1)
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
            self._logger = self._make_logger()
        step = {"step": self.step} if self.step else {}
        getattr(self._logger, level)(event, **step, **facts)

    def _make_logger(self) -> Any:
        with _standing_in({"rich": None, "asyncio": _late("asyncio")}):
            import structlog

        return structlog.wrap_logger(
            None,
            wrapper_class=structlog.make_filtering_bound_logger(0),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                self._masked,
                self._to_file,
                self._to_stream,
            ],
        )

    # --- processors, in their order; the last one drops the event since it has been written by then ---------------

    def _masked(self, _logger: object, _method: str, event: Event) -> Event:
        return {key: self.mask(value) if isinstance(value, str) else value for key, value in event.items()}

    def _to_file(self, _logger: object, _method: str, event: Event) -> Event:
        # Masked once more as text: a value that is no string (a path, a tuple) becomes one only here.
        self._write_line(self.mask(json.dumps(event, ensure_ascii=False, default=str)) + "\n")
        return event

    def _to_stream(self, _logger: object, _method: str, event: Event) -> Event:
        import structlog

        level = event["level"]
        if level == "debug" or (self.quiet and level == "info"):
            raise structlog.DropEvent
        try:
            self._stream.write(self._readable(dict(event)) + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads us any more; the JSON lines and the record still tell it
            pass
        raise structlog.DropEvent

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
        facts = " ".join(f"{key}={value}" for key, value in event.items())
        mark = {"warning": "warning: ", "error": "error: "}.get(level, "")
        return (
            f"{paint['dim']}{time.strftime('%H:%M:%S')} bootstrap{paint['off']} "
            f"{paint['step']}{step:<10}{paint['off']} {paint.get(level, '')}{mark}{self.mask(text)}{paint['off']}"
            + (f" {paint['dim']}{self.mask(facts)}{paint['off']}" if facts else "")
        ).rstrip()


class Silence:
    """A :class:`bootstrap.job.Log` for work that is not worth a word unless it fails."""

    def debug(self, event: str, **facts: object) -> None: ...
    def info(self, event: str, **facts: object) -> None: ...
    def warning(self, event: str, **facts: object) -> None: ...
    def error(self, event: str, **facts: object) -> None: ...
