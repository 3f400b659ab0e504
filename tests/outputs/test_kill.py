"""A real training, stopped at any moment under store faults, goes on from what is complete, to the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.engines import python_with
from tests.lab.faulty_proxy import FaultyProxy
from tests.lab.stores import Store
from tests.outputs.harness import Play, final_weights


@pytest.mark.parametrize("in_place", [False, True], ids=["a file a step", "one file rewritten in place"])
def test_a_training_that_is_stopped_again_and_again_ends_with_the_same_weights(
    seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path, in_place: bool
) -> None:
    python, bucket = python_with("torch"), seaweedfs.make_bucket()
    undisturbed = Play(bucket, faulty, python, tmp_path / "calm", 0, kills=0, pause=0.0, prefix="calm/")
    undisturbed.run()
    play = Play(bucket, faulty, python, tmp_path / "play", 11, kills=2, in_place=in_place)
    reader = play.run()
    assert final_weights(bucket, "models/") == final_weights(bucket, "calm/")
    assert reader.polls > 10
    assert len(play.starts) >= 2
