"""Findings for people: a table on a terminal, plain lines in a log; and for programs: JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator, Sequence

from ..ground.plain_text import plain
from ..reporting.language import Lang
from ..reporting.prose import counted
from .findings import Finding, Level

SCHEMA = 1
_PAINT = {Level.OK: "\x1b[32m", Level.WARNING: "\x1b[33m", Level.FAILURE: "\x1b[1;31m"}
_OFF = "\x1b[0m"
_ID = 13  # the longest id, and a blank


def worst(findings: Sequence[Finding]) -> Level:
    levels = {finding.level for finding in findings}
    return next((level for level in (Level.FAILURE, Level.WARNING) if level in levels), Level.OK)


def as_json(findings: Sequence[Finding], lang: Lang, mask: Callable[[str], str], seconds: float) -> str:
    """One document, masked: ``{schema, level, seconds, findings: [{id, level, what, remedy, cause}]}``."""
    told = [{name: plain(mask(text)) for name, text in one.recorded(lang).items()} for one in findings]
    document = {"schema": SCHEMA, "level": worst(findings).value, "seconds": round(seconds, 2), "findings": told}
    return json.dumps(document, indent=2, ensure_ascii=False)


def as_table(
    findings: Sequence[Finding], lang: Lang, mask: Callable[[str], str], seconds: float, *, width: int, colour: bool
) -> Iterator[str]:
    """A line or more a finding, the remedy below it, and what it comes to. ``width`` 0: nothing is broken."""
    for finding in findings:
        level = f"{finding.level.value:<7}"
        painted = f"{_PAINT[finding.level]}{level}{_OFF}" if colour else level
        head = f"{painted} {finding.id:<{_ID}}"
        for text in (mask(finding.what.to(lang)), f"-> {mask(finding.remedy.to(lang))}" if finding.remedy else ""):
            for line in _broken(plain(text), width - 8 - _ID):
                yield head + line
                head = " " * (8 + _ID)
    good, doubtful, bad = (sum(finding.level is level for finding in findings) for level in Level)
    yield f"{good} ok, {counted(doubtful, 'warning')}, {counted(bad, 'failure')} in {seconds:.1f} s"


def _broken(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False) if width > 20 else [text] if text else []
