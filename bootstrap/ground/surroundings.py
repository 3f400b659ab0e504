"""What surrounds a value by accident.

``docker --env-file`` and a YAML ``value: '"..."'`` keep quotes that a shell would have taken off, files from Windows
bring a byte order mark and a CR, block scalars a new line, documents and chats typographic quotes. Each would become
part of a URL, a key or a switch.
"""

from __future__ import annotations

_AROUND = " \t\r\n\v\f\ufeff\u200b\u00a0\u3000"
_QUOTES = {'"': '"', "'": "'", "`": "`", "\u201c": "\u201d", "\u2018": "\u2019", "\u300c": "\u300d"}


def bare(value: str) -> tuple[str, str]:
    """``value`` without what surrounds it by accident, and the words for that; no words if there was nothing."""
    found: dict[str, None] = {}
    while True:
        inside = value.strip(_AROUND)
        if inside != value:
            around = value[: len(value) - len(value.lstrip(_AROUND))] + value[len(value.rstrip(_AROUND)) :]
            found["a byte order mark" if "\ufeff" in around else "a line's end" if _ends(around) else "space"] = None
        value = inside
        if len(value) < 2 or _QUOTES.get(value[0]) != value[-1] or value[0] in value[1:-1]:
            return value, " and ".join(found)
        found["quotes"] = None
        value = value[1:-1]


def _ends(text: str) -> bool:
    return "\n" in text or "\r" in text
