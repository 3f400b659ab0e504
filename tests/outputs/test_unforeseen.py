"""What nobody foresaw in a round is said once, and the next rounds go on: nobody else would hear of the thread."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from bootstrap.outputs.live import Live
from bootstrap.outputs.publisher import Publisher
from tests.lab.waiting import until
from tests.outputs.conftest import NEVER, Place, write


def test_a_defect_in_a_round_ends_neither_the_thread_nor_the_outputs(
    nas: Place, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect is put in, for there is no real one that could be relied on."""
    write(root, {"a.pt": "1"})
    publisher = nas.publisher(root)
    honest, rounds = Publisher.round, []

    def sick(self: Publisher, *arguments: Any) -> object:
        rounds.append(1)
        if len(rounds) <= 3:
            raise ZeroDivisionError("of ours")
        return honest(self, *arguments)

    monkeypatch.setattr(Publisher, "round", sick)
    live = Live([publisher], interval=0.05, stop=NEVER, log=nas.log)
    live.start()
    try:
        until(lambda: nas.complete() == ["a.pt"], nas.log.text)
    finally:
        live.halt.set()
        live.finish(threading.Event())
    told = [line for line in nas.log.lines if "cannot be kept up to date" in line]
    assert len(told) == 1 and "ZeroDivisionError" in told[0]
