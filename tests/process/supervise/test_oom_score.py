"""When memory runs out, the command is killed before us; tests/images has the real thing, with a real OOM kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap.process.supervise.oom_score import OomScore
from tests.lab.waiting import until
from tests.process.conftest import NOBODY, Start


def score(pid: int | str) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def inherited(limit: int | None) -> int:
    with OomScore().of_children(limit):
        process = subprocess.Popen(["cat", "/proc/self/oom_score_adj"], stdout=subprocess.PIPE, text=True)
    return int(process.communicate()[0])


@pytest.mark.parametrize(("limit", "more"), [(64 << 20, 1000), (960 << 20, 100), (96 << 30, 1)])
def test_the_command_counts_as_much_more_as_we_weigh_and_we_are_as_before(limit: int, more: int) -> None:
    before = score("self")
    assert inherited(limit) == min(1000, before + more)
    assert score("self") == before


def test_without_a_limit_the_machines_memory_is_the_measure() -> None:
    assert inherited(None) > score("self")


def test_the_value_is_not_raised_twice() -> None:
    assert inherited(960 << 20) == inherited(960 << 20)


def test_a_first_worker_counts_more_than_we_do(boot_in_every_mode: Start) -> None:
    run = boot_in_every_mode("sh", "-c", "cat /proc/self/oom_score_adj; exec sleep 600")
    worker = int(run.expect(b"\n").splitlines()[0])
    assert worker > score("self")
    until(lambda: score(run.pid) == score("self"))
    run.signal(signal.SIGTERM)
    run.wait()


# A user other than root, whose process is closed to others because it holds keys: its own files are closed to it, too.
HARDENED = """\
import ctypes, os, subprocess, sys
from bootstrap.process.supervise.oom_score import OomScore  # now: this user may not be allowed to read it
os.setgid(int(sys.argv[1]))
os.setuid(int(sys.argv[1]))
set_dumpable = lambda value: ctypes.CDLL(None).prctl(4, value, 0, 0, 0)
set_dumpable(1)  # as a process is that was started by this user
early = OomScore()
set_dumpable(0)
for score in (early, OomScore()):
    with score.of_children(960 << 20):
        subprocess.run(["cat", "/proc/self/oom_score_adj"])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming somebody else needs root")
def test_who_may_not_open_their_own_file_any_more_can_use_it_if_it_was_open_before() -> None:
    command = [sys.executable, "-c", HARDENED, str(NOBODY)]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=Path(__file__).parents[3]).stdout.split()
    assert int(said[0]) == min(1000, score("self") + 100)
    assert int(said[1]) == score("self"), "why it has to be opened early"
