"""Heartbeats that somebody else has written into the store."""

from __future__ import annotations

import json

import pytest

from bootstrap.shipping.heartbeat import Heartbeat

GOOD = Heartbeat.now("launch", 1, 0, 5, 10.0)


def test_a_heartbeat_is_read_as_it_was_written() -> None:
    assert Heartbeat.read(GOOD.text()) == GOOD


@pytest.mark.parametrize(
    "change",
    [
        {"interval": "10"},
        {"interval": None},
        {"interval": True},
        {"interval": float("nan")},
        {"interval": 10**400},
        {"interval": -1.0},
        {"log_bytes": [5]},
        {"attempt": 1.5},
        {"last_seen": 5},
        {"phase": {}},
        {"host": None},
    ],
    ids=str,
)
def test_one_that_nothing_can_be_reckoned_with_is_none(change: dict[str, object]) -> None:
    assert Heartbeat.read(json.dumps({**json.loads(GOOD.text()), **change}).encode()) is None
