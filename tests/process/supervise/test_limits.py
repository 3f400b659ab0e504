"""Limits of time and silence, and lives after the first."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap.job import AskedBy, Ending, Log
from bootstrap.process.processes import Process
from bootstrap.process.stop.signals import Signals
from bootstrap.process.supervise import restarts
from bootstrap.process.supervise.launch import Launch
from bootstrap.process.supervise.restarts import worth_a_retry
from bootstrap.process.supervise.stall import describe
from tests.lab.waiting import until
from tests.process.conftest import Start, children
from tests.storage.conftest import MemoryLog

STUCK = (
    "import threading\ndef waits_for_a_peer(): threading.Event().wait()\nprint('begun', flush=True)\nwaits_for_a_peer()"
)


BESIDE_US = str(Path(sys.executable).parent)


# --- silence ---------------------------------------------------------------------------------------------------------


def test_a_command_that_neither_writes_nor_computes_is_ended_and_described(boot: Start, directory: Path) -> None:
    report = directory / "stall.txt"
    run = boot(sys.executable, "-c", STUCK, stall_timeout=1.0, stacks_path=str(report))
    assert run.wait() == 143
    assert run.report()["asked_by"] == "stall"
    text = report.read_text()
    assert "waits_for_a_peer" in text  # in its command line, and in its stack where py-spy may look
    assert "thread" in text
    assert "fd 0 -> /dev/null" in text
    assert ("py-spy is not installed" in text) == (shutil.which("py-spy", path=BESIDE_US) is None)


@pytest.mark.skipif(shutil.which("py-spy", path=BESIDE_US) is None, reason="py-spy is not installed")
def test_its_python_stacks_are_saved(boot: Start, directory: Path) -> None:
    program = directory / "train.py"
    program.write_text(STUCK)
    run = boot(sys.executable, str(program), stall_timeout=1.0, stacks_path=str(directory / "stall.txt"))
    assert run.wait() == 143
    assert "waits_for_a_peer (" in (directory / "stall.txt").read_text()


def test_of_a_process_that_is_gone_meanwhile_there_is_nothing_to_tell() -> None:
    with subprocess.Popen(["true"]) as process:
        pass
    gone = Process(process.pid, "true", "S", 1, 1, 1, 0, 0)
    assert describe([gone], {}).startswith(f"== true ({process.pid}): \n   parent 1, group 1, state S")


def test_one_that_computes_in_silence_is_left_alone(boot: Start) -> None:
    code = "import time\nend = time.monotonic() + 2.5\nwhile time.monotonic() < end: pass"
    run = boot(sys.executable, "-c", code, stall_timeout=1.0)
    assert run.wait() == 0


def test_one_whose_children_compute_in_silence_is_left_alone(boot: Start) -> None:
    code = "import time\nend = time.monotonic() + 2.5\nwhile time.monotonic() < end: pass"
    run = boot("sh", "-c", f'setsid {sys.executable} -c "{code}"; exit 0', stall_timeout=1.0)
    assert run.wait() == 0


def test_one_that_writes_now_and_then_is_left_alone(boot: Start) -> None:
    run = boot("sh", "-c", "for i in 1 2 3 4 5; do sleep 0.5; echo $i; done", stall_timeout=1.2)
    assert run.wait() == 0


def test_one_that_was_suspended_did_not_stall(boot: Start) -> None:
    run = boot("sh", "-c", "echo ready; read x; exit 5", stdin=-1, stall_timeout=0.8, start_new_session=True)
    run.expect(b"ready")
    run.signal(signal.SIGTSTP)
    with pytest.raises(Exception, match="timed out"):
        run.process.wait(1.5)
    run.signal(signal.SIGCONT)
    assert run.process.stdin is not None
    run.process.stdin.write(b"\n")
    run.process.stdin.close()
    run.process.stdin = None
    assert run.wait() == 5


# --- restarts --------------------------------------------------------------------------------------------------------

COUNT = "echo life $BOOTSTRAP_RESTARTS; test $BOOTSTRAP_RESTARTS = {lives} || exit {status}"


def test_a_command_that_fails_is_started_again(boot: Start) -> None:
    run = boot("sh", "-c", COUNT.format(lives=1, status=1), max_restarts=3)
    assert run.wait() == 0
    assert run.report()["attempts"] == 2
    assert run.output == b"life 0\nlife 1\n"
    assert run.log.read_bytes() == run.output
    assert "attempt 1: exit status 1" in run.report()["notes"]


def test_not_more_often_than_allowed(boot: Start) -> None:
    run = boot("sh", "-c", "exit 9", max_restarts=1)
    assert run.wait() == 9
    assert run.report()["attempts"] == 2


def test_without_leave_it_has_one_life(boot: Start) -> None:
    run = boot("sh", "-c", "exit 9")
    assert run.wait() == 9
    assert run.report()["attempts"] == 1


def test_a_stop_between_two_lives_ends_it(boot: Start) -> None:
    run = boot("sh", "-c", "echo life; exit 9", max_restarts=5)
    run.expect(b"life")
    run.expect(b"life\nlife")
    until(lambda: not children(run.pid))  # the second delay is 2 s
    run.signal(signal.SIGTERM)
    assert run.wait() == 9
    assert run.output == b"life\nlife\n"


def test_the_pause_doubles_and_begins_anew_after_a_long_life(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """The lives are made up: a long one is ten minutes."""
    lives = iter([(1, 5.0), (1, 5.0), (1, 599.0), (1, 600.0), (1, 5.0), (0, 5.0)])
    numbers = []

    def life(launch: Launch, signals: Signals, log: Log) -> Ending:
        numbers.append(launch.environ["BOOTSTRAP_RESTARTS"])
        status, seconds = next(lives)
        return Ending(status, started=1000.0, ended=1000.0 + seconds, notes=(f"note {len(numbers)}",))

    monkeypatch.setattr(restarts, "supervise", life)
    monkeypatch.setattr(restarts, "FIRST_DELAY", 0.01)
    log = MemoryLog()
    with Signals() as signals:
        ending = restarts.supervise_with_restarts(Launch(("x",), {}, str(directory)), signals, log, max_restarts=7)
    assert [round(facts["in_seconds"], 3) for _, _, facts in log.lines] == [0.01, 0.02, 0.04, 0.01, 0.02]  # type: ignore[call-overload]
    assert [event for _, event, _ in log.lines][:2] == [
        f"starting the command again ({number} of 8)" for number in (2, 3)
    ]
    assert (numbers, ending.attempts, ending.status) == ([str(number) for number in range(6)], 6, 0)
    assert ending.notes[:3] == ("note 1", "attempt 1: exit status 1", "note 2") and ending.notes[-1] == "note 6"


@pytest.mark.parametrize(
    ("ending", "worth"),
    [
        (Ending(0), False),
        (Ending(1), True),
        (Ending(2), False),
        (Ending(93), False),
        (Ending(126), False),
        (Ending(127), False),
        (Ending(None, signal.SIGSEGV), True),
        (Ending(None, signal.SIGKILL, AskedBy.UNKNOWN), True),
        (Ending(None, signal.SIGKILL, AskedBy.KERNEL), True),
        (Ending(None, signal.SIGTERM, AskedBy.STALL), True),
        (Ending(None, signal.SIGTERM, AskedBy.PLATFORM), False),
        (Ending(130, None, AskedBy.USER), False),
        (Ending(143, None, AskedBy.TIMEOUT), False),
        (Ending(143, None, AskedBy.PEER), False),
    ],
)
def test_only_some_endings_are_worth_another_life(ending: Ending, worth: bool) -> None:
    assert worth_a_retry(ending) is worth
