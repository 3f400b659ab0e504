import threading
from collections.abc import Callable

import pytest

from bootstrap.ground.side_by_side import both, side_by_side


def test_all_are_done_at_once_and_told_in_their_order() -> None:
    here = threading.Barrier(3)  # which only three at the same time can pass

    def work(number: int) -> Callable[[], int]:
        def once() -> int:
            here.wait(60)
            return number

        return once

    assert side_by_side([work(1), work(2), work(3)]) == [1, 2, 3]


def test_of_several_failures_the_first_in_their_order_is_raised_when_all_have_ended() -> None:
    others, ended = threading.Event(), []

    def first() -> None:
        others.wait(60)
        ended.append("first")
        raise LookupError("the first")

    def second() -> None:
        ended.append("second")
        others.set()
        raise ArithmeticError("the second, and sooner")

    with pytest.raises(LookupError, match="the first"):
        side_by_side([first, second, lambda: None])
    assert ended == ["second", "first"]


def test_one_alone_is_done_by_who_asks() -> None:
    assert side_by_side([threading.current_thread]) == [threading.current_thread()]
    assert side_by_side([]) == []


def test_two_of_different_kinds() -> None:
    assert both(lambda: 1, lambda: "one") == (1, "one")
