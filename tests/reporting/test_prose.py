"""Facts as words for people: the same facts are JSON for programs."""

from __future__ import annotations

import pytest

from bootstrap.reporting.prose import counted, duration, origin, sentence


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.01, "under 0.1 s"),
        (0.25, "0.2 s"),
        (3.0, "3 s"),
        (45, "45 s"),
        (60, "1 min"),
        (723, "12 min 3 s"),
        (7380, "2 h 3 min"),
    ],
)
def test_durations_are_read_at_a_glance(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("event", "facts", "words"),
    [
        (
            "fetched",
            {"from": "obs://b/code/", "files": 2, "size": "5.2 kB", "seconds": 0.2, "rate": "0.0 MB/s"},
            "fetched 2 files, 5.2 kB, from obs://b/code/, in 0.2 s",
        ),
        ("fetched", {"files": 1}, "fetched 1 file"),
        ("left out", {"name": "x", "reason": "a named pipe"}, "left out: x, a named pipe"),
        (
            "stopping the command",
            {"asked_by": "platform", "why": "TERM received", "seconds_until_kill": 20},
            "stopping the command: asked by platform, TERM received, 20 s until KILL",
        ),
        ("a fact that nobody has words for", {"odd_thing": 3}, "a fact that nobody has words for: odd thing 3"),
        ("nothing more", {}, "nothing more"),
    ],
)
def test_messages(event: str, facts: dict[str, object], words: str) -> None:
    assert sentence(event, facts) == words


def test_one_is_one() -> None:
    assert (counted(1, "file"), counted(2, "file"), counted(0, "entry", "entries")) == (
        "1 file",
        "2 files",
        "0 entries",
    )


def test_where_a_value_comes_from_is_a_name_or_a_clause() -> None:
    assert origin("MA_LOG_DIR") == "from MA_LOG_DIR"
    assert origin("MA_LOG_DIR is not set") == "MA_LOG_DIR is not set"
