"""`bootstrap run` on several nodes that fetch the same: once from the store, whatever happens to one of them."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bootstrap.storage.local.digests import PIECE
from tests.cluster.nodes import BOOTSTRAP
from tests.lab.faulty_proxy import FaultyProxy, slow
from tests.lab.processes import end
from tests.lab.stores import Bucket, Store, free_ports
from tests.lab.waiting import until

pytestmark = pytest.mark.timeout(300)

SIZE = 6 * PIECE + 1000
SHOW = "import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], 'rb').read()).hexdigest())"


def start(
    node: int, count: int, port: int, bucket: Bucket, endpoint: str, home: Path, *words: str
) -> subprocess.Popen[bytes]:
    home.mkdir()
    own = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "RANK": str(node),
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        **bucket.store.env(),
        "S3_ENDPOINT": endpoint,
        "BOOTSTRAP_JOB_DIR": str(home),
        "BOOTSTRAP_LOG_FILE": str(home / "job.log"),
        "BOOTSTRAP_PEER_SECRET": "swordfish",
        "BOOTSTRAP_PEER_TIMEOUT": "90",
        "BOOTSTRAP_MEET_PORT": str(port),
    }
    argv = [BOOTSTRAP, "run", "--interface", f"127.0.0.{node + 1}", "--input", f"data={bucket.url('data/')}", *words]
    said = (home / "said").open("wb")
    return subprocess.Popen(
        [*argv, "--", sys.executable, "-c", SHOW, "data/model.bin"], env=own, stdout=said, stderr=said
    )


@pytest.fixture
def bucket(seaweedfs: Store) -> Bucket:
    return seaweedfs.make_bucket()


@pytest.fixture
def digest(bucket: Bucket) -> str:
    content = os.urandom(SIZE)
    bucket.put("data/model.bin", content)
    return hashlib.sha256(content).hexdigest()


@contextmanager
def started(
    count: int, bucket: Bucket, faulty: FaultyProxy, tmp_path: Path, *words: str
) -> Iterator[list[subprocess.Popen[bytes]]]:
    (port,) = free_ports(1)
    nodes = [
        start(node, count, port, bucket, faulty.endpoint, tmp_path / f"node-{node}", *words) for node in range(count)
    ]
    try:
        yield nodes
    finally:
        for node in nodes:
            end(node)


def asked(faulty: FaultyProxy) -> int:
    """Bytes that the nodes have asked the store for."""
    ranges = [one.headers["Range"].removeprefix("bytes=").split("-") for one in faulty.seen if "Range" in one.headers]
    return sum(int(last) - int(first) + 1 for first, last in ranges)


def test_the_store_is_asked_once(bucket: Bucket, digest: str, faulty: FaultyProxy, tmp_path: Path) -> None:
    with started(3, bucket, faulty, tmp_path, "--share-fetch", "yes") as nodes:
        codes = [node.wait(120) for node in nodes]
    for number, code in enumerate(codes):
        said = (tmp_path / f"node-{number}/said").read_text()
        assert code == 0, said
        assert digest in said
        assert "of it came from the other nodes" in said
    assert asked(faulty) == SIZE
    records = [json.loads((tmp_path / f"node-{number}/job.run/run.json").read_text()) for number in range(3)]
    assert sum(record["shared"]["from_nodes"] for record in records) == 2 * SIZE


def test_no_is_no(bucket: Bucket, digest: str, faulty: FaultyProxy, tmp_path: Path) -> None:
    with started(2, bucket, faulty, tmp_path, "--barrier", "--share-fetch", "no") as nodes:
        assert [node.wait(120) for node in nodes] == [0, 0]
    assert asked(faulty) == 2 * SIZE


def test_little_is_not_shared_unasked(bucket: Bucket, digest: str, faulty: FaultyProxy, tmp_path: Path) -> None:
    with started(2, bucket, faulty, tmp_path, "--barrier") as nodes:
        assert [node.wait(120) for node in nodes] == [0, 0]
    assert asked(faulty) == 2 * SIZE


def test_a_node_that_is_killed_in_its_fetch_takes_nobody_with_it(
    bucket: Bucket, digest: str, faulty: FaultyProxy, tmp_path: Path
) -> None:
    faulty.inject(slow(4 << 20), key="*model.bin", times=None)
    words = ("--share-fetch", "yes", "--on-peer-failure", "ignore")
    with started(3, bucket, faulty, tmp_path, *words) as nodes:
        until(lambda: asked(faulty) > 0, limit=90)
        nodes[2].send_signal(signal.SIGKILL)
        faulty.clear()
        codes = [node.wait(120) for node in nodes[:2]]
    for number, code in enumerate(codes):
        said = (tmp_path / f"node-{number}/said").read_text()
        assert code == 0, said
        assert digest in said
