"""When memory runs out, the command is killed before us; tests/images has the real thing, with a real OOM kill."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.process import sacrifice


@pytest.fixture
def command() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def score(pid: int | str) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


@pytest.mark.parametrize(("limit", "more"), [(64 << 20, 1000), (960 << 20, 100), (96 << 30, 1)])
def test_the_command_counts_as_much_more_as_we_weigh(command: subprocess.Popen[bytes], limit: int, more: int) -> None:
    sacrifice.prefer(command.pid, limit)
    assert score(command.pid) == min(1000, score("self") + more)


def test_without_a_limit_the_machines_memory_is_the_measure(command: subprocess.Popen[bytes]) -> None:
    sacrifice.prefer(command.pid, None)
    assert score(command.pid) > score("self")


def test_a_command_that_has_ended_already_is_no_trouble() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    sacrifice.prefer(process.pid, 64 << 20)
