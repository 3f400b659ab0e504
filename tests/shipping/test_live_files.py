"""The run record and the samples of a job that is killed: as they were a little earlier, in the store."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bootstrap.shipping import live_files
from bootstrap.shipping.live_files import LiveFiles
from bootstrap.storage.model.light_writer import Inline
from tests.e2e.conftest import Remote
from tests.e2e.job import LIMIT, Container
from tests.lab.waiting import until
from tests.report.conftest import Page
from tests.report.test_command import report
from tests.shipping.conftest import enough, live_size

SECRET = "hunter2-hunter2-hunter2"


def live(names: list[str]) -> dict[str, str]:
    """The keys of an attempt's directory that are no parts of its log, by name."""
    return {key.rpartition("/")[2]: key for key in names if ".parts/" in key and not key[-1].isdigit()}


@pytest.mark.parametrize("where", ["bucket", "directory"])
def test_a_killed_job_leaves_its_record_and_its_samples(
    talker: Container, plain_remote: Remote, tmp_path: Path, where: str
) -> None:
    bucket, nas = plain_remote.bucket, tmp_path / "nas"
    target = bucket.url("logs/") if where == "bucket" else f"{nas}/"

    def names() -> list[str]:
        return bucket.list("logs/") if where == "bucket" else [str(path) for path in nas.rglob("*") if path.is_file()]

    def read(key: str) -> bytes:
        return bucket.get(key) if where == "bucket" else Path(key).read_bytes()

    environ = {**talker.environ, **plain_remote.env, "DB_PASSWORD": SECRET}
    words = ("--log", target, "--sample-interval", "0.2", "--", "python3", "-u", "talk.py", "0.01", "50")
    with talker.running(*words, "--password", SECRET, environ=environ) as process:
        until(lambda: {"run.json", "samples.jsonl"} <= set(live(names())), "they did not come")
        until(lambda: json.loads(read(live(names())["run.json"]))["phase"] == "launch", "the record is not sent again")
        until(lambda: read(live(names())["samples.jsonl"]).count(b"\n") > 5, "the samples are not sent again")
        process.kill()
        process.wait(LIMIT)
    enough(talker)
    left = live(names())
    assert SECRET.encode() not in b"".join(map(read, left.values()))
    assert b"***" in read(left["run.json"])
    page = Page(report(talker, target, **environ)[0])
    assert "python3 -u talk.py" in page.text, "the record tells what ran"
    assert len(page.of("figure")) >= 4, "its samples"


def test_a_job_that_ends_leaves_them_where_they_belong_only(talker: Container, plain_remote: Remote) -> None:
    bucket = plain_remote.bucket
    words = ("--log", bucket.url("logs/"), "--sample-interval", "0.2", "--", "python3", "-u", "talk.py", "0.01", "9")
    with talker.running(*words, environ=plain_remote.env) as process:
        until(lambda: {"run.json", "samples.jsonl"} <= set(live(bucket.list())), "they did not come")
        assert live_size(bucket)
        enough(talker)
        result = talker.finish(process)
    assert result.code == 0, result.stderr
    assert bucket.list() == [
        "logs/job.evidence/samples.jsonl",
        "logs/job.jsonl",
        "logs/job.log",
        "logs/job.run.json",
    ]


# --- what is sent when -----------------------------------------------------------------------------------------------


class Store:
    def __init__(self) -> None:
        self.came: list[tuple[str, bytes]] = []

    def put(self, name: str, content: Inline) -> None:
        self.came.append((name, content.data))


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    def set_clock(seconds: float) -> None:
        monkeypatch.setattr(live_files.time, "monotonic", lambda: 1000.0 + seconds)

    set_clock(0)
    return set_clock


def test_what_has_not_changed_or_has_just_been_sent_does_not_go(tmp_path: Path, at: Callable[[float], None]) -> None:
    path, store = tmp_path / "samples.jsonl", Store()
    files = LiveFiles({"samples.jsonl": path}, since=0.0, interval=10.0, mask=str)
    files.send(store.put)
    assert store.came == files.sent == [], "it is not there yet"
    path.write_bytes(b"one\n")
    files.send(store.put)
    at(3600)
    files.send(store.put)
    assert store.came == [("samples.jsonl", b"one\n")]
    path.write_bytes(b"one\ntwo\n")
    files.send(store.put)
    at(3629)
    path.write_bytes(b"one\ntwo\nthree\n")
    files.send(store.put)
    assert len(store.came) == 2, "three intervals lie between two"
    files.send(store.put, last=True)
    assert store.came[2:] == [("samples.jsonl", b"one\ntwo\nthree\n")]


def test_a_large_file_goes_more_seldom(tmp_path: Path, at: Callable[[float], None]) -> None:
    path, store = tmp_path / "samples.jsonl", Store()
    files = LiveFiles({"samples.jsonl": path}, since=0.0, interval=10.0, mask=str)
    for seconds, sent in ((0, 1), (200, 1), (257, 2)):
        at(seconds)
        path.write_bytes(b"." * (1 << 20) + b"." * seconds)
        files.send(store.put)
        assert len(store.came) == sent, "1 MiB at 4 KiB a second"


def test_an_earlier_runs_file_and_one_that_is_no_file_stay_here(tmp_path: Path) -> None:
    earlier, link, store = tmp_path / "run.json", tmp_path / "samples.jsonl", Store()
    earlier.write_text("{}")
    os.utime(earlier, (1e9, 1e9))
    (tmp_path / "secret").write_text("of somebody else")
    link.symlink_to(tmp_path / "secret")
    LiveFiles({one.name: one for one in (earlier, link)}, since=1e9 + 10, interval=1.0, mask=str).send(store.put)
    assert store.came == []
