"""Many nodes that begin at the same second do not storm a bucket."""

from __future__ import annotations

import pytest

from bootstrap.storage.common.rate_limit import RateLimit, Throttle
from bootstrap.storage.common.workers import TransferStopped


class Waits:
    """A stop that takes down how long it was waited for."""

    def __init__(self, stopped: bool = False) -> None:
        self.seconds: list[float] = []
        self._stopped = stopped

    def is_set(self) -> bool:
        return self._stopped

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0.0)
        return self._stopped


def test_a_single_node_begins_at_once() -> None:
    waits = Waits()
    RateLimit(1).begin(waits)
    assert waits.seconds == []


@pytest.mark.parametrize(("nodes", "most"), [(2, 0.04), (100, 2.0), (5000, 5.0)])
def test_many_nodes_begin_all_over_some_seconds(nodes: int, most: float) -> None:
    waits = Waits()
    for _ in range(400):
        RateLimit(nodes).begin(waits)
    quarters = {int(4 * seconds / most) for seconds in waits.seconds}
    assert quarters == {0, 1, 2, 3}
    assert max(waits.seconds) <= most


def test_a_stop_does_not_wait_for_the_turn() -> None:
    with pytest.raises(TransferStopped):
        RateLimit(100).begin(Waits(stopped=True))


# --- with a clock that only pauses move ----------------------------------------------------------------------------


class Clock(Waits):
    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0.0
        return super().wait(timeout)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("bootstrap.storage.common.rate_limit.time", clock)
    return clock


def test_bytes_go_at_their_rate_the_first_at_once_and_idle_time_is_not_saved_up(clock: Clock) -> None:
    throttle = Throttle(100.0)
    for size in (50, 25, 100):
        throttle.spend(size, clock)
    assert clock.seconds == pytest.approx([0.5, 0.25])
    clock.now += 60
    throttle.spend(200, clock)
    throttle.spend(1, clock)
    assert clock.seconds == pytest.approx([0.5, 0.25, 2.0])


def test_without_a_rate_nothing_waits_and_a_stop_ends_the_waiting(clock: Clock) -> None:
    for _ in range(3):
        Throttle().spend(1 << 40, clock)
        Throttle(0.0).spend(1 << 40, clock)
    assert clock.seconds == []
    throttle = Throttle(1.0)
    throttle.spend(5, Waits(stopped=True))  # nothing to wait for yet
    with pytest.raises(TransferStopped):
        throttle.spend(5, Waits(stopped=True))


@pytest.mark.parametrize(("nodes", "rate"), [(2, 3000.0), (100, 60.0), (300, 20.0), (5000, 20.0)])
def test_the_nodes_share_what_a_bucket_serves_and_each_has_a_least(nodes: int, rate: float, clock: Clock) -> None:
    limit = RateLimit(nodes)
    for _ in range(3):
        limit.spend(600, clock)
    assert clock.seconds == pytest.approx([600 / rate] * 2)


def test_a_single_node_has_no_limit_until_the_store_complains(clock: Clock) -> None:
    limit = RateLimit()
    clock.now += 1
    limit.spend(1000, clock)
    limit.spend(200, clock)
    assert clock.seconds == []
    limit.complaint()  # 1200 requests in a second: from now on half of that
    limit.spend(600, clock)
    limit.spend(600, clock)
    assert clock.seconds == pytest.approx([1.0])


def test_complaints_of_one_second_are_one_and_it_grows_faster_again_behind_them(clock: Clock) -> None:
    limit = RateLimit(2)  # 3000 a second
    clock.now += 1
    limit.spend(1000, clock)
    for _ in range(5):
        limit.complaint()  # all threads hear it at once
    clock.now += 0.5
    limit.complaint()
    limit.spend(50, clock)
    limit.spend(500, clock)
    assert clock.seconds == pytest.approx([0.1])  # 50 at 500 a second
    clock.now += 2
    limit.spend(600, clock)
    limit.spend(1, clock)
    assert clock.seconds[1:] == pytest.approx([1.0])  # 600 at 600 a second
    for _ in range(60):
        clock.now += 2
        limit.spend(1, clock)
    before = len(clock.seconds)
    limit.spend(3000, clock)
    limit.spend(1, clock)
    assert clock.seconds[before + 1 :] == pytest.approx([1.0]), "as fast as ever, and no faster"


def test_a_store_that_complains_for_ever_is_still_asked_now_and_then(clock: Clock) -> None:
    limit = RateLimit(2)
    for _ in range(30):
        clock.now += 1.5
        limit.complaint()
    limit.spend(20, clock)
    limit.spend(1, clock)
    assert clock.seconds == pytest.approx([1.0])
