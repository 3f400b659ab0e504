"""The Chinese pages are in step with the English ones: the same headings, code blocks, settings and codes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bootstrap.settings import knobs
from docs import chinese
from docs.generate import PROJECT

DOCS = PROJECT / "docs"
PAIRS = {
    PROJECT / "README.zh-CN.md": PROJECT / "README.md",
    **{DOCS / "zh" / f"{name}.md": DOCS / f"{name}.md" for name in ("settings", "exit-codes", "migration", "report")},
    **{
        DOCS / "zh" / f"{name}.md": DOCS / "platforms" / f"{name}.md"
        for name in ("modelarts-v1", "modelarts-v2", "volcano", "docker")
    },
}
BLOCK = re.compile(r"^(?:<!-- run[^>]*-->\n)?```.*?^```$", re.MULTILINE | re.DOTALL)


def headings(path: Path) -> list[str]:
    """The levels of a page's headings, in order."""
    return re.findall(r"^(#+) ", BLOCK.sub("", path.read_text()), re.MULTILINE)


@pytest.mark.parametrize(("ours", "english"), PAIRS.items(), ids=lambda path: path.name)
def test_both_have_the_same_headings_blocks_and_lists(ours: Path, english: Path) -> None:
    assert headings(ours) == headings(english)
    assert BLOCK.findall(ours.read_text()) == BLOCK.findall(english.read_text())
    for pattern in (r"^\d+\. ", r"^\| "):
        assert len(re.findall(pattern, ours.read_text(), re.M)) == len(re.findall(pattern, english.read_text(), re.M))


def test_the_page_of_outputs_is_a_short_one_with_blocks_settings_and_fields_that_there_are() -> None:
    page, english = (DOCS / "zh/outputs.md").read_text(), (DOCS / "outputs.md").read_text()
    assert BLOCK.findall(page) and set(BLOCK.findall(page)) <= set(BLOCK.findall(english))
    flags = {name.replace("_", "-") for name, _, _ in knobs()}
    for flag in re.findall(r"`--([a-z-]+)", page):
        assert flag in flags | {"format"}, flag
    for word in re.findall(r"`([a-z]\w*)`", page):
        assert word in english, word


def test_every_setting_has_chinese_words() -> None:
    assert [name for name, _, _ in knobs() if name not in chinese.SETTINGS] == [], "docs/chinese.py"
    assert {knob.group for _, knob, _ in knobs()} == set(chinese.GROUPS)


@pytest.mark.parametrize(
    "page",
    sorted([*DOCS.rglob("*.md"), *PROJECT.glob("examples/*.md")]),
    ids=lambda path: str(path.relative_to(PROJECT)),
)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_readmes_links_lead_somewhere_and_it_is_short() -> None:
    for name in ("README.md", "README.zh-CN.md", "CONTRIBUTING.md", "SECURITY.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (PROJECT / name).read_text()):
            if target != "docs/architecture.md":  # written by hand elsewhere, and looked for by its own test
                assert (PROJECT / target).exists(), f"{name}: {target}"
    assert len((PROJECT / "README.md").read_text().split()) <= 900
