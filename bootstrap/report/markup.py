"""HTML that cannot be broken out of: whatever is no :class:`Markup` is text, and is escaped.

Names and logs are written by whoever could write them: control characters are left out, and those that change the
direction of writing are shown by their numbers, so that nothing reads as what it is not.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from ..ground.plain_text import plain


class Markup(str):
    """HTML, made here."""

    __slots__ = ()


Child = str | int | float | None
_VOID = frozenset({"meta", "link", "br"})
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_DIRECTIONS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def text(value: object) -> Markup:
    """``value`` as text that a browser shows as it is."""
    if isinstance(value, Markup):
        return value
    told = _CONTROLS.sub("", plain(str(value)))
    return Markup(html.escape(_DIRECTIONS.sub(lambda found: f"\\u{ord(found[0]):04x}", told)))


def tag(element: str, *children: Child, **attributes: str | None) -> Markup:
    """An element. Attributes: ``class_`` for ``class``, ``data_x`` for ``data-x``; None is left out."""
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(text(child) for child in children if child is not None)
    return Markup(f"<{element}{told}>" if element in _VOID else f"<{element}{told}>{inside}</{element}>")


def joined(parts: Iterable[Markup]) -> Markup:
    return Markup("".join(parts))


def table(head: Iterable[Child], rows: Iterable[Iterable[Child]], *, class_: str | None = None) -> Markup:
    """A table that scrolls by itself where it is wider than the page."""
    top = tag("thead", tag("tr", *(tag("th", one, scope="col") for one in head)))
    body = tag("tbody", *(tag("tr", *(one if _is_cell(one) else tag("td", one) for one in row)) for row in rows))
    return tag("div", tag("table", top, body, class_=class_), class_="scroll")


def cell(*children: Child, class_: str | None = None) -> Markup:
    return tag("td", *children, class_=class_)


def _is_cell(value: Child) -> bool:
    return isinstance(value, Markup) and value.startswith(("<td", "<th"))
