"""The seconds between the request to stop and our own end."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.job import AskedBy
from bootstrap.process.stop.plan import Moment, StopPlan
from bootstrap.process.stop.signals import Signals


@pytest.mark.parametrize(
    ("grace", "kill", "gone", "deliver", "verdict", "end"),
    [
        (30, 20, 23.75, 27.5, 28, 29.5),
        (600, 590, 593.75, 597.5, 598, 599.5),
        (8, 5.333, 5.817, 6.3, 6.7, 7.5),
        (1, 0.667, 0.708, 0.75, 0.8, 0.9),
        (0, 0, 0, 0, 0, 0),
    ],
)
def test_the_grace_is_divided(
    grace: float, kill: float, gone: float, deliver: float, verdict: float, end: float
) -> None:
    plan = StopPlan(grace)
    moments = (plan.kill_after, plan.gone_after, plan.deliver_until, plan.verdict_at, plan.end_at)
    assert moments == pytest.approx((kill, gone, deliver, verdict, end), abs=0.001)


@given(st.floats(0.01, 1e6))
def test_everything_has_its_turn_and_is_over_within_the_grace(grace: float) -> None:
    plan = StopPlan(grace)
    assert 0 < plan.kill_after < plan.gone_after < plan.deliver_until < plan.verdict_at < plan.end_at < grace
    assert 0 < plan.tidied_after < plan.deliver_until


def test_no_moment_comes_until_somebody_has_asked() -> None:
    moment = Moment(Signals(), 0)
    assert not moment.is_set()
    assert not moment.wait(0.01)


def test_a_moment_comes_behind_the_request_and_wakes_who_waits_for_it() -> None:
    signals = Signals()
    threading.Timer(0.05, signals.request_stop, [AskedBy.PLATFORM, "TERM"]).start()
    moment = Moment(signals, 0.1)
    assert moment.wait(20)
    assert signals.stopped_at is not None and time.monotonic() >= signals.stopped_at + 0.1


def test_another_nodes_failure_sets_no_end_to_deliveries_but_to_the_steps_before_the_command() -> None:
    signals = Signals()
    signals.request_stop(AskedBy.PEER, "node 3 failed")
    assert not Moment(signals, 0).wait(0.01)
    assert Moment(signals, 0, whoever=True).is_set()
    signals.request_stop(AskedBy.PLATFORM, "TERM")
    assert Moment(signals, 0).is_set()
