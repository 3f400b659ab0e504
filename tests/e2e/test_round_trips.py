"""How many answers of a store a job waits for, one behind the other: over a store that thinks, they are its time."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.lab.stores import Bucket, Store
from tests.lab.thinker import Asked, Thinker, one_behind_the_other

THINKS = 0.25  # seconds before the store begins to answer: much more than our own work between two requests
COMMAND = """
import pathlib, time
began = time.monotonic()
pathlib.Path("out").mkdir(exist_ok=True)
pathlib.Path("out/model.pt").write_text("weights")
print("trained")
pathlib.Path("../moments").write_text(f"{began} {time.monotonic()}")
"""


@pytest.fixture
def thinker(seaweedfs: Store) -> Iterator[Thinker]:
    with Thinker(seaweedfs.endpoint, THINKS) as proxy:
        yield proxy


class Seen(NamedTuple):
    """What was asked before the command began, and behind its end."""

    before: list[Asked]
    behind: list[Asked]


def run(thinker: Thinker, bucket: Bucket, tmp_path: Path, *options: str) -> Seen:
    environ = {**os.environ, **bucket.store.env(), "S3_ENDPOINT": f"http://127.0.0.1:{thinker.port}"}
    places = ["--job-dir", str(tmp_path / "job"), "--log-file", str(tmp_path / "job.log")]
    done = subprocess.run(
        [sys.executable, "-m", "bootstrap", "run", *places, *options, "--", sys.executable, "-c", COMMAND],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    began, ended = map(float, (tmp_path / "moments").read_text().split())
    return Seen(
        [one for one in thinker.asked if one.began < began],
        [one for one in thinker.asked if one.began > ended],
    )


def told(asked: Sequence[Asked]) -> str:
    return "\n".join(f"{one.began:.2f} to {one.ended:.2f}  {one.what}" for one in asked)


@pytest.mark.parametrize("outputs", [1, 3])
def test_answers_that_a_job_waits_for_one_behind_the_other(
    thinker: Thinker, seaweedfs: Store, tmp_path: Path, outputs: int
) -> None:
    """Before: a look at all targets, at the log's place and at the code, the claims, the code's files. Behind: a look
    and the log, beside the outputs, a look whether a newer attempt has come, their manifests; the last lines; the
    record, when all else has been answered.
    """
    bucket = seaweedfs.make_bucket()
    bucket.put("code/train.py", "print(1)\n")
    options = ["--code", bucket.url("code/", "obs"), "--log", bucket.url("logs/", "obs")]
    for number in range(outputs):
        directory = "out" if number == 0 else f"out-{number}"
        options += ["--output", f"{directory}={bucket.url(f'models-{number}/', 'obs')}"]
    seen = run(thinker, bucket, tmp_path, *options)
    before, behind = one_behind_the_other(seen.before), one_behind_the_other(seen.behind)
    assert len(before) <= 3, told(before)
    if outputs == 1:
        assert len(behind) <= 7, told(behind)
    last = max(seen.behind, key=lambda one: one.began)
    assert last.what.startswith("PUT") and last.what.endswith("/logs/job.run.json")
    assert all(one.ended <= last.began for one in seen.behind if one is not last), told(seen.behind)
    assert bucket.get("models-0/model.pt") == b"weights"
