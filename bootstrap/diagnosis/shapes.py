"""Tracebacks in other shapes than Python's own, rewritten in that: Rich's boxes, loguru's, exception groups, IPython's.

Each line keeps its place, so that what is found in them is found where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .text import HEADER

_MARK = HEADER.rstrip(":")
_IN_BOX = re.compile(r"^(?P<file>(?:/|\w:|<|\.)?[^\s:]+):(?P<line>\d+) in (?P<function>\S+)$")
_GROUP = re.compile(rf"^\s*[+|] Exception Group {re.escape(HEADER)}$")
_IN_GROUP = re.compile(r"^\s*(?:[|+]-[-+ \d.]*$|[|+] ?(?P<inner>.*))")
_IPYTHON = re.compile(rf"^(?P<type>[A-Za-z_][\w.]*)\s{{2,}}{re.escape(_MARK)}$")
_IPYTHON_FRAME = re.compile(r"^(?:File )?(?P<file>\S+\.py):(?P<line>\d+)(?:, in | in )(?P<function>[\w.<>]+)")
_LOGURU = re.compile(r'^> (?=File ")')
_LONGEST = 400  # lines of one traceback

Lines = Sequence[tuple[int, str]]


def as_pythons(lines: Lines) -> Lines:
    """The lines of one rank, with their places."""
    if not any(_MARK in text and text != HEADER for _, text in lines) and not any(
        text[:2] == "> " for _, text in lines
    ):
        return lines
    made: list[tuple[int, str]] = []
    at = 0
    while at < len(lines):
        place, text = lines[at]
        if _MARK in text and text.startswith(("╭", "┌", "+-")):
            at = _box(lines, at, made)
        elif _GROUP.match(text):
            at = _group(lines, at, made)
        elif found := _IPYTHON.match(text):
            at = _ipython(lines, at, made, found["type"])
        else:
            made.append((place, _LOGURU.sub("  ", text)))
            at += 1
    return made


def _frame(found: re.Match[str]) -> str:
    return f'  File "{found["file"]}", line {found["line"]}, in {found["function"]}'


def _box(lines: Lines, at: int, made: list[tuple[int, str]]) -> int:
    """Rich's: a frame is ``FILE:LINE in FUNCTION`` in a box, and may be broken into two lines."""
    made.append((lines[at][0], HEADER))
    broken = ""
    for number in range(at + 1, min(len(lines), at + _LONGEST)):
        place, text = lines[number]
        if not text.startswith(("│", "|")):
            if text.startswith(("╰", "└", "+-")):
                made.append((place, "    "))
                return number + 1
            return number
        inner = text.strip("│| ").removeprefix("❱ ").strip()
        found = _IN_BOX.match(inner) or (_IN_BOX.match(broken + inner) if broken else None)
        made.append((place, _frame(found) if found else f"    {inner}"))
        broken = inner if inner.startswith(("/", "<")) and " " not in inner and not found else ""
    return min(len(lines), at + _LONGEST)


def _group(lines: Lines, at: int, made: list[tuple[int, str]]) -> int:
    made.append((lines[at][0], HEADER))
    for number in range(at + 1, min(len(lines), at + _LONGEST)):
        place, text = lines[number]
        found = _IN_GROUP.match(text)
        if found is None:
            return number
        inner = found["inner"] or ""
        made.append((place, HEADER if inner.endswith(HEADER) else inner))
    return min(len(lines), at + _LONGEST)


def _ipython(lines: Lines, at: int, made: list[tuple[int, str]], type: str) -> int:
    """IPython's names the exception in front and at the end; what is between are frames and code."""
    ends = re.compile(rf"^{re.escape(type)}(?::|$)")
    until = min(len(lines), at + _LONGEST)
    if not any(ends.match(text) for _, text in lines[at + 1 : until]):
        made.append(lines[at])
        return at + 1
    made.append((lines[at][0], HEADER))
    for number in range(at + 1, until):
        place, text = lines[number]
        if ends.match(text):
            return number
        found = _IPYTHON_FRAME.match(text)
        made.append((place, _frame(found) if found else f"    {text}"))
    return until
