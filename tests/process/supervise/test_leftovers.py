"""What is said of processes that outlived the command; tests/e2e has real ones."""

from __future__ import annotations

import signal

import pytest

from bootstrap.process.processes import Process
from bootstrap.process.supervise.leftovers import Leftovers, worst
from bootstrap.process.supervise.reaper import Orphan


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
