"""How help looks: widths, headings, examples, colour; and what `bootstrap` alone says. Loaded only to help somebody."""

from __future__ import annotations

import argparse
import re
import shutil
import textwrap
from collections.abc import Iterable, Mapping
from typing import IO

from ...reporting.colour import in_colour

NARROW, WIDE = 80, 120  # columns: what every terminal has, and what lines are still read at

_HEADING = re.compile(r"^(usage|examples?|[A-Z][^:\n]*|options|positional arguments|commands?)(?=:$|: )", re.MULTILINE)
_BOLD, _OFF = "\x1b[1m", "\x1b[0m"

PEOPLE_DO = """
bootstrap run -- python train.py        boot a job: fetch its code, run it, deliver what it makes
bootstrap logs -f obs://bucket/logs/    follow a job's log from anywhere
bootstrap copy -r obs://bucket/d/ d/    move files between this machine and object stores
bootstrap check-image image.tar         find what would fail in an image
bootstrap simulate --nodes 2 ...        rehearse a job of several nodes on this machine
"""


def width() -> int:
    """Columns that help may use: the terminal's (or ``COLUMNS``), 120 at most."""
    return min(shutil.get_terminal_size((NARROW, 24)).columns or NARROW, WIDE)


def painted(text: str, stream: IO[str]) -> str:
    """Help with its headings in bold, where that can be shown."""
    return _HEADING.sub(rf"{_BOLD}\1{_OFF}", text) if in_colour(stream) else text


class Formatter(argparse.RawDescriptionHelpFormatter):
    """argparse's, as wide as :func:`width`, with room for long options."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=width(), max_help_position=28)


def examples(document: str | None) -> str:
    """The examples of a command, which its module's docstring holds as indented lines: ``COMMAND    what for``."""
    found = re.findall(r"^    (\S.*)$", document or "", re.MULTILINE)
    return "examples:\n" + "\n".join(columns(re.split(r"\s{2,}", line, maxsplit=1) for line in found)) if found else ""


def columns(rows: Iterable[list[str]], most: int = 44) -> list[str]:
    """Lines of two columns, the second one wrapped; below the first where that is wider than ``most``."""
    pairs = [(row[0], row[1] if len(row) > 1 else "") for row in rows]
    first = max((len(left) for left, right in pairs if right and len(left) <= most), default=0)
    lines = []
    for left, right in pairs:
        text = textwrap.wrap(right, max(20, width() - first - 4))
        if len(left) > first or not text:
            lines += textwrap.wrap(left, width() - 4, initial_indent="  ", subsequent_indent="      ")
        else:
            lines.append(f"  {left:<{first}}  {text.pop(0)}")
        lines += [f"  {'':<{first}}  {line}" for line in text]
    return lines


def overview(groups: Mapping[str, Mapping[str, str]]) -> str:
    """What `bootstrap` alone says: what it is, the five things people do, and every command in its group."""
    about = (
        "Boots a training job in a container: fetches the code, runs your command, and delivers its log and its models"
        " whatever happens."
    )
    lines = ["usage: bootstrap COMMAND [OPTIONS] ...", "", *textwrap.wrap(about, width()), "", "What people do:"]
    lines += columns(re.split(r"\s{2,}", line, maxsplit=1) for line in PEOPLE_DO.strip().splitlines())
    first = max(len(name) for group in groups.values() for name in group)
    for heading, commands in groups.items():
        lines += ["", f"{heading}:"]
        lines += columns([f"{name:<{first}}", text] for name, text in commands.items())
    last = "`bootstrap help COMMAND` explains one of them; -V says which release this is."
    lines += ["", *textwrap.wrap(last, width())]
    return "\n".join(lines) + "\n"
