"""Killed nodes and flipped bits in a fetch that is shared: a few runs of ``python -m tests.lab.sharing_kills``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.sharing_kills import Plan, fill, run
from tests.lab.stores import Store


@pytest.mark.parametrize(
    "plan",
    [
        Plan(3, kills={1: 0.2}, flips={2: 300_000}),
        Plan(3, kills={0: 0.4, 2: 0.1}, flips_of_store=[1234]),
    ],
    ids=["one is killed, another's bytes flip", "all but one are killed, and the store's bytes flip"],
)
def test_every_node_has_the_right_bytes(seaweedfs: Store, tmp_path: Path, plan: Plan) -> None:
    bucket = seaweedfs.make_bucket()
    happened = run(plan, bucket, fill(bucket), tmp_path)
    assert happened["kills"] == len(plan.kills)


def test_a_plan_follows_from_its_seed() -> None:
    assert Plan.made("1-7") == Plan.made("1-7")
