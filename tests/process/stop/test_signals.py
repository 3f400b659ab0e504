"""Signals before, while and after a command is there, in processes of their own."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bootstrap.job import AskedBy
from bootstrap.process.stop.signals import RepeatedRequests, Signals, Stop
from tests.process.conftest import ROOT


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
    )


PRELUDE = """
import os, signal, sys, threading, time
from bootstrap.job import AskedBy
from bootstrap.process.stop.signals import Signals
from bootstrap.process.supervise.launch import Launch
from bootstrap.process.supervise.supervisor import supervise
from tests.process.driver import Quiet
me = os.getpid()
"""


@pytest.mark.parametrize(("name", "by"), [("TERM", "platform"), ("INT", "user"), ("QUIT", "user"), ("HUP", "user")])
def test_before_there_is_a_command_each_request_sets_the_stop(name: str, by: str) -> None:
    done = python(
        PRELUDE
        + f"""
with Signals() as signals:
    os.kill(me, signal.SIG{name})
    assert signals.stop.wait(20)
    print(signals.asked_by.value, signal.Signals(signals.first).name, signals.stopped_at <= time.monotonic())
"""
    )
    assert done.stdout.split() == [by, f"SIG{name}", "True"]


def test_the_first_request_is_the_one_that_is_told() -> None:
    done = python(
        PRELUDE
        + """
with Signals() as signals:
    os.kill(me, signal.SIGINT)
    os.kill(me, signal.SIGTERM)
    print(signals.asked_by.value, len(signals.requests))
"""
    )
    assert done.stdout.split() == ["user", "2"]


def test_other_signals_do_not_end_us_and_are_no_request() -> None:
    done = python(
        PRELUDE
        + """
with Signals() as signals:
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGWINCH, signal.SIGRTMIN):
        os.kill(me, number)
    print(signals.stop.is_set(), [int(n) for n in signals.wait(20)])
"""
    )
    assert done.stdout.strip() == f"False {[10, 12, 14, 28, int(signal.SIGRTMIN)]}"


def test_a_signal_that_has_come_is_known_before_it_is_told_and_still_told_in_its_turn() -> None:
    done = python(
        PRELUDE
        + """
with Signals() as signals:
    os.kill(me, signal.SIGTSTP)
    print(signals.has_come(signal.SIGCONT))
    os.kill(me, signal.SIGCONT)
    print(signals.has_come(signal.SIGCONT), signals.has_come(signal.SIGCONT), signals.has_come(signal.SIGUSR1))
    print([signal.Signals(number).name for number in signals.wait(0)], signals.wait(0))
"""
    )
    assert done.stdout.splitlines() == ["False", "True True False", "['SIGTSTP', 'SIGCONT'] []"]


def test_a_hangup_while_a_command_runs_is_its_own_affair() -> None:
    done = python(
        PRELUDE
        + """
with Signals() as signals:
    code = "trap 'echo reloaded; exit 3' HUP; kill -HUP %d; while :; do sleep 0.02; done" % me
    ending = supervise(Launch(["bash", "-c", code], os.environ, "/"), signals, Quiet())
    print(ending, ending.asked_by.value, signals.stop.is_set())
"""
    )
    # bash may say "Hangup" of the sleep, which is in the group too
    assert [line for line in done.stdout.splitlines() if line != "Hangup"] == ["reloaded", "exit status 3 nobody False"]


def test_a_request_without_a_signal_stops_the_command_from_any_thread() -> None:
    done = python(
        PRELUDE
        + """
with Signals() as signals:
    threading.Timer(0.3, signals.request_stop, [AskedBy.PEER, "node 3 failed"]).start()
    ending = supervise(Launch(["sleep", "60"], os.environ, "/"), signals, Quiet())
    print(ending, ending.asked_by.value, signals.why)
"""
    )
    assert done.stdout.strip() == "killed by SIGTERM peer node 3 failed"


def test_everything_is_as_before_when_it_is_left() -> None:
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    open_before = set(os.listdir("/proc/self/fd"))
    with Signals() as signals:
        assert signal.getsignal(signal.SIGTERM) != before[signal.SIGTERM]
    signals.wake()  # somebody who is late
    del signals
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before
    assert set(os.listdir("/proc/self/fd")) == open_before


def test_what_was_blocked_when_we_started_is_left_blocked_and_harmless() -> None:
    """As ``__main__`` does it, for the whole life of the process: what comes behind our work must not end its end."""
    done = python(
        PRELUDE
        + """
