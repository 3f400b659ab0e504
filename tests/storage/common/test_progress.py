from __future__ import annotations

import fcntl
import io
import os
import struct
import termios
from collections.abc import Callable

import pytest

from bootstrap.storage.common import progress as module
from bootstrap.storage.common.progress import Progress
from tests.storage.conftest import MemoryLog


class Screen(io.StringIO):
    """A terminal of so many columns; what it shows of a line of ours."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self._master, self._slave = os.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def fileno(self) -> int:
        return self._slave

    def isatty(self) -> bool:
        return True

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def line(self) -> str:
        return self.getvalue().rpartition("\r")[2].removesuffix("\x1b[K")


@pytest.fixture
def some_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A clock that goes on when it is told to."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    def passes(seconds: float) -> None:
        now[0] += seconds

    return passes


def test_without_a_terminal_a_line_says_where_we_are(some_time: Callable[[float], None]) -> None:
    log = MemoryLog()
    with Progress(log, "fetching", files=4, size=4_000_000) as progress:
        some_time(6)
        progress.add(1_000_000)
        progress.finish()
        progress.beat()
    ((level, event, facts),) = log.lines
    assert (level, event) == ("info", "fetching")
    assert (facts["files"], facts["of"], facts["mb"], facts["of_mb"]) == (1, 4, 1.0, 4.0)
    assert facts["seconds_left"] == 18


def test_a_terminal_gets_a_bar_that_is_gone_afterwards(some_time: Callable[[float], None]) -> None:
    log, screen = MemoryLog(), Screen(120)
    with Progress(log, "fetching", files=4, size=4_000_000, terminal=screen) as progress:
        some_time(4)
        progress.add(1_000_000)
        progress.finish()
        progress.beat()
        drawn = screen.line()
    assert drawn == "fetching  ██████··················   25%  1.0 MB of 4.0 MB  250.0 kB/s  0:12 left  1/4 files"
    assert screen.getvalue().endswith("\r\x1b[K")
    assert log.lines == []


@pytest.mark.parametrize("columns", [200, 120, 98, 80, 60, 40, 25, 10, 1])
def test_it_never_fills_its_line(some_time: Callable[[float], None], columns: int) -> None:
    screen = Screen(columns)
    progress = Progress(MemoryLog(), "delivering", files=12345, size=10**12, terminal=screen)
    for _ in range(30):
        some_time(1)
        progress.add(3 * 10**9)
        progress.beat()
        assert len(screen.line()) < columns
    assert ("%" in screen.line()) == (columns > 20)


def test_each_redraw_is_as_wide_as_the_window_then(some_time: Callable[[float], None]) -> None:
    screen = Screen(120)
    progress = Progress(MemoryLog(), "fetching", files=4, size=4_000_000, terminal=screen)
    for columns in (120, 50, 100):
        screen.resize(columns)
        some_time(1)
        progress.add(1000)
        progress.beat()
        assert columns / 2 < len(screen.line()) < columns


def test_a_terminal_of_no_width_gets_nothing(some_time: Callable[[float], None]) -> None:
    screen = Screen(0)
    with Progress(MemoryLog(), "fetching", files=4, size=4_000_000, terminal=screen) as progress:
        some_time(5)
        progress.add(1000)
        progress.beat()
    assert screen.getvalue() == ""


def test_what_is_left_is_never_a_guess(some_time: Callable[[float], None]) -> None:
    screen = Screen(120)
    progress = Progress(MemoryLog(), "fetching", files=1, size=4_000_000_000, terminal=screen)
    some_time(0.5)
    progress.beat()
    assert "left" not in screen.line(), "nothing has moved yet"
    some_time(0.5)
    progress.add(1000)
    progress.beat()
    assert "left" not in screen.line(), "too early to say"
    some_time(9)
    progress.add(100_000_000)
    progress.beat()
    assert "left" in screen.line() and "359999" not in screen.line()


def test_the_rate_is_that_of_the_last_seconds(some_time: Callable[[float], None]) -> None:
    screen = Screen(120)
    progress = Progress(MemoryLog(), "fetching", files=1, size=10_000_000_000, terminal=screen)
    for _ in range(100):
        some_time(1)
        progress.add(100_000_000 if _ < 50 else 1_000_000)
        progress.beat()
    assert "1.0 MB/s" in screen.line()
    for number in range(40):  # and of some of them, not of the very last
        some_time(1)
        progress.add(2_000_000 * (number % 2))
        progress.beat()
    assert "1.0 MB/s" in screen.line()


def test_lines_come_every_few_seconds_and_not_with_every_beat() -> None:
    log = MemoryLog()
    progress = Progress(log, "fetching")
    for _ in range(1000):
        progress.beat()
    assert log.lines == []
