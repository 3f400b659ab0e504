"""Who outlived the command: at work, or only serving others; and what is said of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bootstrap.process.processes import Process, read
from bootstrap.process.supervise.leftovers import Leftovers, worst
from bootstrap.process.supervise.reaper import Orphan
from tests.lab.waiting import until


def processes(*numbers: int) -> tuple[Process, ...]:
    return tuple(Process(number, "rank", "S", 1, number, number, 0, 0) for number in numbers)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (Leftovers(), []),
        (Leftovers(processes(7)), ["1 process was still at work", "cut short: rank (7).", "or set --wait-for-output"]),
        (Leftovers(processes(7, 8)), ["2 processes were still at work", "cut short: rank (7), rank (8)."]),
        (Leftovers(processes(7), waited=True), ["--wait-for-output does not wait for them"]),
        (Leftovers(processes(*range(8))), ["8 processes were", "rank (6), rank (7). What"]),
        (Leftovers(processes(*range(9))), ["9 processes were", "rank (6), rank (7), .... What"]),
        (Leftovers(servers=processes(7, 8)), ["only serve (on a socket): rank (7), rank (8)."]),
    ],
)
def test_they_are_counted_and_named(found: Leftovers, told: list[str]) -> None:
    notes = found.notes()
    assert len(notes) == bool(told)
    assert all(part in notes[0] for part in told), notes
    assert found.cut_short == tuple(map(str, found.workers))
    assert found.everybody == [*found.workers, *found.servers]


LISTENS = "import socket, sys\ns = socket.{}\ns.listen()\nprint(flush=True)\nsys.stdin.read()"
SLEEPS = "import sys\nprint(flush=True)\nsys.stdin.read()"


@contextmanager
def running(code: str, *words: str, **environ: str) -> Iterator[Process]:
    command = [sys.executable, "-c", code, *words]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env={**os.environ, **environ}, **pipes) as process:  # type: ignore[call-overload]
        process.stdout.readline()
        yield until(lambda: (found := read(process.pid)) is not None and found.state == "S" and found)
        process.stdin.close()


@pytest.mark.parametrize(
    "socket",
    ["create_server(('127.0.0.1', 0))", "create_server(('::1', 0), family=socket.AF_INET6)", "socket(socket.AF_UNIX)"],
)
def test_who_listens_on_a_socket_is_a_server_unless_it_is_a_rank_or_computes(socket: str) -> None:
    def serves(process: Process, environ: dict[str, str], before: int = 0) -> bool:
        found = Leftovers.of([process], environ, {process.pid: process.cpu - before}, 1.0)
        assert [*found.servers, *found.workers] == [process]
        return bool(found.servers)

    listens = LISTENS.format(socket)
    if "UNIX" in socket:
        listens = listens.replace("s.listen()", "s.bind('\\0leftovers-%d' % __import__('os').getpid()); s.listen()")
    with running(listens) as process:
        assert serves(process, {})
        assert serves(process, {}, before=10) and not serves(process, {}, before=11), "a tenth of a core is at rest"
    with running(listens, RANK="1") as process:
        assert not serves(process, {}) and not serves(process, {"RANK": "0"})
        assert serves(process, {"RANK": "1"}), "it is a node's rank, then"
    with running(listens, "--local_rank=1") as process:
        assert not serves(process, {})
    with running(SLEEPS) as process:
        assert not serves(process, {})


def test_workers_and_servers_are_told_apart_and_who_was_hung_up_has_lost_work_too() -> None:
    hung_up = [Orphan(9, "rank", -signal.SIGHUP), Orphan(10, "rank", 0), Orphan(11, "rank", -signal.SIGTERM)]
    found = Leftovers(processes(7), processes(8)).with_hung_up(hung_up)
    cut, served = found.notes()
    assert cut.startswith("2 processes were") and len(found.cut_short) == 2 and "(7)" in cut and "(9)" in cut
    assert "only serve" in served and "(8)" in served


@pytest.mark.parametrize(
    ("codes", "code"), [((), 0), ((0, 0), 0), ((0, 3, 5), 3), ((0, 3, -15, -9), -15), ((-9, 3), -9)]
)
def test_a_job_ended_as_the_first_of_its_processes_that_a_signal_ended_and_else_as_the_first_that_failed(
    codes: tuple[int, ...], code: int
) -> None:
    assert worst([Orphan(number, "rank", ended) for number, ended in enumerate(codes)]) == code
