"""Nodes that cannot have ports of each other's exchange their addresses through the bucket that takes their logs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cluster.nodes import BOOTSTRAP
from tests.cluster.platforms import modelarts
from tests.lab import faulty_proxy
from tests.lab.faulty_proxy import FaultyProxy
from tests.lab.stores import Bucket, Store
from tests.lab.waiting import until

pytestmark = pytest.mark.timeout(240)

SECRET = "swordfish-for-this-job"
# Both wait for each other at the end: a node that ends at once would hide notes that nobody takes away.
SHOW = """
import os, pathlib, sys, time
print("told:", os.environ["BOOTSTRAP_ADDRESSES"], os.environ["MASTER_ADDR"], flush=True)
there = pathlib.Path(sys.argv[1])
(there / os.environ["NODE_RANK"]).touch()
while len(list(there.iterdir())) < 2: time.sleep(0.02)
"""


def start(
    node: int, bucket: Bucket, tmp_path: Path, *words: str, timeout: str = "90", count: int = 2, **more: str
) -> subprocess.Popen[str]:
    home, there = tmp_path / f"node-{node}", tmp_path / "there"
    home.mkdir()
    there.mkdir(exist_ok=True)
    own = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "BOOTSTRAP_JOB_DIR": str(home),
        "BOOTSTRAP_LOG_FILE": str(home / "job.log"),
        "BOOTSTRAP_PEER_TIMEOUT": timeout,
        "BOOTSTRAP_PEER_SECRET": SECRET,
        **modelarts(node, count),
        **bucket.store.env(),
        **more,
    }
    argv = [BOOTSTRAP, "run", "--meet", "store", "--log", bucket.url("logs/"), "--interface", f"127.0.0.{node + 1}"]
    argv += [*words, "--", sys.executable, "-c", SHOW, str(there)]
    return subprocess.Popen(argv, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ends(running: Sequence[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    """Exit code and output of each."""
    said = [process.communicate(timeout=150)[0] for process in running]
    return [(process.returncode, text) for process, text in zip(running, said, strict=True)]


def notes(bucket: Bucket) -> list[str]:
    return [key for key in bucket.list("logs/") if ".meeting" in key]


def test_every_node_is_told_all_addresses_and_nothing_of_it_is_left(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("logs/.meeting-ma-job-7/table", b"half of the notes of an earlier start")
    for code, said in ends([start(node, bucket, tmp_path) for node in range(2)]):
        assert code == 0, said
        assert "told: 127.0.0.1,127.0.0.2 127.0.0.1\n" in said
    assert notes(bucket) == []
    assert (tmp_path / "node-1/.local_ib_ip").read_text() == "127.0.0.2"


def test_keys_that_may_not_delete_cost_the_notes_and_not_the_job(
    seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    injection = faulty.inject(faulty_proxy.refused(403, "AccessDenied"), method="DELETE", times=None)
    nodes = [start(node, bucket, tmp_path, S3_ENDPOINT=faulty.endpoint) for node in range(2)]
    for code, said in ends(nodes):
        assert code == 0, said
        assert "told: 127.0.0.1,127.0.0.2" in said
    assert injection.hits >= 2
    assert notes(bucket)


def test_notes_of_somebody_without_the_secret_are_not_believed(seaweedfs: Store, tmp_path: Path) -> None:
    bucket = seaweedfs.make_bucket()
    nodes = [start(0, bucket, tmp_path, timeout="4"), start(1, bucket, tmp_path, "--peer-secret", "x", timeout="4")]
    (first, said_0), (second, said_1) = ends(nodes)
    assert (first, second) == (203, 203), said_0 + said_1
    assert "node 1 (ma-job-7-worker-1.ma-job-7)" in said_0
    assert "node 0 (ma-job-7-worker-0.ma-job-7)" in said_1
    assert notes(bucket) == []


def test_a_node_that_never_comes_is_named_and_who_gives_up_takes_its_notes_away(
    seaweedfs: Store, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    nodes = [start(node, bucket, tmp_path, timeout="5", count=3) for node in range(2)]
    (first, said_0), (second, said_1) = ends(nodes)
    assert (first, second) == (203, 203), said_0 + said_1
    assert "(node 2 (ma-job-7-worker-2.ma-job-7))" in said_0
    assert "node 0's table: it waits for others itself" in said_1
    assert notes(bucket) == []


def test_notes_hold_no_secret(seaweedfs: Store, tmp_path: Path) -> None:
    bucket = seaweedfs.make_bucket()
    alone = start(0, bucket, tmp_path)
    until(lambda: notes(bucket), limit=90)
    assert notes(bucket) == ["logs/.meeting-ma-job-7/meeting"]
    assert SECRET.encode() not in bucket.get("logs/.meeting-ma-job-7/meeting")
    alone.terminate()
    assert ends([alone])[0][0] == 143
    assert notes(bucket) == []
