"""Tables that the code knows better are generated, complete and up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.errors import catalogue
from bootstrap.settings import knobs, option, variable
from docs import generate


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in generate.pages()])
def test_what_is_generated_is_up_to_date(page: Path) -> None:
    assert generate.filled(page.read_text()) == page.read_text(), "run scripts/docs"


def test_the_page_of_settings_lists_each_once() -> None:
    rows = (generate.PROJECT / "docs/settings.md").read_text().splitlines()
    for name, knob, _ in knobs():
        shown = f"`{option(name)} {knob.metavar}".rstrip() + "`"
        (row,) = [row for row in rows if row.startswith(f"| {shown} |")]
        assert f"| `{variable(name)}` |" in row
        assert knob.help.replace("|", "\\|").replace("<", "&lt;") in row


@pytest.mark.parametrize("page", ["docs/settings.md", "docs/zh/settings.md"])
def test_the_default_that_a_page_tells_is_what_the_setting_has(page: str) -> None:
    rows = (generate.PROJECT / page).read_text().splitlines()
    for name, knob, default in knobs():
        (row,) = [row for row in rows if f"| `{variable(name)}` |" in row]
        told = row.split("|")[3].strip()
        assert knob.parse(told) == default if told else default in ("", ()), row


def test_the_page_of_exit_codes_lists_each_once() -> None:
    rows = (generate.PROJECT / "docs/exit-codes.md").read_text().splitlines()
    for kind in catalogue():
        (row,) = [row for row in rows if row.startswith(f"| {kind.code} | `{kind.id}` |")]
        assert f"| {'yes' if kind.code >= 200 else 'no'} | {kind.meaning} |" in row


def test_a_part_that_is_stale_is_written_anew(tmp_path: Path) -> None:
    stale = "before\n<!-- generated: exit-codes -->\nold\n<!-- end of exit-codes -->\nafter\n"
    fresh = generate.filled(stale)
    assert fresh.startswith("before\n") and fresh.endswith("after\n") and "\nold\n" not in fresh
    assert generate.filled(fresh) == fresh
