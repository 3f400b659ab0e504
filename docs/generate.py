"""The parts of the documentation that the code knows better: tables of settings and exit codes.

    scripts/docs            writes them
    scripts/docs --check    says which files are out of date, and exits with 1 if there is one

A page holds a generated part between ``<!-- generated: NAME -->`` and ``<!-- end of NAME -->``; everything else in it
is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from bootstrap.diagnosis.catalogue import entries
from bootstrap.diagnosis.own import CHINESE
from bootstrap.errors import catalogue
from bootstrap.settings import Knob, flag, knobs, option, variable

from . import chinese as zh

PROJECT = Path(__file__).resolve().parent.parent
PART = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- end of \2 -->\n)", re.DOTALL)


def settings(chinese: bool = False) -> str:
    """A heading and a table for each group of settings."""
    lines: list[str] = []
    heads = (
        "| 选项 | 变量 | 默认值 | 作用 | 示例 |"
        if chinese
        else "| option | variable | default | what it does | example |"
    )
    group = ""
    for name, knob, default in knobs():
        if knob.group != group:
            group = knob.group
            lines += [
                "",
                f"## {zh.GROUPS[group] if chinese else group}",
                "",
                heads,
                "| --- " * 5 + "|",
            ]
        given = f"{option(name)} {knob.metavar}".rstrip()
        example = f"{option(name)} {knob.example}".rstrip()
        kept = default_of(knob, default)
        told = zh.SETTINGS.get(name, knob.help) if chinese else knob.help
        lines.append(f"| `{given}` | `{variable(name)}` | {kept} | {cell(told)} | `{example}` |")
    return "\n".join([*lines[1:], ""])


def default_of(knob: Knob, default: object) -> str:
    """A setting's default as somebody would write it; empty where there is none."""
    if knob.parse is flag:
        return "yes" if default else "no"
    if isinstance(default, float):
        return f"{default:g}"
    return "" if default in ("", ()) else str(default)


def exit_codes(chinese: bool = False) -> str:
    """Every failure of ours with its code, id, verdict, cause and remedy."""
    heads = (
        "| 退出码 | 标识 | 值得重试 | 原因 | 怎么办 |"
        if chinese
        else "| code | id | worth a retry | cause | what to do |"
    )
    lines = [heads, "| --- " * 5 + "|"]
    yes, no = ("是", "否") if chinese else ("yes", "no")
    for kind in catalogue():
        cause, remedy = (kind.meaning, kind.remedy_hint)
        if chinese:
            cause, remedy = CHINESE[kind.id]
        verdict = yes if kind.code >= 200 else no
        lines.append(f"| {kind.code} | `{kind.id}` | {verdict} | {cell(cause)} | {cell(remedy)} |")
    return "\n".join([*lines, ""])


def causes() -> str:
    """Every cause that a command can end with, and what to do."""
    lines = ["| id | class | retry | fault | what it means | what to do |", "| --- " * 6 + "|"]
    for entry in entries():
        if entry.code is None and entry.remedy:
            told = f"{cell(entry.text.en)} | {cell(entry.remedy.en)}"
            lines.append(f"| `{entry.id}` | {entry.kind.value} | {entry.retry.value} | {entry.fault.value} | {told} |")
    return "\n".join([*lines, ""])


def cell(text: str) -> str:
    """Text that cannot end the cell it stands in."""
    return text.replace("|", "\\|").replace("<", "&lt;")


PARTS: dict[str, Callable[[], str]] = {
    "settings": settings,
    "settings-zh": lambda: settings(chinese=True),
    "exit-codes": exit_codes,
    "exit-codes-zh": lambda: exit_codes(chinese=True),
    "causes": causes,
}


def filled(text: str) -> str:
    """``text`` with every generated part as the code has it now. Raises KeyError for a part that nobody makes."""
    return PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n{found[3]}", text)


def pages() -> Iterator[Path]:
    yield from sorted(PROJECT.glob("*.md"))
    yield from sorted((PROJECT / "docs").rglob("*.md"))


def main(check: bool) -> int:
    stale = [page for page in pages() if filled(page.read_text()) != page.read_text()]
    for page in stale:
        print(f"{page.relative_to(PROJECT)} {'is out of date: run scripts/docs' if check else 'written'}")
        if not check:
            page.write_text(filled(page.read_text()))
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
