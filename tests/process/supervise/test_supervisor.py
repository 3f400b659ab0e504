"""The supervisor's contract, on real processes; what must hold everywhere is asked in every mode."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bootstrap.errors import CommandNotFound
from bootstrap.process.stop.signals import RepeatedRequests, Signals
from bootstrap.process.supervise.launch import Launch
from bootstrap.process.supervise.supervisor import supervise
from tests.lab.waiting import until
from tests.process.conftest import Start, alive, children, state
from tests.process.driver import Quiet

# every signal that can be caught, but for those our own faults and writes raise, the requests to stop, and job control
PASSED_ON = sorted(
    {int(number) for number in signal.valid_signals() if number < signal.SIGRTMIN + 2}
    - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGCONT}
    - {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGPIPE, signal.SIGXFSZ}
    - {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
)
PRINT_SIGNALS = """
for n in {numbers}; do trap "echo got $n." $n; done
echo ready
while :; do sleep 0.02; done 2>/dev/null
""".format(numbers=" ".join(map(str, [*PASSED_ON, 15, 2, 3])))


# --- how it ends ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0, 1, 3, 126, 127, 143, 255])
def test_the_users_exit_status_is_ours(boot_in_every_mode: Start, status: int) -> None:
    run = boot_in_every_mode("sh", "-c", f"exit {status}")
    assert run.wait() == status
    report = run.report()
    assert (report["status"], report["signal"], report["asked_by"]) == (status, None, "nobody")


SIGNALS = [signal.SIGHUP, signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT, signal.SIGUSR1]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_ended_the_command_becomes_128_plus_its_number(
    boot_in_every_mode: Start, number: signal.Signals
) -> None:
    run = boot_in_every_mode("sh", "-c", f"kill -{number.value} $$")
    assert run.wait() == 128 + number
    crash = number in (signal.SIGSEGV, signal.SIGABRT)
    assert run.report()["signal"] == number
    assert run.report()["asked_by"] == ("nobody" if crash else "unknown")


def test_a_command_that_vanished_since_it_was_resolved_is_not_found(boot: Start) -> None:
    run = boot("/nowhere/train")
    assert run.wait() == 127
    assert run.report()["error"] == "command-not-found"
    for executable, where in ((None, "train-of-nobody"), ("/nowhere/train", "/nowhere/train")):
        launch = Launch(["train-of-nobody"], os.environ, "/", executable)
        with pytest.raises(CommandNotFound) as caught, Signals() as signals:
            supervise(launch, signals, Quiet())
        assert caught.value.where == where


def test_a_working_directory_that_does_not_exist_is_named() -> None:
    with pytest.raises(CommandNotFound, match="working directory"), Signals() as signals:
        supervise(Launch(["true"], os.environ, "/nowhere"), signals, Quiet())


def test_a_file_the_kernel_cannot_execute_is_explained(boot: Start, directory: Path) -> None:
    program = directory / "train"
    program.write_bytes(b"\x7fELF" + bytes(60))
    program.chmod(0o755)
    run = boot(str(program))
    assert run.wait() == 126
    assert run.report()["error"] == "command-not-executable"


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's process limit is set by root")
def test_a_process_limit_that_forbids_the_start_is_worth_a_retry(directory: Path) -> None:
    from tests.process.conftest import _starter

    for start in _starter(directory, "nonroot"):
        run = start("sh", "-c", "exit 0", nproc=0)
        assert run.wait() == 207
        assert run.report()["error"] == "cannot-start"


def test_our_exit_follows_the_commands_at_once(boot: Start) -> None:
    run = boot("sh", "-c", "sleep 0.2")
    run.wait()
    assert run.report()["latency"] < 0.5  # measured with care in benchmarks; here: no poll of a second anywhere


# --- signals ---------------------------------------------------------------------------------------------------------


def test_every_catchable_signal_is_passed_on(boot_in_every_mode: Start) -> None:
    run = boot_in_every_mode("bash", "-c", PRINT_SIGNALS)
    run.expect(b"ready")
    for number in PASSED_ON:
        run.signal(number)
        run.expect(b"got %d.\n" % number)
    run.signal(signal.SIGINT)
    run.expect(b"got 2.")
    run.signal(signal.SIGINT)
    run.signal(signal.SIGINT)
    assert run.wait() == 137


def test_signals_reach_the_whole_group(boot_in_every_mode: Start) -> None:
    run = boot_in_every_mode(
        "bash", "-c", "(trap 'echo inner; exit' USR1; echo one; while :; do sleep 0.02; done) & trap '' USR1; wait"
    )
    run.expect(b"one")
    run.signal(signal.SIGUSR1)
    run.expect(b"inner")
    assert run.wait() == 0


def test_a_stop_and_a_continue_reach_the_command(boot_in_every_mode: Start) -> None:
    run = boot_in_every_mode("sh", "-c", "echo ready; read x", stdin=subprocess.PIPE)
    run.expect(b"ready")
    command = until(lambda: children(run.pid))[0]
    run.signal(signal.SIGTSTP)
    until(lambda: state(command) == "T")
    # The command is stopped a moment before we are. A shell waits for that before it says CONT; in the modes in which
    # we do not stop, there is nothing to wait for.
    deadline = time.monotonic() + 1
    while state(run.pid) != "T" and time.monotonic() < deadline:
        time.sleep(0.01)
    run.signal(signal.SIGCONT)
    until(lambda: state(command) == "S")
    assert run.process.stdin is not None
    run.process.stdin.write(b"on\n")
    run.process.stdin.close()
    run.process.stdin = None
    assert run.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU])
def test_below_a_shell_we_stop_and_go_on_together(boot: Start, number: int) -> None:
    run = boot("bash", "-c", "trap 'echo goes on' CONT; echo ready; while :; do sleep 0.02; done")
    run.expect(b"ready")
    (command,) = children(run.pid)
    for _ in range(2):
        run.signal(number)
        until(lambda: state(command) == state(run.pid) == "T")
        run.signal(signal.SIGCONT)
        run.expect(b"goes on")
        until(lambda: "T" not in (state(command), state(run.pid)))
        run._seen = b""
    run.signal(signal.SIGTERM)
    assert run.wait() == 143


def test_a_stop_request_ends_a_stopped_command_too(boot_in_every_mode: Start) -> None:
    # bash: dash starts programs with vfork, and one that is stopped in it is not shown as stopped
    run = boot_in_every_mode(
        "bash", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.02; done", start_new_session=True
    )
    run.expect(b"ready")
    run.signal(signal.SIGTSTP)
    until(lambda: state(children(run.pid)[0]) == "T")
    run.signal(signal.SIGTERM)
    assert run.wait() == 9


def test_a_stop_request_before_there_is_a_command_ends_the_wait_and_then_the_command(boot_in_every_mode: Start) -> None:
    run = boot_in_every_mode("sh", "-c", "sleep 60", dawdle=60)
    run.expect(b"fetching")
    run.signal(signal.SIGTERM)
    assert run.wait() == 143
    assert run.report()["stopped_by"] == "platform"


@pytest.mark.parametrize(
    ("number", "by"), [(signal.SIGTERM, "platform"), (signal.SIGINT, "user"), (signal.SIGQUIT, "user")]
)
def test_who_asked_is_told(boot_in_every_mode: Start, number: int, by: str) -> None:
    run = boot_in_every_mode("bash", "-c", f"trap 'exit 7' {number}; echo ready; while :; do sleep 0.02; done")
    run.expect(b"ready")
    run.signal(number)
    assert run.wait() == 7
    assert run.report()["asked_by"] == by


def test_the_chosen_signal_replaces_term(boot_in_every_mode: Start) -> None:
    run = boot_in_every_mode(
        "bash", "-c", "trap 'exit 11' USR1; echo ready; while :; do sleep 0.02; done", stop_signal=int(signal.SIGUSR1)
    )
    run.expect(b"ready")
    run.signal(signal.SIGTERM)
    assert run.wait() == 11


def test_a_signal_ignored_at_the_start_stays_ignored(boot_in_every_mode: Start) -> None:
    """nohup, and what a shell does for a command it starts with ``&``."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        run = boot_in_every_mode("sh", "-c", "echo ready; kill -HUP $$; read x; echo survived", stdin=subprocess.PIPE)
    finally:
        signal.signal(signal.SIGHUP, before)
    run.expect(b"ready")
    run.signal(signal.SIGHUP)
    run.wait()
    assert b"survived" in run.output


