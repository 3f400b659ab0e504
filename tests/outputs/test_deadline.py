"""When there is little time: the newest that fits, whole, with its pointer; and what did not go is named."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import Remote
from tests.e2e.job import Container, send
from tests.lab.faulty_proxy import FaultyProxy, refused, slow_upload
from tests.lab.stores import Store

SAVE = """\
import os, pathlib, time
out = pathlib.Path(os.environ["BOOTSTRAP_OUTPUT_DIR"])
for n in range(1, 6):
    (out / f"model-{n}.pt").write_bytes(bytes([n]) * 4_000_000)
    os.utime(out / f"model-{n}.pt", (1_000_000 + n, 1_000_000 + n))
(out / "latest").write_text("model-5.pt")
(out / "metrics.json").write_text("{}")
open("saved", "w").close()
time.sleep(100)
"""


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path / "container")


@pytest.fixture
def remote(seaweedfs: Store, faulty: FaultyProxy) -> Remote:
    return Remote(seaweedfs.make_bucket(), {**seaweedfs.env(), "S3_ENDPOINT": faulty.endpoint})


def test_three_of_five_that_fit_are_the_newest_three_and_latest_names_the_newest(
    container: Container, remote: Remote, faulty: FaultyProxy
) -> None:
    (container.work / "save.py").write_text(SAVE)
    bucket = remote.bucket
    words = (
        "--output",
        f"out={bucket.url('m/')}",
        "--output-interval",
        "0",
        "--grace",
        "20",  # deliveries end after 17.5 s: three take 13.6, four 18.2
        "--",
        "python3",
        "save.py",
    )
    with container.running(*words, environ=remote.env) as process:
        container.wait_for(container.work / "saved")
        faulty.inject(slow_upload(880_000), method="PUT", times=None)
        send(process, signal.SIGTERM)
        result = container.finish(process)
    assert result.code == 128 + signal.SIGTERM
    complete = [key.split("/")[3] for key in bucket.list("m/.bootstrap/checkpoints/")]
    assert complete == ["model-3.pt", "model-4.pt", "model-5.pt"], result.stderr
    for n in (3, 4, 5):
        assert bucket.get(f"m/model-{n}.pt") == bytes([n]) * 4_000_000
    assert bucket.get("m/latest") == b"model-5.pt"
    assert bucket.get("m/metrics.json") == b"{}"
    (delivered,) = result.record["delivered"]
    assert {(one["path"], one["size"], one["cut"]) for one in delivered["undelivered"]} == {
        ("model-1.pt", 4_000_000, True),
        ("model-2.pt", 4_000_000, True),
    }
    assert "cut, still on disk" in result.stderr
    assert "model-1.pt: not finished by the deadline (4.0 MB)" in result.stderr


def test_what_failed_is_told_apart_from_what_was_cut(container: Container, remote: Remote, faulty: FaultyProxy) -> None:
    (container.work / "save.py").write_text(SAVE.replace("time.sleep(100)", ""))
    faulty.inject(refused(403, "AccessDenied"), method="PUT", key="*/model-2.pt", times=None)
    words = ("--output", f"out={remote.bucket.url('m/')}", "--output-interval", "0", "--", "python3", "save.py")
    result = container.run(*words, environ=remote.env)
    assert result.code == 206, result.stderr
    (delivered,) = result.record["delivered"]
    ((one,)) = delivered["undelivered"]
    assert (one["path"], one["cut"]) == ("model-2.pt", False) and "AccessDenied" in one["why"]
    assert "warning: not everything was delivered 6 files, 16.0 MB, 1 failed, to " in result.stderr
    assert " delivered 6 files" not in result.stderr.replace("everything was delivered", ""), "it is not complete"
    run = json.loads(remote.bucket.get("m/.bootstrap/runs/1/node-0.json"))
    assert run["complete"] is False
    assert [each["path"] for each in run["undelivered"]] == ["model-2.pt"]
    assert remote.bucket.get("m/latest") == b"model-5.pt"
