"""What /proc shows of real processes: who listens for which signal, who is a copy, a shell, a rank, stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from bootstrap.process.processes import everyone
from bootstrap.process.stop.targets import Member, ProcessTree
from bootstrap.process.stop.tree import snapshot
from tests.lab.waiting import until

TERM, USR1 = signal.SIGTERM, signal.SIGUSR1
BEGIN = "import os, signal, sys, time\nT, U = signal.SIGTERM, signal.SIGUSR1\n"
OTHER = "os.fork() or os.execv(sys.executable, [sys.executable, '-S', '-c', '{}; import time; time.sleep(60)'])"
READY = "\nprint('ready', flush=True)\ntime.sleep(60)\n"
Begin = Callable[..., int]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Start a program in a session of its own; its number, once it has said that it is ready."""
    begun: list[subprocess.Popen[bytes]] = []

    def start(*words: str, environ: Mapping[str, str] | None = None) -> int:
        clean = {"PATH": os.environ["PATH"], **(environ or {})}
        child = subprocess.Popen(words, stdout=subprocess.PIPE, env=clean, start_new_session=True)
        begun.append(child)
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        return child.pid

    yield start
    for child in begun:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()


def python(text: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", BEGIN + text + READY)


def seen(command: int, number: int = TERM) -> ProcessTree:
    return snapshot([one for one in everyone() if command in (one.pid, one.session)], command, number)


def member(command: int, number: int = TERM) -> Member:
    return seen(command, number).members[command]


def child(command: int) -> Member:
    """Its only child, once it has one."""
    (found,) = until(lambda: seen(command).children(member(command)), f"{command} has a child")
    return found


@pytest.mark.parametrize(
    ("text", "term", "usr1"),
    [
        ("", False, False),
        ("signal.signal(T, print)", True, False),
        ("signal.signal(U, print)", False, True),
        ("signal.signal(T, signal.SIG_IGN)", False, False),
        ("signal.pthread_sigmask(signal.SIG_BLOCK, [T])", True, False),
    ],
)
def test_who_catches_or_blocks_a_signal_listens_for_that_one(begin: Begin, text: str, term: bool, usr1: bool) -> None:
    pid = begin(*python(text))
    assert (member(pid, TERM).listens, member(pid, USR1).listens) == (term, usr1)
    assert not member(pid).deaf


def test_who_sleeps_in_sigwait_listens(begin: Begin) -> None:
    pid = begin(*python("print('ready', flush=True)\nsignal.sigwait([T, U])"))
    until(lambda: member(pid).listens, "one that waits for signals listens")


def test_who_blocks_a_signal_that_has_come_and_does_not_take_it_is_deaf(begin: Begin) -> None:
    pid = begin(*python("signal.pthread_sigmask(signal.SIG_BLOCK, [T, U])"))
    os.kill(pid, TERM)
    assert (member(pid, TERM).deaf, member(pid, USR1).deaf) == (True, False)
    caught = begin(*python("signal.signal(T, print)"))
    os.kill(caught, TERM)
    assert not member(caught).deaf


@pytest.mark.parametrize(
    ("text", "copy"),
    [
        ("os.fork()", True),
        (OTHER.format("1"), False),
        (OTHER.format("multiprocessing = 1"), False),
        (OTHER.format("spawn_main = 1"), False),
        (OTHER.format("multiprocessing = spawn_main = 1"), True),
    ],
    ids=["forked", "another program", "names multiprocessing", "names its word", "a helper of multiprocessing"],
)
def test_a_copy_runs_its_parents_words_or_helps_multiprocessing(begin: Begin, text: str, copy: bool) -> None:
    pid = begin(*python(f"first = os.getpid()\n{text}\nif os.getpid() != first: time.sleep(60)"))
    until(lambda: seen(pid).children(member(pid)))
    until(lambda: child(pid).copy is copy, lambda: child(pid))


def test_shells_are_known_by_their_program_whatever_the_script_is_called(begin: Begin, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("#!/bin/sh\necho ready\nsleep 60 & wait\n")
    script.chmod(0o755)
    pid = begin(str(script))
    assert member(pid).shell
    until(lambda: child(pid).name == "sleep")
    assert not child(pid).shell
    assert not member(begin(*python(""))).shell
    named = tmp_path / "bash"
    named.write_text(f"#!{sys.executable} -S\n{BEGIN}{READY}")
    named.chmod(0o755)
    assert not member(begin(str(named))).shell


def test_what_a_shell_starts_behind_it_ignores_int_and_quit_and_is_known_by_both(begin: Begin) -> None:
    behind = begin("sh", "-c", "sleep 60 & echo ready; wait")
    until(lambda: child(behind).name == "sleep")
    assert child(behind).background and not member(behind).background
    assert not member(begin(*python("signal.signal(signal.SIGINT, signal.SIG_IGN)"))).background
    assert member(
        begin(*python("for one in (signal.SIGINT, signal.SIGQUIT): signal.signal(one, signal.SIG_IGN)"))
    ).background


@pytest.mark.parametrize("handled", ["SIGTERM", "SIGINT", "SIGQUIT"])
def test_what_a_shell_starts_behind_it_stays_known_when_it_handles_one_of_the_two(begin: Begin, handled: str) -> None:
    program = python(f"signal.signal(signal.{handled}, print)")
    behind = begin("sh", "-c", '"$@" & wait', "sh", *program)
    until(lambda: child(behind).name != "sh")
    assert child(behind).background
    assert not member(begin(*program)).background


def test_a_rank_is_told_by_its_launchers_variables_and_no_others(begin: Begin) -> None:
    pid = begin(*python(""), environ={"LOCAL_RANK": "1", "PMI_RANK": "3", "RANK": "7", "X_LOCAL_RANK": "2"})
    assert member(pid).rank == ("LOCAL_RANK=1", "PMI_RANK=3")
    assert member(begin(*python(""), environ={"RANK": "7", "WORLD_SIZE": "8"})).rank == ()


def test_who_is_stopped_or_gone_is_seen_so(begin: Begin) -> None:
    pid = begin(*python(""))
    assert not member(pid).stopped and member(pid).ours
    os.kill(pid, signal.SIGSTOP)
    until(lambda: member(pid).stopped)
    before = [one for one in everyone() if one.pid == pid]
    os.kill(pid, signal.SIGKILL)
    until(lambda: next((one.state for one in everyone() if one.pid == pid), "Z") == "Z")
    assert not snapshot(before, pid, TERM).members[pid].listens


def test_a_session_or_group_of_its_own_is_not_ours(begin: Begin) -> None:
    pid = begin(*python("if not os.fork():\n    os.setsid()\n    time.sleep(60)"))
    until(lambda: [one for one in everyone() if one.parent == pid and one.session == one.pid])
    family = [one for one in everyone() if pid in (one.pid, one.parent)]
    members = snapshot(family, pid, TERM).members
    assert {one.ours for one in members.values() if one.pid != pid} == {False}
    assert members[pid].ours
    for one in family:
        if one.pid != pid:
            os.kill(one.pid, signal.SIGKILL)