def test_blocked_signals_of_whoever_started_us_do_not_make_us_deaf(boot_in_every_mode: Start) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        run = boot_in_every_mode("sh", "-c", "echo ready; sleep 60")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    run.expect(b"ready")
    run.signal(signal.SIGTERM)
    assert run.wait() == 143


# --- stopping --------------------------------------------------------------------------------------------------------


def test_a_command_that_ignores_the_stop_is_killed_when_its_grace_is_over(boot_in_every_mode: Start) -> None:
    run = boot_in_every_mode("bash", "-c", "trap '' TERM; echo ready; while :; do sleep 0.02; done", grace=0.5)
    run.expect(b"ready")
    begin = time.monotonic()
    run.signal(signal.SIGTERM)
    assert run.wait() == 137
    assert time.monotonic() - begin >= 0.33
    assert run.report()["asked_by"] == "platform"


@pytest.mark.parametrize("times", [2, 3, 5])
def test_term_again_changes_nothing(boot_in_every_mode: Start, times: int) -> None:
    """A preStop hook and the kubelet's own TERM are two."""
    script = "trap 'echo asked; sleep 0.7; echo saved; exit 0' TERM; echo ready; while :; do sleep 0.02; done"
    run = boot_in_every_mode("bash", "-c", script, grace=60)
    run.expect(b"ready")
    run.signal(signal.SIGTERM)
    run.expect(b"asked")
    for _ in range(times - 1):
        run.signal(signal.SIGTERM)
        time.sleep(0.05)
    assert run.wait() == 0
    assert (run.output.count(b"asked"), run.output.count(b"saved")) == (1, 1)


