"""The seconds between the request to stop and the end."""

from __future__ import annotations

import math
import time

import pytest

from bootstrap.process.budget import Budget


@pytest.mark.parametrize(
    ("grace", "reserve", "child", "delivery"),
    [(30, None, 20, 10), (9, None, 6, 3), (600, None, 590, 10), (30, 25, 5, 25), (10, 60, 0, 10), (0, None, 0, 0)],
)
def test_the_grace_is_divided(grace: float, reserve: float | None, child: float, delivery: float) -> None:
    budget = Budget(grace, reserve)
    assert (budget.for_child, budget.for_delivery) == (child, delivery)


def test_nobody_waits_to_kill_us_until_somebody_has_asked() -> None:
    assert Budget(30).left(None) == math.inf


def test_what_is_left_shrinks_and_is_never_negative() -> None:
    assert 24 < Budget(30).left(time.monotonic() - 5) <= 25
    assert Budget(30).left(time.monotonic() - 60) == 0