blocked = {signal.SIGTERM, signal.SIGCHLD}
signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
with Signals() as signals:
    print(len(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
print(signal.pthread_sigmask(signal.SIG_BLOCK, ()) == blocked)
print(*(signal.getsignal(number).name for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR1)))
"""
    )
    assert done.stdout.splitlines() == ["0", "True", "SIG_IGN SIG_DFL SIG_DFL"]


def test_a_stop_wakes_every_thread_that_waits() -> None:
    stop = Stop()
    woken: list[bool] = []
    threads = [threading.Thread(target=lambda: woken.append(stop.wait(30))) for _ in range(5)]
    for thread in threads:
        thread.start()
    begin = time.monotonic()
    stop.set()
    for thread in threads:
        thread.join(30)
    assert woken == [True] * 5
    assert time.monotonic() - begin < 20
    assert stop.wait(0)


def test_a_wait_that_nobody_ends_ends_by_itself() -> None:
    assert not Stop().wait(0.01)


def test_a_handler_may_set_the_stop_while_the_same_thread_waits_for_it() -> None:
    """With a lock inside, as threading.Event has, this may wait for itself."""
    done = python(
        PRELUDE
        + """
with Signals() as signals:
    threading.Timer(0.2, os.kill, [me, signal.SIGTERM]).start()
    print(all(signals.stop.wait(20) for _ in range(3)))
"""
    )
    assert done.stdout.strip() == "True"


def test_asked_by_nobody_is_the_beginning() -> None:
    signals = Signals()
    assert (signals.asked_by, signals.first, signals.stopped_at) == (AskedBy.NOBODY, None, None)


def test_no_descriptor_of_ours_reaches_the_command(tmp_path: Path) -> None:
    done = python(
        PRELUDE
        + """
with Signals() as signals:
    supervise(Launch(["ls", "/proc/self/fd"], os.environ, "/"), signals, Quiet())
"""
    )
    assert done.stdout.split() == ["0", "1", "2", "3"]  # 3 is the directory that ls reads


# --- who counts, of several that ask -------------------------------------------------------------------------------


def test_the_second_ctrl_c_leaves_two_seconds_and_the_third_none() -> None:
    repeated = RepeatedRequests()
    assert [repeated.kill_at(100.0), repeated.kill_at(102.0), repeated.kill_at(102.1)] == [math.inf, 104.0, 102.1]
    assert repeated.kill_at(500.0) == 500.0, "who has meant it once means it"


def test_a_ctrl_c_long_behind_the_first_is_a_first_one_again() -> None:
    repeated = RepeatedRequests()
    assert [repeated.kill_at(now) for now in (0.0, 2.1, 4.2)] == [math.inf] * 3
    assert repeated.kill_at(6.1) == 8.1


@pytest.mark.parametrize("later", [AskedBy.PLATFORM, AskedBy.TIMEOUT, AskedBy.PEER])
def test_another_nodes_failure_stays_the_cause_and_what_is_asked_behind_it_begins_the_grace(later: AskedBy) -> None:
    signals = Signals()
    signals.request_stop(AskedBy.PEER, "node 2 failed")
    first = signals.asked_at
    assert first is not None and signals.stopped_at is None and signals.stop.is_set()
    time.sleep(0.01)
    signals.request_stop(later, "and again")
    assert (signals.asked_by, signals.why, signals.asked_at) == (AskedBy.PEER, "node 2 failed", first)
    if later is AskedBy.PEER:
        assert signals.stopped_at is None
    else:
        assert signals.stopped_at is not None and signals.stopped_at > first
    assert [request.asked_by for request in signals.requests] == [AskedBy.PEER, later]


def test_another_nodes_failure_behind_a_request_changes_nothing() -> None:
    signals = Signals()
    signals.request_stop(AskedBy.TIMEOUT, "an hour is over")
    told = (signals.asked_by, signals.why, signals.asked_at, signals.stopped_at, signals.first)
    assert signals.asked_at == signals.stopped_at is not None
    signals.request_stop(AskedBy.PEER, "node 2 failed")
    assert (signals.asked_by, signals.why, signals.asked_at, signals.stopped_at, signals.first) == told


def test_a_wait_takes_as_long_as_was_said_and_the_longest_there_is_does_not_fail() -> None:
    done = python(
        PRELUDE
        + """
with Signals() as signals:
    began = time.monotonic()
    assert signals.wait(0.2) == [] and not signals.stop.wait(0.1)
    assert 0.3 <= time.monotonic() - began < 1.9, "seconds, and not one more each"
    os.kill(me, signal.SIGUSR1)
    assert signals.wait(1e12) == [signal.SIGUSR1]
    os.kill(me, signal.SIGUSR1)
    assert signals.has_come(signal.SIGUSR1) and not signals.has_come(signal.SIGUSR2)
    assert signals.wait(1e12) == [signal.SIGUSR1], "what was looked at is told at once"
    print("fine")
"""
    )
    assert done.stdout.split() == ["fine"], done