def test_a_person_who_asks_twice_at_once_leaves_two_seconds_and_three_times_none(boot: Start) -> None:
    run = boot("bash", "-c", "trap 'echo asked' INT; echo ready; while :; do sleep 0.02; done", grace=600)
    run.expect(b"ready")
    run.signal(signal.SIGINT)
    run.expect(b"asked")
    begin = time.monotonic()
    run.signal(signal.SIGINT)
    assert run.wait() == 137
    assert 1.5 <= time.monotonic() - begin < 20


def test_a_person_who_asks_again_later_is_not_in_a_hurry() -> None:
    repeated = RepeatedRequests()
    assert repeated.kill_at(10.0) == math.inf
    assert repeated.kill_at(12.1) == math.inf
    assert repeated.kill_at(14.0) == 16.0
    assert repeated.kill_at(15.9) == 15.9


def test_descendants_in_other_sessions_are_killed_with_the_rest(boot_in_every_mode: Start) -> None:
    script = "setsid bash -c 'trap \"\" TERM; echo $$ >far; echo ready; while :; do sleep 0.02; done' & wait"
    run = boot_in_every_mode("bash", "-c", script, grace=0.5)
    run.expect(b"ready")
    inside = until(lambda: [pid for pid in _below(run.pid) if pid != children(run.pid)[0]])
    run.signal(signal.SIGTERM)
    assert run.wait() == 143
    assert not any(alive(pid) for pid in inside)
    assert any("had to be killed" in note for note in run.report()["notes"])


def test_a_leftover_in_another_session_is_asked_to_end_when_the_stopped_command_has(boot_in_every_mode: Start) -> None:
    """Else a tracker or an agent of its own session would hold up the end for all of the grace."""
    run = boot_in_every_mode("bash", "-c", "trap 'exit 0' TERM; setsid sleep 600 & echo ready; wait", grace=600)
    run.expect(b"ready")
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert not run.report()["notes"]


