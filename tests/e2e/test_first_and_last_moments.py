"""A request to stop that comes before anything of ours is ready, or when all is done but our exit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.e2e.job import Container

# What a platform does in the first milliseconds, done at the first line of ours that runs.
AT_ONCE = "import os, sys, modelarts_bootstrap_start as ours\nours.hold_signals()\nos.kill(os.getpid(), {number})\n"
AT_THE_END = (
    "import atexit, os, sys, modelarts_bootstrap_start as ours\natexit.register(os.kill, os.getpid(), {number})\n"
)
GO = "sys.argv[0:1] = ['bootstrap', 'run']; sys.exit(ours.main())"
AS_PID_1 = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


@pytest.fixture(params=[[], AS_PID_1], ids=["plain", "pid1"])
def front(request: pytest.FixtureRequest) -> list[str]:
    if request.param and os.geteuid() != 0:
        pytest.skip("PID namespaces need root")
    return list(request.param)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_the_first_moment_is_kept_until_it_can_be_told(
    container: Container, front: list[str], number: int
) -> None:
    code = AT_ONCE.format(number=int(number)) + GO
    result = container.run(argv=[*front, sys.executable, "-c", code, "--", "echo", "trained"])
    assert result.code == 128 + number, result.stderr
    assert b"trained" not in result.stdout
    assert result.record["reason_id"] == "stopped-early"


@pytest.mark.parametrize("status", [0, 3])
def test_a_request_in_the_last_moment_changes_no_exit_code(container: Container, front: list[str], status: int) -> None:
    code = AT_THE_END.format(number=int(signal.SIGTERM)) + GO
    result = container.run(argv=[*front, sys.executable, "-c", code, "--", "sh", "-c", f"exit {status}"])
    assert result.code == status, result.stderr


def test_the_command_has_its_signals_as_ever(container: Container) -> None:
    """What is held for us is not held for it."""
    result = container.run("--", "grep", "SigBlk", "/proc/self/status")
    assert result.stdout.split() == [b"SigBlk:", b"0000000000000000"]


def test_other_commands_are_ended_by_signals_as_ever() -> None:
    code = "import os, modelarts_bootstrap_start as ours, sys; sys.argv[1:] = ['--version']\n"
    code += "try: ours.main()\nexcept SystemExit: os.kill(os.getpid(), 15)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == -signal.SIGTERM
