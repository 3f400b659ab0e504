"""How a value may be spelled where it is printed: one function a kind, and all of them together.

Each spelling is what a program that people use writes: Python's ``repr``, ``json``, ``shlex`` and ``html``, PHP's and
Go's JSON, .NET's, ``printf %q`` and ``set -x`` of bash, ``base64`` with its lines. What cannot be foreseen stands in
docs/credentials.md.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache, partial
from urllib.parse import quote, quote_plus

from ..ground.patterns import pattern

BREAKS = (b"\n", b"\r\n", b"\\n")
"""Ends of base64's lines: of Unix, of MIME, and of either inside a JSON text or a repr."""
WIDTHS = (76, 64)
"""Characters a line: MIME (RFC 2045, as ``base64`` and ``base64.encodebytes`` write), PEM (RFC 7468, ``openssl``)."""

# Which characters of ASCII become \uXXXX though JSON does not ask for it: none; Go's encoding/json; PHP with
# JSON_HEX_*; .NET's System.Text.Json.
_ESCAPED_OR_SHY = pattern(r"\\.|[<>&'+`]")
_JSON_SHY = ("", "<>&", "<>&'\"", "<>&'\"+`")
# The same in HTML: Python's html.escape with and without quotes, and Go's html/template.
_HTML = (
    {"&": "&amp;", "<": "&lt;", ">": "&gt;"},
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"},
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"},
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"},
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"},
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;"},
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;", "+": "&#43;"},
)
_ANSI_C = {"\\": "\\\\", "'": "\\'", "\a": "\\a", "\b": "\\b", "\x1b": "\\E", "\f": "\\f", "\n": "\\n", "\r": "\\r",
           "\t": "\\t", "\v": "\\v"}  # fmt: skip


@lru_cache(maxsize=64)
def forms(value: str) -> frozenset[bytes]:
    """Every spelling under which ``value`` is looked for. Remembered: several streams mask the same few values."""
    raw = value.encode("utf-8", "surrogateescape")
    texts = (*_json(value), *_python(value), *_shell(value), *_html(value))
    found = {raw, *_url(raw), *_base64(raw), *(text.encode("utf-8", "surrogateescape") for text in texts)}
    return frozenset(found - {b""})


def _url(raw: bytes) -> Iterator[bytes]:
    for quoted in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield quoted.encode()
        yield re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), quoted).encode()  # hexadecimal digits may be small


def _json(value: str) -> Iterator[str]:
    for ascii_only in (True, False):
        plain = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        for shy in _JSON_SHY:
            text = _ESCAPED_OR_SHY.sub(partial(_hidden, shy), plain)
            for solidus in (text, text.replace("/", "\\/")):
                yield solidus
                yield re.sub(r"\\.[0-9a-f]{0,4}", _large_digits, solidus)


def _hidden(shy: str, written: re.Match[str]) -> str:
    """``\\uXXXX`` for a character that the writer is shy of; a quote comes with its backslash."""
    character = written[0][-1]
    return f"\\u{ord(character):04x}" if character in shy else written[0]


def _large_digits(escape: re.Match[str]) -> str:
    return "\\u" + escape[0][2:].upper() if escape[0].startswith("\\u") else escape[0]


def _python(value: str) -> Iterator[str]:
    """A dictionary of them printed by Python, ``print(os.environ)`` above all."""
    yield repr(value)[1:-1]
    yield repr(value.encode("utf-8", "surrogateescape"))[2:-1]


def _shell(value: str) -> Iterator[str]:
    yield value.replace("'", "'\"'\"'")  # shlex.quote
    yield value.replace("'", "'\\''")  # set -x, ${v@Q}
    yield re.sub(r'(["$`\\])', r"\\\1", value)  # in double quotes: declare -p, export -p
    yield re.sub(r'(["$`\\!])', r"\\\1", value)
    yield re.sub(r"([ \t'\"\\|&;()<>!{}*\[\]?^$`,])", r"\\\1", value)  # printf %q
    yield re.sub(r"([^\w@%+=:,./-])", r"\\\1", value, flags=re.ASCII)  # escapers that know what is harmless
    yield "".join(_ANSI_C.get(character, character) for character in value)  # $'...' of bash
    # The same where the locale is C: bytes as octal numbers.
    decoded = value.encode("utf-8", "surrogateescape").decode("latin-1")
    yield "".join(_ANSI_C.get(c) or (c if " " <= c <= "~" else f"\\{ord(c):03o}") for c in decoded)


def _html(value: str) -> Iterator[str]:
    for entities in _HTML:
        yield "".join(entities.get(character, character) for character in value)


def _base64(raw: bytes) -> Iterator[bytes]:
    """What is inside the base64 of a longer text at each of its three alignments, in one line and in several."""
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + raw).rstrip(b"=")
        # the first characters mix with unknown bytes before the value, the last one with those after it
        middle = encoded[(0, 2, 3)[shift] : len(encoded) - ((shift + len(raw)) % 3 != 0)]
        yield middle
        yield middle.translate(bytes.maketrans(b"+/", b"-_"))
        yield from _in_lines(middle, (0, 2, 3)[shift])


def _in_lines(middle: bytes, skipped: int) -> Iterator[bytes]:
    """``middle`` with the breaks in it that lines have, wherever it begins in one. Lines hold whole groups of four."""
    for width in WIDTHS:
        for begins in range(skipped, width, 4):  # the column of its first character
            first = width - begins
            if first < len(middle):
                lines = [middle[:first], *(middle[at : at + width] for at in range(first, len(middle), width))]
                yield from (line_break.join(lines) for line_break in BREAKS)


def sorted_by_letters(needles: Iterable[bytes]) -> dict[bytes, list[bytes]]:
    """Needles by the letters that may witness for them: those before the last one, which no break of lines is.

    The many ways to break one text into lines are one entry: one choice, not hundreds.
    """
    known: dict[bytes, bytes] = {}
    groups: dict[bytes, list[bytes]] = {}
    for needle in needles:
        unbroken = needle.translate(None, b"\r\n").replace(b"\\n", b"")
        if (some := known.get(unbroken)) is None:
            some = known[unbroken] = bytes(sorted(set(unbroken[:-1]) or set(needle[:-1])))
        groups.setdefault(some, []).append(needle)
    return groups
