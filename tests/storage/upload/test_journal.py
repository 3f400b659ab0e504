"""Uploads in parts whose process was killed: the next one of the same source to the same target ends them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from bootstrap.errors import StoreUnavailable
from bootstrap.storage.upload.journal import Begun, UploadJournal
from bootstrap.storage.upload.multipart import LARGE
from tests.lab import faulty_proxy
from tests.lab.faulty_proxy import FaultyProxy
from tests.lab.stores import Bucket, Store
from tests.lab.waiting import until
from tests.storage.conftest import MemoryLog, Mover, SmallDisk, stores_of

ROOT = Path(__file__).parents[3]
MIB = 1 << 20
SIZE = LARGE + 5 * MIB + 123
PARTS = 9


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "source/big"
    path.parent.mkdir()
    path.write_bytes(b"".join(bytes([number]) * MIB for number in range(SIZE // MIB)) + b"x" * (SIZE % MIB))
    return path


def uploads_left(bucket: Bucket) -> list[str]:
    answer = bucket.client.list_multipart_uploads(Bucket=bucket.name)
    return [upload["UploadId"] for upload in answer.get("Uploads", [])]


def parts_of(bucket: Bucket, upload: str) -> list[int]:
    answer = bucket.client.list_parts(Bucket=bucket.name, Key="o/big", UploadId=upload)
    return [part["PartNumber"] for part in answer.get("Parts", [])]


def start_copy(source: Path | str, bucket: Bucket, faulty: FaultyProxy, **more: str) -> subprocess.Popen[bytes]:
    environ = {**os.environ, **bucket.store.env(), "S3_ENDPOINT": faulty.endpoint, **more}
    words = [sys.executable, "-m", "bootstrap", "copy", "-q", "-r", str(source), bucket.url("o/")]
    return subprocess.Popen(words, env=environ)


@pytest.fixture
def killed(big: Path, seaweedfs: Store, faulty: FaultyProxy) -> Bucket:
    """A bucket with what a copy left that was killed when all parts but one had arrived."""
    bucket = seaweedfs.make_bucket()
    release = threading.Event()
    stuck = faulty.inject(faulty_proxy.unanswered(release), method="PUT", query="*partNumber=4*", times=None)
    process = start_copy(big.parent, bucket, faulty)
    try:
        assert stuck.fired.wait(60)
        (upload,) = uploads_left(bucket)
        until(lambda: len(parts_of(bucket, upload)) == PARTS - 1)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        faulty.clear()
        release.set()
    assert uploads_left(bucket) == [upload]
    faulty.seen.clear()
    return bucket


def test_the_next_copy_goes_on_where_the_killed_one_was(big: Path, killed: Bucket, faulty: FaultyProxy) -> None:
    assert start_copy(big.parent, killed, faulty).wait(60) == 0
    assert killed.get("o/big") == big.read_bytes()
    assert uploads_left(killed) == []
    assert [request.query.partition("&")[0] for request in faulty.seen if request.method == "PUT"] == ["partNumber=4"]
    assert os.listdir(big.parent.parent) == ["source"]
    assert os.listdir(big.parent) == ["big"]


def test_parts_that_are_not_what_the_file_holds_by_now_are_sent_again(
    big: Path, killed: Bucket, faulty: FaultyProxy
) -> None:
    with big.open("rb+") as file:
        file.seek(17 * MIB)
        file.write(b"other")
    mover = Mover(stores_of(killed.store, url=faulty.endpoint), log := MemoryLog())
    report = mover.deliver(big.parent, killed.url("o/"))
    assert (report.failed, report.bytes) == ((), 16 * MIB)  # of what moved
    assert [facts for _, event, facts in log.lines if event == "an earlier upload goes on"] == [
        {"parts": PARTS, "missing": 2}
    ]
    assert killed.get("o/big") == big.read_bytes()
    assert uploads_left(killed) == []
    sent = sorted(request.query.partition("&")[0] for request in faulty.seen if request.method == "PUT")
    assert sent == ["partNumber=3", "partNumber=4"]


@pytest.mark.parametrize("now", ["gone", "smaller"])
def test_what_cannot_be_gone_on_with_is_given_up(now: str, big: Path, killed: Bucket) -> None:
    big.unlink()
    if now == "smaller":
        big.write_bytes(b"small")
    (big.parent / "other").write_bytes(b"o")
    mover = Mover(stores_of(killed.store))
    assert mover.deliver(big.parent, killed.url("o/")).complete
    assert uploads_left(killed) == []
    assert killed.tree("o/") == {"other": b"o", **({"big": b"small"} if now == "smaller" else {})}


@pytest.mark.parametrize(("status", "code"), [(404, "NoSuchUpload"), (403, "AccessDenied")])
def test_an_upload_that_cannot_be_looked_at_begins_anew(
    status: int, code: str, big: Path, killed: Bucket, faulty: FaultyProxy
) -> None:
    faulty.inject(faulty_proxy.refused(status, code), method="GET", query="*uploadId=*", times=None)
    mover = Mover(stores_of(killed.store, url=faulty.endpoint))
    assert mover.deliver(big.parent, killed.url("o/")).complete
    assert killed.get("o/big") == big.read_bytes()
    assert uploads_left(killed) == []


def test_an_outage_longer_than_the_retry_window_leaves_what_the_next_one_goes_on_with(
    big: Path, seaweedfs: Store, faulty: FaultyProxy
) -> None:
    bucket = seaweedfs.make_bucket()
    for method, query in (("PUT", "*partNumber=4*"), ("DELETE", "*")):
        faulty.inject(faulty_proxy.refused(503, "SlowDown"), method=method, query=query, times=None)
    mover = Mover(stores_of(seaweedfs, url=faulty.endpoint, retry_window=1))
    with pytest.raises(StoreUnavailable, match="SlowDown"):
        mover.deliver(big.parent, bucket.url("o/"))
    (left,) = uploads_left(bucket)
    faulty.clear()
    faulty.seen.clear()
    assert mover.deliver(big.parent, bucket.url("o/")).complete
    assert uploads_left(bucket) == []
    assert bucket.get("o/big") == big.read_bytes()
    assert {request.query.partition("uploadId=")[2] for request in faulty.seen if request.method == "PUT"} == {left}


def test_nobody_touches_an_upload_of_the_same_file_by_a_process_that_lives(
    big: Path, seaweedfs: Store, faulty: FaultyProxy
) -> None:
    bucket = seaweedfs.make_bucket()
    release = threading.Event()
    stuck = faulty.inject(faulty_proxy.unanswered(release), method="PUT", query="*partNumber=4*", times=None)
    process = start_copy(big.parent, bucket, faulty)
    try:
        assert stuck.fired.wait(60)
        before = uploads_left(bucket)
        assert Mover(stores_of(seaweedfs)).deliver(big.parent, bucket.url("o/")).complete
        assert uploads_left(bucket) == before
        faulty.clear()
        release.set()
        assert process.wait(60) == 0
    finally:
        release.set()
        process.kill()
        process.wait()
    assert bucket.get("o/big") == big.read_bytes()
    assert uploads_left(bucket) == []
    assert os.listdir(big.parent.parent) == ["source"]


def test_a_killed_copy_from_store_to_store_leaves_neither_parts_nor_files(
    big: Path, seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.client.upload_file(str(big), bucket.name, "from/big")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    release = threading.Event()
    stuck = faulty.inject(faulty_proxy.unanswered(release), method="PUT", query="*partNumber=4*", times=None)
    process = start_copy(bucket.url("from/"), bucket, faulty, TMPDIR=str(temporary))
    try:
        assert stuck.fired.wait(60)
        (upload,) = uploads_left(bucket)
        until(lambda: len(parts_of(bucket, upload)) == PARTS - 1)
    finally:
        process.kill()
        process.wait()
        faulty.clear()
        release.set()
    assert os.listdir(temporary) != []
    faulty.seen.clear()
    assert start_copy(bucket.url("from/"), bucket, faulty, TMPDIR=str(temporary)).wait(60) == 0
    assert bucket.get("o/big") == big.read_bytes()
    assert uploads_left(bucket) == []
    (sent,) = [request.query for request in faulty.seen if request.method == "PUT"]
    assert "partNumber=4" in sent
    assert os.listdir(temporary) == []


def test_uploads_that_are_not_ours_are_left_alone(big: Path, seaweedfs: Store) -> None:
    bucket = seaweedfs.make_bucket()
    theirs = bucket.client.create_multipart_upload(Bucket=bucket.name, Key="o/big")["UploadId"]
    Mover(stores_of(seaweedfs)).deliver(big.parent, bucket.url("o/"))
    assert uploads_left(bucket) == [theirs]


def test_small_files_leave_no_note_anywhere(tmp_path: Path, seaweedfs: Store) -> None:
    bucket = seaweedfs.make_bucket()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/small").write_bytes(b"s")
    Mover(stores_of(seaweedfs)).deliver(tmp_path / "out", bucket.url("o/"))
    assert os.listdir(tmp_path) == ["out"]


def test_a_note_cut_short_by_a_kill_costs_that_line_alone(tmp_path: Path) -> None:
    one, two, three = (Begun(f"id{number}", f"key{number}", number, 16) for number in range(3))
    notes = UploadJournal(tmp_path, "obs://b/o/")
    notes.begun(one)
    notes.close()
    (file,) = tmp_path.parent.glob(f".bootstrap-{tmp_path.name}-*.uploads")
    with file.open("ab") as cut:
        cut.write(b'["id9", "ke')
    notes = UploadJournal(tmp_path, "obs://b/o/")
    notes.begun(two)
    notes.begun(three)
    notes.ended(three.upload)
    assert notes.take(one.key, one.size, one.part) == one.upload
    assert notes.take(one.key, one.size, one.part) == ""
    notes.close()
    notes = UploadJournal(tmp_path, "obs://b/o/")
    assert notes.leftovers() == [one, two]
    for begun in notes.leftovers():
        notes.ended(begun.upload)
    notes.close()
    assert not file.exists()


# --- where the file is -----------------------------------------------------------------------------------------------

BEGIN = """
import sys
from pathlib import Path
from bootstrap.storage.upload.journal import Begun, UploadJournal
UploadJournal(Path(sys.argv[1]), sys.argv[2]).begun(Begun("id", "key", 1, 16))
"""


def note_of(source: Path, temporary: Path, front: Sequence[str] = (), target: str = "obs://b/o/") -> Path:
    """The file in which a process puts down its uploads of ``source``."""
    temporary.mkdir(exist_ok=True)
    places = (source.parent, source, temporary)
    before = {path for place in places for path in place.glob(".bootstrap-*.uploads")}
    argv = [*front, sys.executable, "-c", BEGIN, str(source), target]
    subprocess.run(argv, env={**os.environ, "TMPDIR": str(temporary)}, cwd=ROOT, check=True)
    (found,) = {path for place in places for path in place.glob(".bootstrap-*.uploads")} - before
    return found


def test_a_note_is_beside_its_source_and_one_source_has_one_for_each_target(tmp_path: Path) -> None:
    (source := tmp_path / ("out" * 30)).mkdir()
    first = note_of(source, tmp_path / "tmp")
    assert first.parent == tmp_path and len(first.name) < 100
    assert note_of(source, tmp_path / "tmp", target="obs://b/other/").parent == tmp_path


def test_a_note_is_in_a_source_that_is_mounted_unless_that_is_only_to_be_read(
    tmp_path: Path, small_disk: SmallDisk
) -> None:
    source = small_disk(size=1 << 20)
    assert note_of(source, tmp_path / "tmp").parent == source
    subprocess.run(["mount", "-o", "remount,ro", source], check=True)
    assert note_of(source, tmp_path / "tmp").parent == source.parent


def test_a_note_of_who_may_not_write_beside_the_source_is_in_it_or_else_in_tmp(
    tmp_path: Path, user: list[str], closed: Path
) -> None:
    closed.chmod(0o700)
    (source := closed / "out").mkdir()
    (file := closed / "one").write_bytes(b"1")
    closed.chmod(0o500)
    assert note_of(source, tmp_path / "tmp", user).parent == source
    assert note_of(file, tmp_path / "tmp", user).parent == tmp_path / "tmp"
    source.chmod(0o500)
    assert note_of(source, tmp_path / "tmp", user, "obs://b/other/").parent == tmp_path / "tmp"
    source.chmod(0o700)
