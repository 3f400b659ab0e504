"""Work in parallel: everything is done once, errors stay with their task, and who leaves is not kept waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from bootstrap.storage.common.workers import in_parallel


def nothing() -> None:
    pass


@pytest.mark.parametrize("width", [1, 2, 3, 50])
def test_each_task_is_done_once_by_so_many_threads_at_most(width: int) -> None:
    names: set[str] = set()

    def work(number: int) -> int:
        names.add(threading.current_thread().name)
        time.sleep(0.002)
        return number * 2

    done = {one.task: one.value() for one in in_parallel(range(20), work, width=width, beat=nothing)}
    assert done == {number: number * 2 for number in range(20)}
    assert len(names) <= width


def test_one_thread_is_one_also_where_it_runs_before_whoever_started_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        begin(thread)
        time.sleep(0.02)

    monkeypatch.setattr(threading.Thread, "start", start)
    threads = {one.value() for one in in_parallel(range(5), lambda _: threading.get_ident(), width=1, beat=nothing)}
    assert len(threads) == 1


def test_no_tasks_and_no_width_are_no_work() -> None:
    assert list(in_parallel([], str, width=4, beat=nothing)) == []
    assert list(in_parallel([1], str, width=0, beat=nothing)) == []


def test_tasks_go_on_beside_one_that_takes_long() -> None:
    last = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert last.wait(10)
        if number == 9:
            last.set()
        return number

    assert [one.value() for one in in_parallel(range(10), work, width=2, beat=nothing)][-1] == 0


def test_an_error_stays_with_its_task_and_ends_no_other() -> None:
    def work(number: int) -> int:
        if number % 2:
            raise ValueError(number)
        return number

    done = {one.task: one for one in in_parallel(range(6), work, width=2, beat=nothing)}
    assert [done[number].value() for number in (0, 2, 4)] == [0, 2, 4]
    for number in (1, 3, 5):
        with pytest.raises(ValueError, match=str(number)):
            done[number].value()


def test_who_leaves_begins_no_further_task() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        time.sleep(0.01)
        return number

    for _ in in_parallel(range(1000), work, width=2, beat=nothing):
        break
    time.sleep(0.05)
    assert len(begun) < 10


def test_the_clock_is_looked_at_while_work_hangs_and_may_end_the_wait() -> None:
    hangs = threading.Event()
    beats: list[float] = []

    def beat() -> None:
        beats.append(time.monotonic())
        if len(beats) == 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        list(in_parallel([1], lambda _: hangs.wait(30), width=1, beat=beat))
    hangs.set()


def test_a_thread_is_started_when_there_is_a_task_for_it() -> None:
    before = set(threading.enumerate())  # those of an earlier test may be on their way out
    seen: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(3):
            seen.append(len(set(threading.enumerate()) - before))
            yield number

    list(in_parallel(tasks(), lambda number: time.sleep(0.02), width=8, beat=nothing))
    assert seen[0] == 1 and max(seen) <= 4
