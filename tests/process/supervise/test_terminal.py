"""Job control as with ``docker run -it`` and below an interactive shell, on a real terminal."""

from __future__ import annotations

import os
import signal
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.typist import Typist as Console
from tests.lab.waiting import until
from tests.process.conftest import children, state


@pytest.fixture
def console(directory: Path) -> Iterator[Console]:
    made = Console(directory)
    yield made
    made.close()


def test_the_command_reads_what_is_typed(console: Console, inside: list[str]) -> None:
    console.start([*inside, *console.driver("sh", "-c", "echo name?; read x; echo hello $x")])
    console.expect(b"name?")
    console.type(b"world\n")
    console.expect(b"hello world")
    assert console.process.wait(20) == 0


@pytest.mark.parametrize(("key", "code"), [(b"\x03", 130), (b"\x1c", 131)], ids=["Ctrl-C", "Ctrl-\\"])
def test_keys_that_interrupt_reach_the_command_and_tell_who_asked(
    console: Console, inside: list[str], key: bytes, code: int
) -> None:
    # no inner program: a shell in between makes an exit status of it
    console.start([*inside, *console.driver("sh", "-c", "echo ready; exec sleep 60")])
    console.expect(b"ready")
    console.type(key)
    assert console.process.wait(20) == code
    assert console.report()["asked_by"] == "user"


def test_ctrl_z_where_nobody_could_resume_is_undone(console: Console) -> None:
    console.start(console.driver("sh", "-c", "echo ready; read x; echo got $x"))
    console.expect(b"ready")
    console.type(b"\x1a")
    time.sleep(0.2)  # the stop and its undoing leave no other trace
    console.type(b"on\n")
    console.expect(b"got on")
    assert console.process.wait(20) == 0


def test_below_a_shell_ctrl_z_suspends_and_fg_resumes(console: Console) -> None:
    words = " ".join("'" + word + "'" for word in console.driver("sh", "-c", "echo ready; read x; echo got $x; exit 5"))
    console.start(["bash", "--norc", "--noprofile", "-i"])
    console.expect(b"prompt> ")
    console.type(words.encode() + b"\n")
    console.expect(b"\nready")
    ours = until(lambda: children(console.process.pid))[0]
    console.type(b"\x1a")
    console.expect(b"Stopped")
    console.expect(b"prompt> ")
    assert state(ours) == "T"
    console.type(b"fg\n")
    until(lambda: state(ours) == "S")
    console.type(b"on\n")
    console.expect(b"got on")
    console.expect(b"prompt> ")
    console.type(b"echo status $?\n")
    console.expect(b"status 5")
    console.type(b"exit\n")
    console.process.wait(20)


def test_below_a_shell_a_background_job_leaves_the_terminal_alone(console: Console) -> None:
    words = " ".join("'" + word + "'" for word in console.driver("sh", "-c", "echo begun; sleep 0.5; exit 0"))
    console.start(["bash", "--norc", "--noprofile", "-i"])
    console.expect(b"prompt> ")
    console.type(words.encode() + b" &\n")
    console.expect(b"begun\r")
    assert os.tcgetpgrp(console.master) == console.process.pid
    console.type(b"echo typed\n")
    console.expect(b"\ntyped")
    console.type(b"wait; exit\n")
    console.process.wait(20)


def test_the_terminal_is_given_back_at_the_end(console: Console) -> None:
    words = " ".join("'" + word + "'" for word in console.driver("true"))
    console.start(["bash", "--norc", "--noprofile", "-i"])
    console.expect(b"prompt> ")
    console.type(words.encode() + b"; echo and on\n")
    console.expect(b"\nand on")
    assert console.report()["status"] == 0
    console.type(b"exit\n")
    console.process.wait(20)


def test_a_change_of_size_reaches_the_command(console: Console) -> None:
    console.start(
        console.driver("bash", "-c", "trap 'echo resized; exit 0' WINCH; echo ready; while :; do sleep 0.02; done")
    )
    console.expect(b"ready")
    termios.tcsetwinsize(console.master, (50, 132)) if sys.version_info >= (3, 11) else os.kill(
        console.process.pid, signal.SIGWINCH
    )
    console.expect(b"resized")
    assert console.process.wait(20) == 0


def test_a_stop_request_from_outside_works_with_a_terminal_too(console: Console) -> None:
    console.start(console.driver("sh", "-c", "echo ready; exec sleep 60"))
    console.expect(b"ready")
    os.kill(console.process.pid, signal.SIGTERM)
    assert console.process.wait(20) == 143
    assert console.report()["asked_by"] == "platform"


def test_a_terminal_that_hangs_up_tells_the_command_and_the_log_is_whole(console: Console, inside: list[str]) -> None:
    script = "trap 'echo saved; exit 9' HUP; echo ready; while :; do sleep 0.02; done"
    console.start([*inside, *console.driver("bash", "-c", script)])
    console.expect(b"ready")
    console.hang_up()
    report = console.directory / "report"  # unshare, which is before us in the other mode, does not wait for us
    until(lambda: report.exists() and report.read_text().endswith("}"))
    assert console.report()["status"] == 9
    assert (console.directory / "log").read_bytes().endswith(b"saved\n")
    assert any("Input/output error" in note for note in console.report()["notes"])


def test_a_shell_with_job_control_of_its_own_works_inside(console: Console) -> None:
    console.start(console.driver("bash", "--norc", "--noprofile", "-i"))
    console.expect(b"prompt> ")
    console.type(b"sleep 60\n")
    console.expect(b"sleep 60")
    # not before it is the program itself: what a shell has just forked still has the shell's handlers
    until(lambda: Path(f"/proc/{os.tcgetpgrp(console.master)}/comm").read_text() == "sleep\n")
    console.type(b"\x03")
    console.expect(b"prompt> ")
    console.type(b"exit 6\n")
    assert console.process.wait(20) == 6
