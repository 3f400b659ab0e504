"""What a shared fetch costs in memory: measured by the kernel, in processes of their own."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from bootstrap.storage.local.digests import PIECE
from tests.lab.sharing_kills import Node
from tests.lab.stores import Store

MIB = 1 << 20


def test_it_takes_at_most_64_mib_more(seaweedfs: Store, tmp_path: Path) -> None:
    """Of six pieces of 16 MiB, of which each of two nodes gives the other half."""
    bucket = seaweedfs.make_bucket()
    bucket.put("data/model.bin", os.urandom(MIB) * 96)
    peaks = {}
    for shared in (False, True):
        with ExitStack() as stack:
            nodes = []
            for rank in range(2):
                place = tmp_path / f"{shared}-{rank}"
                node = Node(rank, bucket, bucket.store.endpoint, place, piece=PIECE, group=8 * MIB)
                stack.callback(node.close)
                nodes.append(node)
            cards = [node.told for node in nodes]
            for node in nodes:
                node.meet(cards if shared else [])
            told = [node.fetched() for node in nodes]
        assert all((each["pulled"] > 0) == shared for each in told)
        peaks[shared] = max(each["peak"] for each in told)
    assert peaks[True] - peaks[False] < 64 * MIB, peaks
