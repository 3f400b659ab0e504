"""Logs of which a line is a JSON object or pairs of logfmt: the error in them, as a program would have printed it.

Known are the names of python-json-logger, structlog, loguru (``serialize=True``), Elastic's common schema, zap, logrus
and the clouds' agents. Only lines of an error say something here: an exception that a program logs as a warning, and
goes on, is not what ended it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..ground.json_text import load_json

_LEVELS = ("level", "levelname", "severity", "lvl", "log.level", "loglevel")
_FAILED = re.compile(r"(?i)err(?:or)?|fatal|crit(?:ical)?|panic|emerg(?:ency)?|alert")
_MESSAGES = ("message", "msg", "event", "text", "error.message", "error", "err", "reason")
_TRACES = ("exc_info", "exc_text", "exception", "traceback", "stack_trace", "stacktrace", "stack", "error.stack_trace")
_LOGFMT = re.compile(r"(?:^|\s)(?:level|lvl|severity)=\"?(?:error|err|fatal|critical|panic)\b", re.IGNORECASE)
_QUOTED = re.compile(r'(?:^|\s)[\w.]+="((?:[^"\\]|\\.)*)"')
_LONGEST = 64 << 10  # characters of one line that are taken for an object


def said_by(line: str) -> list[str]:
    """The lines that an error of a structured log consists of; none for any other line."""
    if line.startswith("{") and line.endswith("}") and len(line) <= _LONGEST:
        try:
            found = load_json(line)
        except ValueError:
            return []
        return _lines(_of_object(found)) if isinstance(found, dict) else []
    if _LOGFMT.search(line):
        return _lines(re.sub(r'\\(["\\])', r"\1", one).replace("\\n", "\n") for one in _QUOTED.findall(line))
    return []


def _of_object(found: Mapping[str, Any]) -> Iterator[str]:
    record = found.get("record")
    inner = record if isinstance(record, dict) else {}  # loguru's, whose text has the traceback, too
    traces = [text for one in (found, inner) for name in _TRACES if (text := _trace(_get(one, name)))]
    levels = [level for one in (found, inner) for name in _LEVELS if (level := _level(_get(one, name)))]
    if not (traces or levels) or (levels and not any(_FAILED.fullmatch(level) for level in levels)):
        return
    for name in _MESSAGES:
        value = _get(found, name)
        if isinstance(value, str) and value not in traces:
            yield value
    yield from traces


def _get(found: Mapping[str, Any], name: str) -> object:
    """A field, also where its dotted name is one of objects in each other."""
    if name in found or "." not in name:
        return found.get(name)
    outer, _, rest = name.partition(".")
    inner = found.get(outer)
    return inner.get(rest) if isinstance(inner, dict) else None


def _level(value: object) -> str:
    """The level's name; loguru's is an object that has it."""
    if isinstance(value, dict):
        value = value.get("name")
    return value if isinstance(value, str) else ""


def _trace(value: object) -> str:
    """A traceback as text; structlog's ``dict_tracebacks`` is a list of objects, loguru's is one."""
    if isinstance(value, list):
        return "\n".join(filter(None, map(_trace, value)))
    if isinstance(value, dict):
        kind, text = value.get("exc_type") or value.get("type"), value.get("exc_value") or value.get("value")
        return f"{kind}: {text}" if isinstance(kind, str) and text is not None else ""
    return value if isinstance(value, str) else ""


def _lines(texts: Iterator[str]) -> list[str]:
    return [line.rstrip() for text in texts for line in text.split("\n") if line.strip()]
