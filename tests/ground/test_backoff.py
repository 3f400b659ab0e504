"""Pauses grow to their longest, with a random part where one is wanted, and begin anew after a success."""

from __future__ import annotations

from bootstrap.ground.backoff import Backoff


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(1, 60, spread=0)
    assert [backoff.next() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_success_makes_the_next_pause_the_first_again() -> None:
    backoff = Backoff(1, 60, spread=0)
    backoff.next(), backoff.next()
    backoff.reset()
    assert backoff.next() == 1


def test_a_part_of_each_pause_is_random_and_no_pause_is_longer_than_without() -> None:
    firsts = {Backoff(1, 60, spread=0.5).next() for _ in range(200)}
    assert len(firsts) > 100 and all(0.5 <= pause <= 1 for pause in firsts)
    assert min(firsts) < 0.6 and max(firsts) > 0.9


def test_a_first_pause_beyond_the_longest_stays_what_it_is() -> None:
    backoff = Backoff(90, 60, spread=0)
    assert [backoff.next(), backoff.next()] == [90, 90]
