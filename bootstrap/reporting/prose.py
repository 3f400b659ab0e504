"""The facts of a message as words: what a person reads on the console, where programs read ``.jsonl``."""

from __future__ import annotations

from collections.abc import Callable, Mapping


def duration(seconds: object) -> str:
    """``0.2 s``, ``45 s``, ``12 min 3 s``, ``3 h 5 min``."""
    try:
        value = float(str(seconds))
    except ValueError:
        return str(seconds)
    if value < 0.05:
        return "under 0.1 s"
    if value < 10:
        return f"{value:.1f}".removesuffix(".0") + " s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def origin(source: str) -> str:
    """Where a value came from: ``from MA_LOG_DIR``, or the clause that says why it is what it is."""
    return source if " is " in source else f"from {source}"


def counted(number: object, one: str, many: str = "") -> str:
    """``1 file``, ``2 files``."""
    return f"{number} {one if str(number) == '1' else many or one + 's'}"


_PHRASES: dict[str, Callable[[object], str]] = {
    "files": lambda value: counted(value, "file"),
    "members": lambda value: counted(value, "member"),
    "size": str,
    "from": lambda value: f"from {value}",
    "to": lambda value: f"to {value}",
    "into": lambda value: f"into {value}",
    "seconds": lambda value: f"in {duration(value)}",
    "rate": lambda value: "" if str(value).startswith("0.0 ") else str(value),
    "unchanged": lambda value: f"{value} unchanged",
    "failed": lambda value: f"{value} failed",
    "source": lambda value: f"from {value}",
    "target": str,
    "path": str,
    "where": str,
    "name": str,
    "names": str,
    "archive": str,
    "endpoint": str,
    "host": str,
    "why": str,
    "reason": str,
    "asked_by": lambda value: f"asked by {value}",
    "first": lambda value: f"the first is {value}",
    "after": lambda value: f"after {value}",
    "after_s": lambda value: f"after {duration(value)}",
    "for_seconds": lambda value: f"for {duration(value)}",
    "in_seconds": lambda value: f"in {duration(value)}",
    "left_s": lambda value: f"{duration(value)} left",
    "seconds_left": lambda value: f"{duration(value)} left",
    "seconds_until_kill": lambda value: f"{duration(value)} until KILL",
    "mb": lambda value: f"{value} MB",
    "of_mb": lambda value: f"of {value} MB",
    "mb_per_s": lambda value: f"{value} MB/s",
    "used_instead": lambda value: f"{value} is used instead",
    "used": lambda value: f"{value} is used",
    "ignored": lambda value: f"{value} is not",
    "ends": lambda value: f"good until {value}",
    "checkpoint": str,
    "saved": lambda value: f"saved {value}",
    "attempt": lambda value: f"of attempt {value}",
    "newer": lambda value: f"attempt {value}",
    "output": str,
    "input": str,
    "job": str,
    "holds": lambda value: f"which holds {value}",
    "awaited": str,
    "missing": lambda value: f"there is no {value}",
    "now": lambda value: {"restore": "fetched again", "keep": "kept as they are"}.get(str(value), str(value)),
    "id": lambda value: f"[{value}]",
    "remedy": lambda value: f"What to do: {value}",
}
_FIRST = (
    "checkpoint",
    "files",
    "of",
    "members",
    "mb",
    "of_mb",
    "size",
    "unchanged",
    "failed",
)  # how much, before where
_BEFORE = {"remedy": ". ", "id": " "}  # what stands between such a phrase and those before it


def prose(facts: Mapping[str, object]) -> str:
    """``3 files, 97.0 MB, to obs://bucket/models/, in 1.4 s, 69.3 MB/s``; empty for no facts."""
    order = [name for name in _FIRST if name in facts] + [name for name in facts if name not in _FIRST]
    told = ""
    for name in order:
        phrase = _PHRASES[name](facts[name]) if name in _PHRASES else f"{name.replace('_', ' ')} {facts[name]}"
        mark = _BEFORE.get(name, ", ")
        told += f"{mark if told else ''}{phrase}" if phrase else ""
    return told


def sentence(event: str, facts: Mapping[str, object]) -> str:
    """A message with its facts: ``fetched 2 files, 5.2 kB, from ...``, or ``left out: x, a named pipe``."""
    told = prose(facts)
    if not told:
        return event
    return f"{event} {told}" if told[0].isdigit() and event.endswith(("ed", "ing")) else f"{event}: {told}"
