"""Messages on a screen: between words, within its width, and copied as a whole where they are URLs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bootstrap.reporting.folding import columns, folded
from tests.lab.typist import Typist

TEXT = "the target of an output answers and is empty: obs://bucket/some/where/models/"
SAY = """\
import sys
from bootstrap.reporting.console import Console
from bootstrap.errors import BucketMissing
console = Console(sys.stderr)
console.step = "connect"
console.info(TEXT)
error = BucketMissing("cannot list", where="obs://b/", why="NoSuchBucket", remedy="create it")
console.error(f"{error} [{error.id}]", lines=error.lines())
print("done")
"""


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_screen_and_nothing_is_lost(width: int) -> None:
    told = folded([TEXT], width, 30).split("\n")
    assert all(len(line) <= width for line in [" " * 30 + told[0], *told[1:]])
    assert " ".join(line.strip() for line in told) == TEXT


def test_lines_are_set_in_below_the_first() -> None:
    first, second = folded(["what it is", "why:   it is so"], 120, 30).split("\n")
    assert (first, second) == ("what it is", " " * 30 + "why:   it is so")


def test_a_url_is_never_cut_and_nothing_is_folded_without_a_width() -> None:
    url = "obs://bucket/" + "x" * 100
    assert url in folded([f"see {url} for more"], 80, 30)
    assert folded([TEXT * 3], 0, 30) == TEXT * 3


def test_chinese_has_no_spaces_and_takes_two_columns() -> None:
    told = folded(["对象存储出故障时持续重试这么久，间隔逐渐加长，直到超时为止：obs://bucket/models/"], 60, 30).split(
        "\n"
    )
    assert len(told) > 1
    assert all(columns(line) <= 60 for line in [" " * 30 + told[0], *told[1:]])
    assert not any(line.lstrip().startswith(("，", "。", "：")) for line in told)


@pytest.mark.parametrize("width", [80, 120, 0])
def test_a_terminal_gets_folded_lines_and_its_errors_in_parts(tmp_path: Path, width: int) -> None:
    typist = Typist(tmp_path)
    typist.resize(40, width)
    try:
        typist.start([sys.executable, "-c", f"TEXT = {TEXT!r}\n{SAY}"])
        typist.expect(b"done")
        shown = typist.read().decode().replace("\r", "").split("\n")
    finally:
        typist.close()
    if width:
        assert all(len(line) <= width for line in shown)
    else:
        assert any(TEXT in line for line in shown)
    parts = [line.strip() for line in shown[-6:]]
    assert parts[0].endswith("error: cannot list")
    assert parts[1:4] == ["where: obs://b/", "why:   NoSuchBucket", "do:    create it"]
