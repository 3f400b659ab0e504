"""Outputs that a platform declares are kept, published and resumed as those of ``--output`` are."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.job import Container
from tests.lab.stores import Bucket, Store
from tests.lab.waiting import until
from tests.outputs.harness import kill_all

TRAIN = """\
import os, time
out, resume = os.environ["BOOTSTRAP_OUTPUT_DIR"], os.environ.get("BOOTSTRAP_RESUME_FROM", "")
print("from", open(resume).read() if resume else 0, sorted(os.listdir(out)), flush=True)
if not resume:
    open(f"{out}/step-1.pt", "w").write("1")
    open(f"{out}/metrics.csv", "w").write("1,2")
    time.sleep(600)
open(f"{out}/step-2.pt", "w").write("2")
"""


def v1(container: Container, bucket: Bucket) -> dict[str, Any]:
    names = {"DLS_TASK_INDEX": "0", "DLS_TASK_NUMBER": "1", "DLS_JOB_ID": "job-7", "DLS_TRAIN_URL": bucket.url("m/")}
    return {**names, "BATCH_CUSTOM0_HOSTS": "localhost:6000", "BOOTSTRAP_JOB_DIR": str(container.work)}


def v2(container: Container, bucket: Bucket) -> dict[str, Any]:
    directory = container.home / "outputs/train_url_0"
    directory.mkdir(parents=True)
    remote = {"obs": {"obs_url": f"/{bucket.name}/m/"}}
    outputs = {"outputs": [{"name": "train_url", "local_dir": str(directory), "remote": remote}]}
    names = {"MA_JOB_DIR": str(container.work), "MA_NUM_HOSTS": "1", "VC_TASK_INDEX": "0", "MA_VJ_NAME": "job-7"}
    return {**names, "MA_OUTPUTS": json.dumps(outputs), "BOOTSTRAP_PLATFORM_OUTPUTS": "1"}


def listed(bucket: Bucket) -> str:
    """What the first attempt has written down of files that are no checkpoint."""
    return "".join(bucket.get(key).decode() for key in bucket.list("m/.bootstrap/runs/1/node-0.files/"))


@pytest.mark.parametrize("platform", [v1, v2])
def test_a_machine_that_dies_and_the_platforms_next_attempt(seaweedfs: Store, tmp_path: Path, platform: Any) -> None:
    bucket = seaweedfs.make_bucket()
    first = Container(tmp_path / "first")
    (first.work / "train.py").write_text(TRAIN)
    words = ("--output-interval", "1", "--", "python3", "train.py")
    with first.running(*words, environ={**platform(first, bucket), **seaweedfs.env()}) as process:
        until(lambda: len(bucket.list("m/.bootstrap/checkpoints/")) == 1)
        until(lambda: "metrics.csv" in listed(bucket), "what comes back is written down")
        kill_all(process.pid)
        assert process.wait() == -signal.SIGKILL
    second = Container(tmp_path / "second")
    (second.work / "train.py").write_text(TRAIN)
    result = second.run(*words, environ={**platform(second, bucket), **seaweedfs.env()})
    assert result.code == 0, result.stderr
    assert b"from 1 ['metrics.csv', 'step-1.pt']" in result.stdout
    assert bucket.get("m/step-2.pt") == b"2"
    assert json.loads(bucket.get("m/.bootstrap/runs/2/node-0.json"))["complete"] is True
