"""Texts that can always be told: recording and telling never end a job.

An argument, a directory or a file's name may hold bytes that are no UTF-8. Python carries them as lone surrogates,
which neither a console nor a JSON document takes.
"""

from __future__ import annotations

import io
import sys
from typing import Any

from .patterns import pattern


def plain(text: str) -> str:
    """``text`` with every byte that is no UTF-8 as ``\\xff``. What is UTF-8 after all, and came in under a locale that
    is not, is read as such.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        try:
            data = text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # surrogates that stand for no byte
            data = text.encode("utf-8", "surrogatepass")
        return data.decode("utf-8", "backslashreplace")
    return text


def plain_document(value: Any) -> Any:
    """A JSON document's values, with every text and key in it as :func:`plain` has it."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {plain(key) if isinstance(key, str) else key: plain_document(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_document(one) for one in value]
    return value if value is None or isinstance(value, (bool, int, float)) else plain(str(value))


_CONTROL = pattern(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_BREAK = pattern(r"[\t\n\u2028\u2029]")


def printable(text: str, *, on_one_line: bool = False) -> str:
    """``text`` with its control characters (C0, C1, DEL) spelled out, but for tabs and line ends, or ``on_one_line``
    with these as well: names of objects, of nodes and in archives may hold what would write to a terminal's title,
    clear its screen, or look like a line of ours.
    """
    text = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    return _BREAK.sub(lambda found: repr(found[0])[1:-1], text) if on_one_line else text


def open_streams() -> None:
    """Have our own output take any text, whatever the locale and ``PYTHONIOENCODING`` say: stdout passes a name's bytes
    on as they are, stderr is for people.
    """
    for stream, errors in ((sys.stdout, "surrogateescape"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=errors)
