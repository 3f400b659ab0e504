"""The thread beside the command: when it begins a round, what it says of a store that does not work, how it ends."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bootstrap.job import StopRequest
from bootstrap.outputs import live as module
from bootstrap.outputs.live import Live
from bootstrap.outputs.publisher import Publisher
from bootstrap.storage.common.workers import TransferStopped
from tests.lab.waiting import until
from tests.outputs.conftest import NEVER, Place, write


class Rounds:
    """A publisher's rounds: each does the next of ``acts``, the last again and again; ``begun`` has their times."""

    def __init__(self, publisher: Publisher, *acts: Any) -> None:
        self.begun: list[float] = []
        self._acts = acts
        publisher.round = self  # type: ignore[method-assign, assignment]

    def __call__(self, halt: StopRequest, interval: float) -> None:
        self.begun.append(time.monotonic())
        act = self._acts[min(len(self.begun), len(self._acts)) - 1]
        if isinstance(act, Exception):
            raise act
        act(halt)


def nothing(halt: StopRequest) -> None:
    """A round in which nothing is new."""


def live_of(place: Place, *publishers: Publisher, interval: float, stop: StopRequest = NEVER) -> Live:
    return Live(publishers, interval=interval, stop=stop, log=place.log)


def test_what_is_saved_is_there_in_the_next_interval_and_the_end_ends_it(nas: Place, root: Path) -> None:
    live = live_of(nas, nas.publisher(root), interval=0.1)
    live.start()
    write(root, {"step-1.pt": b"1"})
    until(lambda: nas.complete() == ["step-1.pt"])
    assert live.finish(NEVER) and live.halt.is_set()
    write(root, {"step-2.pt": b"2"})
    time.sleep(0.3)
    assert nas.complete() == ["step-1.pt"]


@pytest.mark.parametrize(("interval", "publishers"), [(0.0, 1), (0.1, 0)])
def test_without_an_interval_or_an_output_there_is_no_thread(
    interval: float, publishers: int, nas: Place, root: Path
) -> None:
    publisher = nas.publisher(root)
    rounds = Rounds(publisher, nothing)
    live = live_of(nas, *[publisher][:publishers], interval=interval)
    before = threading.active_count()
    live.start()
    assert threading.active_count() == before
    assert live.finish(NEVER) and rounds.begun == []


def test_trouble_is_said_once_and_so_is_its_end(nas: Place, root: Path) -> None:
    publisher = nas.publisher(root)
    rounds = Rounds(publisher, OSError("no way there"), ZeroDivisionError("of ours"), TransferStopped(), nothing)
    live = live_of(nas, publisher, interval=0.05)
    live.start()
    until(lambda: len(rounds.begun) > 5)
    live.finish(NEVER)
    assert nas.log.text().count("cannot be kept up to date for now: no way there") == 1
    assert "ZeroDivisionError" not in nas.log.text(), "one trouble is one line"
    assert nas.log.text().count("outputs are delivered again") == 1


def test_a_defect_of_ours_is_one_in_words(nas: Place, root: Path) -> None:
    publisher = nas.publisher(root)
    rounds = Rounds(publisher, ZeroDivisionError("of ours"))
    live = live_of(nas, publisher, interval=0.05)
    live.start()
    until(lambda: rounds.begun)
    live.finish(NEVER)
    assert "the bootstrap has a defect" in nas.log.text()


def test_one_output_in_trouble_does_not_hold_up_the_other(nas: Place, root: Path) -> None:
    bad, good = nas.publisher(root), nas.publisher(root)
    Rounds(bad, OSError("no way there"))
    rounds = Rounds(good, nothing)
    live = live_of(nas, bad, good, interval=0.05)
    live.start()
    until(lambda: len(rounds.begun) >= 3)
    assert live.finish(NEVER)
    pauses = [later - earlier for earlier, later in zip(rounds.begun, rounds.begun[1:], strict=False)]
    assert pauses[0] > 0.09 and pauses[1] > 0.18, "twice as long each time, since one does not work"


def test_once_a_stop_was_asked_for_rounds_follow_each_other_fast(nas: Place, root: Path) -> None:
    publisher, stop = nas.publisher(root), threading.Event()
    rounds = Rounds(publisher, nothing)
    live = live_of(nas, publisher, interval=3600.0, stop=stop)
    live.start()
    time.sleep(0.6)
    assert rounds.begun == []
    stop.set()
    until(lambda: len(rounds.begun) >= 2)
    live.finish(NEVER)
    assert rounds.begun[1] - rounds.begun[0] >= 0.5


def test_other_nodes_are_answered_between_two_rounds(nas: Place, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ANSWERS", 0.1)
    alone, one_of_two = nas.publisher(root), nas.publisher(root, nodes=2)
    asked: list[Publisher] = []
    for publisher in (alone, one_of_two):

        def refresh(publisher: Publisher = publisher) -> None:
            asked.append(publisher)
            raise OSError("the round will say it")

        publisher.refresh = refresh  # type: ignore[method-assign]
    live = live_of(nas, alone, one_of_two, interval=3600.0)
    live.start()
    until(lambda: len(asked) >= 2)
    live.finish(NEVER)
    assert all(one is one_of_two for one in asked) and "the round will say it" not in nas.log.text()


def test_a_round_under_way_is_finished_and_one_that_hangs_is_left(nas: Place, root: Path) -> None:
    publisher, go = nas.publisher(root), threading.Event()
    rounds = Rounds(publisher, lambda halt: go.wait(60))
    live = live_of(nas, publisher, interval=0.05)
    live.start()
    until(lambda: rounds.begun)
    over = threading.Event()
    threading.Timer(0.2, over.set).start()
    assert not live.finish(over), "the time is up"
    assert live.halt.is_set()
    threading.Timer(0.2, go.set).start()
    assert live.finish(NEVER)


@pytest.mark.parametrize(("working_on", "halted"), [("step-1.pt", False), ("step-2.pt", True), ("", True)])
def test_what_is_to_be_kept_is_finished_and_nothing_else(working_on: str, halted: bool, nas: Place, root: Path) -> None:
    publisher, seen = nas.publisher(root), threading.Event()

    def work(halt: StopRequest) -> None:
        publisher.working_on = working_on
        while not seen.wait(0.02):
            if halt.is_set():
                raise TransferStopped

    rounds = Rounds(publisher, work)
    live = live_of(nas, publisher, interval=0.05)
    live.start()
    until(lambda: rounds.begun and publisher.working_on == working_on)
    ended = threading.Thread(target=live.finish, args=(NEVER,), kwargs={"keep": "step-1.pt"})
    ended.start()
    if halted:
        until(live.halt.is_set)
    else:
        time.sleep(0.2)
        assert not live.halt.is_set()
    seen.set()
    ended.join(20)
    assert live.halt.is_set() and len(rounds.begun) == 1