def test_what_the_shell_left_behind_keeps_the_rest_of_the_grace(boot_in_every_mode: Start) -> None:
    """A shell dies of TERM at once; the training it started saves its checkpoint, and must be given the time."""
    inner = "trap 'sleep 0.7; echo saved; exit 0' TERM; echo ready; while :; do sleep 0.02; done"
    run = boot_in_every_mode("sh", "-c", f'bash -c "{inner}"; true', grace=20)
    run.expect(b"ready")
    run.signal(signal.SIGTERM)
    assert run.wait() == 143
    assert b"saved" in run.output
    assert b"saved" in run.log.read_bytes()


def test_the_command_can_read_that_it_is_stopped_why_and_how_long_it_has(boot: Start, directory: Path) -> None:
    notice = directory / "stop.json"
    notice.write_text("from an earlier run")
    script = """
        trap 'cat $BOOTSTRAP_STOP_FILE; exit 0' TERM
        test -e $BOOTSTRAP_STOP_FILE || echo ready
        while :; do sleep 0.02; done
    """
    run = boot("bash", "-c", script, grace=24, stop_file_path=str(notice))
    run.expect(b"ready")
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    said = json.loads(run.output[run.output.index(b"{") :])
    assert (said["asked_by"], said["signal"]) == ("platform", "SIGTERM")
    assert 11 < said["seconds"] <= 16
    assert abs(said["deadline"] - time.time() - 16) < 10


def test_a_time_limit_ends_the_command(boot: Start) -> None:
    run = boot("sleep", "60", timeout=0.3)
    assert run.wait() == 143
    assert run.report()["asked_by"] == "timeout"
    assert run.report()["stopped_by"] == "nobody"  # the delivery has no deadline: nobody waits to kill us


@pytest.mark.parametrize("limit", ["timeout", "stall_timeout"])
def test_a_limit_of_months_is_no_limit_of_ours(boot: Start, limit: str) -> None:
    """The kernel counts the milliseconds of a poll in an int, which is full after 24 days."""
    run = boot("sh", "-c", "sleep 0.1; exit 6", **{limit: 200 * 86400.0})
    assert run.wait() == 6


# --- orphans and leftovers -------------------------------------------------------------------------------------------


def test_orphans_are_adopted_and_reaped(boot_in_every_mode: Start, directory: Path) -> None:
    script = "mkfifo hold; for i in 1 2 3 4 5; do (exec 3<>hold; read x <&3 & ) ; done; echo ready; exec sleep 60"
    run = boot_in_every_mode("bash", "-c", script)
    run.expect(b"ready")
    until(lambda: len(children(run.pid)) == 6)
    (directory / "hold").write_text("go\n" * 5)
    until(lambda: len(children(run.pid)) == 1)
    run.signal(signal.SIGTERM)
    assert run.wait() == 143


def test_orphans_are_reaped_behind_a_child_that_nobody_waits_for(directory: Path) -> None:
    """What an entry point started in our process group, before it became us, and what has ended since."""
    (directory / "orphans").write_text(
        "until grep -qs ') Z ' /proc/$(cat service)/stat; do sleep 0.02; done\n"
        "for i in 1 2 3; do (setsid sh -c 'echo $$ >>pids' &); done\n"
        "until [ $(wc -l <pids) = 3 ]; do sleep 0.02; done 2>/dev/null\n"
        "i=0; while [ $i -lt 500 ]; do i=$((i+1)); sleep 0.02\n"
        "for pid in $(cat pids); do test -e /proc/$pid && continue 2; done; exit 0; done; exit 1\n"
    )
    options = {"argv": ["sh", "orphans"], "report": str(directory / "report.json")}
    script = 'sleep 0.1 & echo $! >service; exec "$1" -m tests.process.driver "$2"'
    argv = ["bash", "-c", script, "entrypoint", sys.executable, json.dumps(options)]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    assert subprocess.run(argv, cwd=directory, env=environ, timeout=60).returncode == 0


