"""No pipe of a process that a test has started is waited for without end."""

from __future__ import annotations

import subprocess
import time

import psutil
import pytest

from tests.lab.processes import end


@pytest.mark.parametrize(
    "wrapper",
    [
        "sleep 60 & echo there; wait",
        "trap '' TERM; (sleep 60) & echo there; sleep 60",
        "exec sh -c 'echo there; sleep 60'",
    ],
)
def test_a_wrappers_child_ends_with_it(wrapper: str) -> None:
    process = subprocess.Popen(["sh", "-c", wrapper], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"there\n"
    family = psutil.Process(process.pid).children(recursive=True)
    end(process)
    assert process.returncode == -9
    assert not [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def test_a_child_that_has_left_the_family_is_waited_for_within_the_limit() -> None:
    argv = ["sh", "-c", "setsid sh -c 'echo $$; exec sleep 60' & sleep 0.5; exec sleep 60"]
    process = subprocess.Popen(["sh", "-c", f"({argv[2]}) & sleep 0.2; exec sleep 60"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    left = psutil.Process(int(process.stdout.readline()))
    parent = left.parent()
    assert parent is not None
    parent.kill()
    while left.ppid() != 1:
        time.sleep(0.01)
    try:
        began = time.monotonic()
        end(process, limit=0.5)
        assert 0.4 < time.monotonic() - began < 20
        assert process.returncode == -9 and process.stdout.closed
    finally:
        left.kill()


def test_a_wrapper_that_has_not_started_its_child_yet() -> None:
    """At a hundred moments of its start."""
    for moment in range(100):
        process = subprocess.Popen(["sh", "-c", "sh -c 'sleep 60'; true"], stdout=subprocess.PIPE)
        time.sleep(moment / 20000)
        began = time.monotonic()
        end(process, limit=20)
        assert time.monotonic() - began < 15
