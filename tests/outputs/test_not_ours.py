"""What we may not read or write: told with its name, before the command where that can be."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from bootstrap.ground.machine import standstill
from tests.e2e.job import BOOTSTRAP, Container
from tests.lab.faulty_proxy import FaultyProxy, refused, slow_upload
from tests.lab.stores import Store
from tests.lab.waiting import until

SAVE = """
cd out && mkdir -p checkpoint-4 checkpoint-5/rng closed
for file in checkpoint-4/model.bin checkpoint-4/trainer_state.json checkpoint-5/model.bin \\
    checkpoint-5/trainer_state.json checkpoint-5/rng/state.bin closed/inside good.pt secret.txt; do echo x > $file; done
echo checkpoint-5 > latest
chmod 0 checkpoint-5/rng closed secret.txt
"""


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path / "container")


def complete(url: str, environ: dict[str, str]) -> list[str]:
    done = subprocess.run(
        [BOOTSTRAP, "outputs", "--format", "json", url], env=environ, capture_output=True, check=False
    )
    return [one["path"] for one in json.loads(done.stdout)["checkpoints"] if one["complete"]]


@pytest.mark.parametrize("ends", ["", "; sleep 8"], ids=["at the end", "while it runs"])
def test_directories_and_files_that_may_not_be_read(
    container: Container, tmp_path: Path, ends: str, user: list[str]
) -> None:
    container.front = user
    url = f"{tmp_path}/nas/"
    words = ("--output", f"out={url}", "--output-interval", "1", "--", "sh", "-c", SAVE.strip() + ends)
    result = container.run(*words)
    for path in ("checkpoint-5/rng", "closed", "secret.txt"):
        (container.work / "out" / path).chmod(0o700)
    assert result.code == 206, result.stderr
    assert sorted(complete(url, container.environ)) == ["checkpoint-4", "good.pt"]
    (delivered,) = result.record["delivered"]
    found = {one["path"]: one["why"] for one in delivered["undelivered"]}
    assert set(found) == {"checkpoint-5/rng", "closed", "secret.txt", "latest"}
    assert "Permission denied" in found["closed"] and "d---------" in found["closed"]
    assert "checkpoint-5 is no complete checkpoint: checkpoint-5/rng: " in result.stderr


def test_a_bucket_that_takes_nothing_ends_the_job_before_its_command_and_leaves_nothing_anywhere(
    container: Container, seaweedfs: Store, faulty: FaultyProxy
) -> None:
    first, second = seaweedfs.make_bucket(), seaweedfs.make_bucket()
    faulty.inject(refused(403, "AccessDenied"), method="PUT", key=f"{second.name}/*", times=None)
    words = ("--output", f"a={first.url('m/')}", "--output", f"b={second.url('m/')}", "--", "echo", "trained")
    result = container.run(*words, environ={**seaweedfs.env(), "S3_ENDPOINT": faulty.endpoint})
    assert result.failure == (109, "permission-denied"), result.stderr
    assert b"trained" not in result.stdout and second.url("m/") in result.stderr
    assert first.list("") == [] and second.list("") == []


def test_a_job_whose_command_never_ran_leaves_no_attempt(container: Container, seaweedfs: Store) -> None:
    bucket = seaweedfs.make_bucket()
    words = ("--output", f"out={bucket.url('m/')}", "--", "no-such-program-anywhere")
    assert container.run(*words, environ=seaweedfs.env()).code == 127
    assert bucket.list("") == []


def test_a_directory_that_becomes_a_file_and_a_file_that_becomes_one(container: Container, tmp_path: Path) -> None:
    url = f"{tmp_path}/nas/"
    script = """
cd out; echo 1 > last.ckpt; mkdir step-1; echo 1 > step-1/a.bin; sleep 6
rm -r last.ckpt step-1; mkdir last.ckpt; echo 2 > last.ckpt/weights.bin; echo 2 > step-1; sleep 6
"""
    result = container.run("--output", f"out={url}", "--output-interval", "1", "--", "sh", "-c", script)
    assert result.code == 0, result.stderr
    assert "step-1 has the name of a checkpoint that is there" in result.stderr
    assert complete(url, container.environ) == ["last.ckpt", "step-1"]
    assert Path(url, "step-1/a.bin").read_text() == "1\n", "what was complete is not destroyed"
    second = Container(tmp_path / "second")
    again = second.run("--output", f"out={url}", "--", "sh", "-c", "cat $BOOTSTRAP_RESUME_FROM/weights.bin")
    assert again.stdout.splitlines()[-1:] == [b"2"], again.stderr


def test_an_attempt_that_was_frozen_in_the_middle_of_a_file_leaves_the_newer_ones_alone(
    container: Container, seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    url = bucket.url("m/")
    slow = faulty.inject(slow_upload(100_000), method="PUT", key="*/step-1.pt", times=None)
    script = "head -c 3000000 /dev/zero > out/step-1.pt; while [ ! -e end ]; do sleep 0.2; done"
    words = ("--output", f"out={url}", "--output-interval", "1", "--", "sh", "-c")
    environ = {**seaweedfs.env(), "S3_ENDPOINT": faulty.endpoint}
    with container.running(*words, script, environ=environ) as frozen:
        until(slow.fired.is_set)
        time.sleep(1)
        frozen.send_signal(signal.SIGSTOP)
        newer = Container(tmp_path / "newer").run(*words, "echo new > out/step-1.pt; sleep 2", environ=seaweedfs.env())
        assert newer.code == 0, newer.stderr
        assert bucket.get("m/step-1.pt") == b"new\n"
        time.sleep(standstill.LONG + 1)
        faulty.clear()
        frozen.send_signal(signal.SIGCONT)
        until(lambda: any(key.endswith("/step-1.pt") and "attempt-1" in key for key in bucket.list("m/")))
        (container.work / "end").touch()
        result = container.finish(frozen)
    assert result.code == 0, result.stderr
    assert bucket.get("m/step-1.pt") == b"new\n"
    assert "a newer attempt has begun" in result.stderr
    (beside,) = [key for key in bucket.list("m/attempt-1") if key.endswith("/step-1.pt") and ".bootstrap" not in key]
    assert len(bucket.get(beside)) == 3_000_000
