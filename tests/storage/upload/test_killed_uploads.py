"""Uploads killed at random moments: whole objects or none, and the next upload ends with the exact tree."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bootstrap.storage.upload.multipart import LARGE
from tests.lab import faulty_proxy
from tests.lab.faulty_proxy import FaultyProxy
from tests.lab.stores import Store
from tests.storage.conftest import make_tree


@pytest.mark.parametrize("seed", range(2))
def test_uploads_killed_again_and_again_end_with_the_exact_tree(
    seed: int, seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    dice = random.Random(seed)
    files = {f"d{number % 3}/{number}": dice.randbytes(dice.randrange(20_000)) for number in range(40)}
    files["large"] = dice.randbytes(1 << 20) * (LARGE >> 20) + b"end"
    source = make_tree(tmp_path / "source", files)
    bucket = seaweedfs.make_bucket()
    environ = {**os.environ, **seaweedfs.env(), "S3_ENDPOINT": faulty.endpoint}
    words = [sys.executable, "-m", "bootstrap", "copy", "-q", "-r", str(source), bucket.url("o/")]
    for _ in range(3):
        left = dice.randrange(1, 44)
        moment = threading.Event()
        lock = threading.Lock()

        def count(_handler: object, moment: threading.Event = moment, lock: threading.Lock = lock) -> None:
            nonlocal left
            with lock:
                left -= 1
                if left <= 0:
                    moment.set()

        faulty.inject(faulty_proxy.Fault("count", first=count), method="P*", times=None)
        process = subprocess.Popen(words, env=environ)
        while not moment.wait(0.02) and process.poll() is None:
            pass
        process.kill()
        process.wait()
        faulty.clear()
        there = bucket.tree("o/")
        assert there == {name: files[name] for name in there}  # whole, each of them
    assert subprocess.run(words, env=environ, timeout=60).returncode == 0
    assert bucket.tree("o/") == files
    for upload in bucket.client.list_multipart_uploads(Bucket=bucket.name).get("Uploads", []):
        # Killed between the store's answer and the note of it: nobody knows of it, and it holds nothing.
        found = bucket.client.list_parts(Bucket=bucket.name, Key="o/large", UploadId=upload["UploadId"])
        assert "Parts" not in found
    assert os.listdir(tmp_path) == ["source"]
