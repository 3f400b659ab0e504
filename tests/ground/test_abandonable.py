"""Work that may hang: waited for as long as nobody wants us to stop, then left behind; its errors are ours."""

from __future__ import annotations

import threading
import time

import pytest

from bootstrap.ground.abandonable import After, unless, watched


def test_work_that_ends_is_waited_for() -> None:
    done: list[int] = []
    assert unless(threading.Event(), lambda: done.append(1)) and done == [1]


def test_work_that_hangs_is_left_behind_when_the_time_has_come_and_not_before() -> None:
    stop, never = threading.Event(), threading.Event()
    stop.set()
    began = time.monotonic()
    assert not unless(After(stop, 0.2), never.wait)
    assert time.monotonic() - began >= 0.2
    never.set()


def test_work_that_notices_the_stop_itself_has_its_result_counted() -> None:
    stop = threading.Event()
    stop.set()
    assert unless(After(stop, 5), lambda: time.sleep(0.1))


@pytest.mark.parametrize(
    "run", [lambda work: unless(threading.Event(), work), lambda work: watched(work, lambda: None)]
)
def test_what_the_work_raises_is_raised_where_it_is_waited_for(run: object) -> None:
    def fail() -> None:
        raise KeyError("of the work")

    with pytest.raises(KeyError, match="of the work"):
        run(fail)  # type: ignore[operator]  # either of the two


def test_a_watched_work_gives_its_value_and_the_watch_is_called_meanwhile() -> None:
    calls: list[int] = []
    assert watched(lambda: time.sleep(0.35) or "value", lambda: calls.append(1)) == "value"
    assert len(calls) >= 2


def test_a_watch_that_raises_leaves_the_work_behind() -> None:
    never = threading.Event()

    def enough() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        watched(never.wait, enough)
    never.set()
