"""A directory for logs that others can write to, as /tmp is: what they have put there costs a job a word at most."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import lab_or_skip
from tests.e2e.job import Container, send
from tests.lab.waiting import until

STRANGER = 12_345
NAMES = [
    "job.log",
    "job.jsonl",
    "job.log.tail-000000000000005",
    "job.run",
    "job.run/run.json",
    "job.run/.run.json.1.new",
]
SAY = ("--", "sh", "-c", "echo trained; sleep 0.1")


def plant(directory: Path, name: str, make: Callable[[Path], object]) -> Path:
    """By a stranger, where there can be one: nothing of this is less true for our own user."""
    path = directory / name
    path.parent.mkdir(exist_ok=True)
    make(path)
    if os.geteuid() == 0:
        os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    return path


@pytest.mark.parametrize("name", NAMES[1:])
@pytest.mark.parametrize("target", ["file", "directory", "nothing"])
def test_a_link_beside_the_log_is_not_followed(container: Container, tmp_path: Path, name: str, target: str) -> None:
    victim = tmp_path / "victim"
    if target == "directory":
        victim.mkdir()
    elif target == "file":
        victim.write_text("precious")
    plant(container.tmp, name, lambda path: path.symlink_to(victim))
    result = container.run("--log-limit", "1000", *SAY)
    assert (result.code, result.stdout) == (0, b"trained\n"), result.stderr
    assert container.log.read_text().endswith("trained\n")
    assert "precious" not in container.log.read_text()
    if target == "file":
        assert victim.read_text() == "precious"
    elif target == "directory":
        assert list(victim.iterdir()) == []
    else:
        assert not os.path.lexists(victim)
    assert result.record["exit_code"] == 0, "in a place of our own, if need be"


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's link needs root")
def test_another_users_link_in_the_logs_place_is_not_followed(container: Container, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("")
    plant(container.tmp, "job.log", lambda path: path.symlink_to(victim))
    result = container.run(*SAY)
    assert result.failure == (115, "path-unusable"), "a person chose this very name"
    assert f"a symbolic link of uid {STRANGER} stands there" in result.stderr
    assert victim.read_text() == ""


def test_a_link_that_is_the_persons_own_still_works(container: Container, tmp_path: Path) -> None:
    container.log.symlink_to(tmp_path / "elsewhere.log")
    for _ in range(2):
        assert container.run(*SAY).code == 0
        assert (tmp_path / "elsewhere.log").read_text() == "trained\n"
    assert (tmp_path / "elsewhere.earlier-1.log").read_text() == "trained\n"
    said = container.run("--log-file", "/dev/stderr", *SAY)  # each line once, where the command wrote it
    assert (said.stdout, said.stderr.count("trained\n")) == (b"trained\n", 0)
    assert "our own stderr is written to it" in said.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_pipe_that_nobody_reads_holds_nobody_up(container: Container, name: str) -> None:
    plant(container.tmp, name, os.mkfifo)
    result = container.run(*SAY)
    if name == "job.log":
        assert result.failure == (115, "path-unusable")
        assert "named pipe" in result.stderr
    else:
        assert (result.code, result.stdout) == (0, b"trained\n"), result.stderr


def writer_of(pipe: Path) -> int | None:
    """The end of a pipe to write to, once somebody reads from it."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


def test_a_stop_ends_identify_too(container: Container) -> None:
    """What hangs here is the list of users, which --banner looks into: whatever is mounted may hang."""
    mounts = "mount -t tmpfs none /etc && mkfifo /etc/passwd"
    container.front = ["unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh"]
    with lab_or_skip(), container.running("--banner", *SAY) as process:
        users = Path(f"/proc/{process.pid}/root/etc/passwd")
        until(users.is_fifo)
        (writer,) = until(lambda: [fd for fd in [writer_of(users)] if fd is not None])
        send(process, signal.SIGTERM)
        result = container.finish(process)
        os.close(writer)
    assert result.code == 128 + signal.SIGTERM, result.stderr
    assert "stopped in step identify" in result.stderr
