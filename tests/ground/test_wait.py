"""The one way to wait: tries with growing pauses, a word now and then, and an end at the deadline or a stop."""

from __future__ import annotations

import threading
import time

import pytest

from bootstrap.ground.wait import Wait
from tests.lab.heard import Heard


class Clock(threading.Event):
    """A stop request that never comes, and a clock that moves only when somebody waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.now, self.pauses = 100.0, list[float]()
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.pauses.append(timeout)
        self.now += timeout
        return False


def test_pauses_grow_to_the_longest_and_the_last_try_is_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    wait = Wait("waiting", deadline_s=20.0, stop=clock, log=Heard(), longest=3.0)
    tries = 1
    while wait.again():
        tries += 1
    assert clock.now == pytest.approx(120.0)
    assert (wait.elapsed, wait.left, wait.cause) == (pytest.approx(20.0), pytest.approx(0.0), "")
    assert 8 <= tries <= 20
    assert 0.075 <= clock.pauses[0] <= 0.1
    assert 2.25 <= max(clock.pauses) <= 3.0


def test_nobody_looks_at_the_same_moment_as_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    for _ in range(20):
        Wait("waiting", deadline_s=20.0, stop=clock, log=Heard()).again()
    assert len(set(clock.pauses)) > 10


def test_what_was_found_is_said_every_few_seconds_with_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, log = Clock(monkeypatch), Heard()
    wait = Wait("waiting for a name", deadline_s=30.0, stop=clock, log=log)
    while wait.again(host="peer"):
        pass
    assert 2 <= len(log.lines) <= 5, "neither silent nor a line a try"
    event, facts = log.lines[0]
    assert (event, facts["host"]) == ("waiting for a name", "peer")
    assert 20 <= int(str(facts["left_s"])) <= 25


@pytest.mark.parametrize("when", ["before", "during"])
def test_a_stop_request_ends_it(when: str) -> None:
    stop = threading.Event()
    wait = Wait("waiting", deadline_s=600.0, stop=stop, log=Heard(), longest=600.0)
    if when == "before":
        stop.set()
    else:
        threading.Timer(0.3, stop.set).start()
    while wait.again():
        pass
    assert wait.elapsed < 60
    assert wait.cause == " (asked to stop)"


def test_without_any_time_there_is_no_second_try() -> None:
    assert not Wait("waiting", deadline_s=0.0, stop=threading.Event(), log=Heard()).again()
