"""The end of a log, each line with an address of its own, those that the diagnosis quotes marked."""

from __future__ import annotations

from ..reporting.language import Lang
from . import words
from .amounts import readable
from .markup import Markup, tag, text
from .model import LogEnd, NodeRun, listed, part

_OURS = "bootstrap: "  # our own last lines, which quote those of the command
_SHORTEST = 6  # characters of a quotation that is looked for: less is everywhere


class LogLines:
    """The last lines of a node's log, ``most`` of them, within ``room`` characters."""

    def __init__(self, node: NodeRun, most: int, room: int) -> None:
        self._node = node
        lines: list[str] = []
        for line in reversed(node.log.lines if node.log is not None else ()):
            room -= len(line) + _AROUND
            if len(lines) >= most or room < 0:
                break
            lines.append(line)
        self._lines = lines[::-1]
        known = node.log is not None and node.log.whole and len(self._lines) == len(node.log.lines)
        self._is_whole = known
        self._first = 1 if known else -len(self._lines)
        self._quoted = self._find(node)

    def link(self, quotation: str) -> tuple[str, int] | None:
        """Where the line with this text is: what to link to, and its number."""
        wanted = quotation.splitlines()[0].strip() if quotation.strip() else ""
        if len(wanted) < _SHORTEST:
            return None
        found = [place for place, line in enumerate(self._lines) if wanted in line]
        said = [place for place in found if not self._lines[place].startswith(_OURS)]
        place = max(said or found, default=None)
        return None if place is None else (self._address(place), self._first + place)

    def html(self, lang: Lang, *, opened: bool) -> Markup:
        log = self._node.log
        if log is None or not self._lines:
            return tag("p", words.NO_LOG.to(lang), class_="quiet")
        rows = "".join(self._row(place, line) for place, line in enumerate(self._lines))
        heading = tag("summary", f"{log.name} ", tag("span", self._told(log, lang), class_="quiet"))
        return tag("details", heading, tag("pre", Markup(rows), class_="log"), open="" if opened else None)

    def _told(self, log: LogEnd, lang: Lang) -> str:
        if self._is_whole:
            return words.WHOLE_LOG.filled(size=readable(log.size)).to(lang)
        return words.CUT_LOG.filled(size=readable(log.size), lines=len(self._lines)).to(lang)

    def _row(self, place: int, line: str) -> str:
        address, number = self._address(place), self._first + place
        seen = ' class="seen"' if place in self._quoted else ""
        return f'<div id="{address}"{seen}><a href="#{address}">{number}</a><code>{text(line)}</code></div>'

    def _address(self, place: int) -> str:
        return f"n{self._node.node}-{'L' if self._is_whole else 'E'}{abs(self._first + place)}"

    def _find(self, node: NodeRun) -> frozenset[int]:
        found = set()
        for one in listed(node.record, "diagnosis", "evidence"):
            where = self.link(str(part(one, "text") or ""))
            if where is not None:
                found.add(where[1] - self._first)
        return frozenset(found)


_AROUND = 90  # characters of HTML around a line
