"""How many connections there are to be, against stores that are a formula: rates in, numbers out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bootstrap.storage.s3.fast.growth import MOST, Growth

Rate = Callable[[int], float]
"""What a store does in a second for so many connections."""


class Store:
    """Time passes and work is done as the store's rate has it; our own CPU costs ``cpu`` seconds a unit of work."""

    def __init__(self, rate: Rate, *, lag: float = 0.02, cpu: float = 0.0) -> None:
        self.rate, self.lag, self.cpu = rate, lag, cpu
        self.now = self.work = 0.0

    def run(self, growth: Growth, seconds: float) -> list[int]:
        """The target after each look."""
        seen = []
        end = self.now + seconds
        while self.now < end:
            self.now += 0.01
            self.work += 0.01 * self.rate(growth.target)
            seen.append(growth.look(self.now, self.work, self.lag, cpu=self.work * self.cpu))
        return seen


def thinking(seconds: float) -> Rate:
    """A store that thinks so long about each request and serves all connections alike."""
    return lambda connections: connections / seconds


def limited(per_connection: float, in_all: float) -> Rate:
    return lambda connections: min(per_connection * connections, in_all)


def test_a_store_that_thinks_gets_all_connections_within_half_a_second() -> None:
    growth = Growth(1)
    seen = Store(thinking(0.02)).run(growth, 0.5)
    assert seen[-1] == MOST
    assert seen == sorted(seen)


def test_the_first_answer_makes_the_first_step() -> None:
    growth = Growth(1)
    growth.jump(50, 50.0)
    assert growth.target == 50
    assert Store(thinking(0.02)).run(growth, 0.2)[-1] > 50


def test_a_jump_that_brings_nothing_is_taken_back() -> None:
    growth = Growth(1)
    growth.jump(50, 1000.0)
    assert Store(lambda connections: 1000.0).run(growth, 0.3)[-1] == 1


def test_no_more_are_added_than_there_is_to_do() -> None:
    growth = Growth(1, 10)
    assert max(Store(thinking(0.02)).run(growth, 3)) == 10


def test_where_a_limit_in_all_is_reached_no_more_are_added_and_it_is_asked_again_ever_more_rarely() -> None:
    growth = Growth(1)
    seen = Store(limited(100, 1000)).run(growth, 60)
    assert set(seen[200:]) <= {16, 32}, "16 reach the limit; 32 are what is tried now and then"
    assert seen[200:].count(32) < 0.05 * len(seen[200:])


@pytest.mark.parametrize("fall", [0.1, 0.5, 0.9])
def test_a_store_that_slows_down_under_too_many_is_soon_left_at_nearly_its_best(fall: float) -> None:
    growth = Growth(1)
    store = Store(lambda connections: 100.0 * connections if connections <= 32 else 3200 * fall)
    store.run(growth, 3)
    rates = [store.rate(target) for target in store.run(growth, 20)]
    assert sum(rates) / len(rates) > 0.85 * 3200


def test_a_process_that_is_busy_itself_adds_none_and_lets_some_go() -> None:
    growth = Growth(1)
    store = Store(thinking(0.001), cpu=1 / 4000)  # 4,000 answers a second are all that it can do
    store.run(growth, 3)
    assert growth.target <= 8


def test_a_store_that_is_asked_too_much_has_half_of_them_at_once_and_once_for_one_moment() -> None:
    growth = Growth(64)
    assert growth.too_many(1.0) == 32
    assert [growth.too_many(1.0 + n / 100) for n in range(10)] == [32] * 10
    assert growth.too_many(3.0) == 16
    assert Growth(1).too_many(1.0) == 1


def test_after_a_complaint_it_rests_and_then_tries_again() -> None:
    growth = Growth(64)
    growth.too_many(0.0)
    store = Store(thinking(0.02))
    assert set(store.run(growth, 0.9)) == {32}
    assert store.run(growth, 1.0)[-1] > 32


def test_a_bad_moment_is_no_reason_to_take_a_step_back() -> None:
    growth = Growth(16)
    store = Store(thinking(0.02))
    store.run(growth, 0.04)
    assert growth.target > 16
    store.rate = lambda connections: 10.0  # the machine was elsewhere for a window
    store.run(growth, 0.03)
    store.rate = thinking(0.02)
    assert store.run(growth, 0.3)[-1] == MOST
