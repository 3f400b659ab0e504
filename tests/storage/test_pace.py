"""Many nodes that begin at the same second do not storm a bucket."""

from __future__ import annotations

import pytest

from bootstrap.storage.pace import Pace
from bootstrap.storage.workers import TransferStopped


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
    Pace(1).begin(waits)
    assert waits.seconds == []


@pytest.mark.parametrize(("nodes", "most"), [(2, 0.04), (100, 2.0), (5000, 5.0)])
def test_many_nodes_begin_all_over_some_seconds(nodes: int, most: float) -> None:
    waits = Waits()
    for _ in range(400):
        Pace(nodes).begin(waits)
    quarters = {int(4 * seconds / most) for seconds in waits.seconds}
    assert quarters == {0, 1, 2, 3}
    assert max(waits.seconds) <= most


def test_a_stop_does_not_wait_for_the_turn() -> None:
    with pytest.raises(TransferStopped):
        Pace(100).begin(Waits(stopped=True))
