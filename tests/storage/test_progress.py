from __future__ import annotations

import io

import pytest

from bootstrap.storage import progress as module
from bootstrap.storage.progress import Progress
from tests.storage.conftest import MemoryLog


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EVERY", 0.0)
    monkeypatch.setattr(module, "_REDRAW", 0.0)


@pytest.mark.usefixtures("at_once")
def test_without_a_terminal_a_line_says_where_we_are() -> None:
    log = MemoryLog()
    with Progress(log, "fetching", files=4, size=4_000_000) as progress:
        progress.add(1_000_000)
        progress.finish()
        progress.beat()
    ((level, event, facts),) = log.lines
    assert (level, event) == ("info", "fetching")
    assert (facts["files"], facts["of"], facts["mb"], facts["of_mb"]) == (1, 4, 1.0, 4.0)
    assert "seconds_left" in facts


@pytest.mark.usefixtures("at_once")
def test_a_terminal_gets_a_bar_that_is_gone_afterwards() -> None:
    log, screen = MemoryLog(), io.StringIO()
    with Progress(log, "fetching", files=4, size=4_000_000, terminal=screen) as progress:
        progress.add(1_000_000)
        progress.finish()
        progress.beat()
        drawn = screen.getvalue()
    assert " 25%  1/4 files  1.0 MB of 4.0 MB" in drawn
    assert "left" in drawn
    assert screen.getvalue().endswith("\r\x1b[K")
    assert log.lines == []


def test_lines_come_every_few_seconds_and_not_with_every_beat() -> None:
    log = MemoryLog()
    progress = Progress(log, "fetching")
    for _ in range(1000):
        progress.beat()
    assert log.lines == []
