"""Text for a screen: folded between words at its width, what follows set in below what came first."""

from __future__ import annotations

import os
from typing import IO

from ..ground.patterns import pattern

_WIDE = 100  # columns from which there is room to set lines in below the text, and not only below our name


def width_of(stream: IO[str]) -> int:
    """Columns of the terminal that ``stream`` is; 0 where it is none or does not know."""
    try:
        return os.get_terminal_size(stream.fileno()).columns if stream.isatty() else 0
    except (OSError, ValueError):  # closed, or no file at all
        return 0


def folded(lines: list[str], width: int, begun: int) -> str:
    """``lines`` of a message, of whose first one ``begun`` columns are taken. A ``width`` of 0 folds nothing."""
    margin = " " * (begun if width >= _WIDE or not width else min(begun, 19))
    told: list[str] = []
    for number, line in enumerate(lines):
        told += _fold(line, width, begun if number == 0 else len(margin), len(margin))
    return f"\n{margin}".join(told)


def _fold(text: str, width: int, first: int, rest: int) -> list[str]:
    """One line as several. A word longer than a line (a URL, to be copied as a whole) is left to the terminal."""
    if not width or first + columns(text) <= width:
        return [text]
    told, line, room = [], "", width - first
    for piece in _PIECES.findall(text):
        if line and columns(line + piece.rstrip()) > room:
            told.append(line.rstrip())
            line, room = "", width - rest
        line += piece
    return [*told, line.rstrip()]


# What may begin a line: a word with its spaces, or a wide character, between which there are none.
_PIECES = pattern(r"[\u2e80-\u9fff\uff00-\uffef][，。：；、）」》！？]*\s*|[^\s\u2e80-\u9fff\uff00-\uffef]+\s*|\s+")


def columns(text: str) -> int:
    """How many columns of a terminal it takes: Chinese characters take two."""
    if text.isascii():
        return len(text)
    import unicodedata  # most of what we say needs none

    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)
