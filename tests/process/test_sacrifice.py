"""When memory runs out, the command is killed before us; tests/images has the real thing, with a real OOM kill."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.process import sacrifice

from .conftest import Start, eventually


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


def test_what_is_started_inside_has_it_from_its_first_moment_and_we_are_as_before() -> None:
    before = score("self")
    with sacrifice.of_children(960 << 20):
        process = subprocess.Popen(["cat", "/proc/self/oom_score_adj"], stdout=subprocess.PIPE, text=True)
    assert score("self") == before
    assert int(process.communicate()[0]) == min(1000, before + 100)


def test_the_value_is_not_raised_twice(command: subprocess.Popen[bytes]) -> None:
    with sacrifice.of_children(960 << 20), subprocess.Popen(["sleep", "600"]) as process:
        inherited = score(process.pid)
        process.kill()
    sacrifice.prefer(command.pid, 960 << 20)
    sacrifice.prefer(command.pid, 960 << 20)
    assert score(command.pid) == inherited


def test_a_first_worker_counts_more_than_we_do(boot_in_every_mode: Start) -> None:
    run = boot_in_every_mode("sh", "-c", "cat /proc/self/oom_score_adj; exec sleep 600")
    worker = int(run.expect(b"\n").splitlines()[0])
    assert worker > score("self")
    eventually(lambda: score(run.pid) == score("self"))
    run.signal(signal.SIGTERM)
    run.wait()


def test_a_command_that_has_ended_already_is_no_trouble() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    sacrifice.prefer(process.pid, 64 << 20)