def test_a_grandchild_that_keeps_the_pipe_delays_the_end_by_a_bounded_second(boot_in_every_mode: Start) -> None:
    run = boot_in_every_mode("bash", "-c", "(sleep 0.3; echo late; exec sleep 60) & echo early; exit 3")
    begin = time.monotonic()
    assert run.wait() == 3
    assert time.monotonic() - begin < 10
    assert b"early" in run.output
    assert b"late" in run.output
    assert run.log.read_bytes() == run.output


def test_nothing_outlives_the_command(boot_in_every_mode: Start) -> None:
    run = boot_in_every_mode("bash", "-c", "setsid sleep 61 >/dev/null 2>&1 & echo ready; sleep 0.2; exit 4")
    run.expect(b"ready")
    left = until(lambda: _below(run.pid))
    assert run.wait() == 4
    assert not any(alive(pid) for pid in left)


def test_what_was_ours_before_the_command_is_not_the_commands(directory: Path) -> None:
    """An image's entry point starts a service and then becomes us: the service is our child, and stays."""
    pid = directory / "service.pid"
    options = {"argv": ["true"], "report": str(directory / "report.json"), "log_path": str(directory / "task.log")}
    script = 'setsid sleep 61 & echo $! >"$1"; exec "$2" -m tests.process.driver "$3"'
    argv = ["bash", "-c", script, "entrypoint", str(pid), sys.executable, json.dumps(options)]
    assert subprocess.run(argv, cwd=Path(__file__).parents[3], timeout=60).returncode == 0
    service = int(pid.read_text())
    try:
        assert alive(service)
        assert not json.loads((directory / "report.json").read_text())["notes"]
    finally:
        os.kill(service, signal.SIGKILL)


def test_what_outlives_the_command_is_asked_before_it_is_killed(boot_in_every_mode: Start) -> None:
    inner = "trap 'echo last words; exit' TERM; echo ready; while :; do sleep 0.02; done"
    run = boot_in_every_mode("bash", "-c", f'setsid bash -c "{inner}" & sleep 0.3; exit 4')
    assert run.wait() == 4
    assert run.output.endswith(b"last words\n")
    assert run.log.read_bytes() == run.output
    names = run.report()["cut_short"]  # the loop's own sleep may be among them
    (note,) = run.report()["notes"]
    assert any(name.startswith("bash (") for name in names)
    assert all(name in note for name in names) and "`wait`" in note


def test_a_daemon_that_ignores_term_is_killed_and_named(boot: Start) -> None:
    run = boot("bash", "-c", "(trap '' TERM; exec sleep 62) & sleep 0.1; exit 0")
    assert run.wait() == 0
    assert any("sleep" in note for note in run.report()["notes"])


def test_helpers_of_our_own_are_left_to_whoever_waits_for_them() -> None:
    code = """
import subprocess, sys, threading, os
from bootstrap.process.stop.signals import RepeatedRequests, Signals
from bootstrap.process.supervise.launch import Launch
from bootstrap.process.supervise.supervisor import supervise
from tests.process.driver import Quiet
with Signals() as signals:
    codes = []
    def help():
        for _ in range(20):
            codes.append(subprocess.run(["sh", "-c", "exit 7"]).returncode)
    thread = threading.Thread(target=help)
    thread.start()
    ending = supervise(Launch(["sleep", "0.5"], os.environ, "/"), signals, Quiet())
    thread.join()
sys.exit(0 if set(codes) == {7} and ending.status == 0 else 1)
"""
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, timeout=60).returncode == 0


def _below(pid: int) -> list[int]:
    """All living descendants."""
    found: list[int] = []
    todo = [pid]
    while todo:
        try:
            below = children(todo.pop())
        except (FileNotFoundError, ProcessLookupError):
            continue
        found += below
        todo += below
    return found
