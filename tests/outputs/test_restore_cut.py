"""A restore that is stopped at any moment: nothing half restored is taken for whole, whatever comes next."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.job import BOOTSTRAP, Container, Result
from tests.lab.faulty_proxy import FaultyProxy, slow
from tests.lab.stores import Bucket, Store
from tests.lab.waiting import until

COUNT = {"fetch": 8, "move": 200}
SIZE = {"fetch": 1 << 20, "move": 10}
TRAIN = """\
import os, sys
out, resume = os.environ["BOOTSTRAP_OUTPUT_DIR"], os.environ.get("BOOTSTRAP_RESUME_FROM", "")
print("start", os.path.basename(resume), len(os.listdir(resume)) if resume else 0, flush=True)
if not resume:
    os.makedirs(f"{out}/step-9", exist_ok=True)
    for n in range(int(sys.argv[1])):
        open(f"{out}/step-9/part-{n:04d}.bin", "wb").write(b"9" * int(sys.argv[2]))
"""


def words(bucket: Bucket, moment: str) -> list[str]:
    job = ["--", "python3", "train.py", str(COUNT[moment]), str(SIZE[moment])]
    return ["--output", f"out={bucket.url('models/')}", *job]


def container(root: Path) -> Container:
    one = Container(root)
    (one.work / "train.py").write_text(TRAIN)
    return one


def stopped(one: Container, argv: list[str], environ: dict[str, str], how: int, when: Callable[[], bool]) -> Result:
    with one.running(*argv, environ=environ) as process:
        until(lambda: when() or process.poll() is not None, "the restore never came so far", pause=0.001)
        process.send_signal(how)
        return one.finish(process)


@pytest.mark.parametrize("told", ["auto", "never"])
@pytest.mark.parametrize(
    ("moment", "how"), [("fetch", signal.SIGKILL), ("fetch", signal.SIGTERM), ("move", signal.SIGKILL)]
)
def test_nothing_half_restored_is_taken_for_whole(
    seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path, moment: str, how: int, told: str
) -> None:
    bucket, argv, first = seaweedfs.make_bucket(), None, container(tmp_path / "first")
    argv = words(bucket, moment)
    assert first.run(*argv, environ=seaweedfs.env()).code == 0
    second = container(tmp_path / "second")
    out = second.work / "out"
    if moment == "fetch":
        faulty.inject(slow(1 << 20), method="GET", key="*part-*", times=None)
    place = out / ".bootstrap/resume" if moment == "fetch" else out / "step-9"
    cut = stopped(
        second, argv, {**seaweedfs.env(), "S3_ENDPOINT": faulty.endpoint}, how, lambda: any(place.rglob("*part-*"))
    )
    assert b"start" not in cut.stdout, cut.stderr
    faulty.clear()
    again = second.run("--resume", told, *argv, environ=seaweedfs.env())
    begun = b"start  0\n"
    assert again.stdout == (b"start step-9 %d\n" % COUNT[moment] if told == "auto" else begun), again.stderr
    done = subprocess.run(
        [BOOTSTRAP, "outputs", "--verify", "--format", "json", bucket.url("models/")],
        env={"PATH": "/usr/bin:/bin", **seaweedfs.env()},
        capture_output=True,
        check=False,
    )
    found = json.loads(done.stdout)["checkpoints"]
    assert {(one["complete"], one["damaged"]) for one in found} == {(True, None)}
    assert {len(one["files"]) for one in found} == {COUNT[moment]}, found
    assert not (out / ".bootstrap").exists(), "what was only half there takes no room"
