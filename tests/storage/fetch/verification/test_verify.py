"""What is verified, by what, and what becomes of a bit that flips on its way: against a real store behind a network
that fails. SeaweedFS tells the sizes of parts and the checksums that came with an upload, as AWS does.
"""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from bootstrap.errors import StoreUnavailable
from bootstrap.ground.machine import cores
from bootstrap.job import Endpoint
from bootstrap.storage.fetch import large_file, one_stream, unpack
from bootstrap.storage.local import digests
from bootstrap.storage.model.store import Verify
from bootstrap.storage.open import Stores
from bootstrap.storage.relay import relay
from bootstrap.storage.schemes import parse
from tests.lab.faulty_proxy import FaultyProxy, corrupted, refused
from tests.lab.stores import Bucket, Store
from tests.storage.conftest import MemoryLog, Mover, credentials_of

MIB = 1 << 20
PART = 5 * MIB
CONTENT = os.urandom(10 * MIB + 7)


@pytest.fixture(autouse=True)
def small_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there are where jobs run, objects that are large from 4 MiB on, and few tries."""
    few(monkeypatch, count=8)
    for module in (digests, large_file):
        monkeypatch.setattr(module, "PIECE", 2 * MIB)
    monkeypatch.setattr(one_stream, "_LARGE", 4 * MIB)
    for tries in (one_stream, unpack):
        monkeypatch.setattr(tries, "_ATTEMPTS", 3)


def few(monkeypatch: pytest.MonkeyPatch, *, count: float) -> None:
    monkeypatch.setattr(cores, "usable", lambda: count)


@dataclass(frozen=True)
class Kind:
    """How an object was uploaded, and what the store tells of it."""

    name: str
    expected: str
    in_parts: bool = True
    crc: bool = False
    told: bool = True

    def put(self, bucket: Bucket, faulty: FaultyProxy, key: str, content: bytes) -> None:
        client, where = bucket.client, {"Bucket": bucket.name, "Key": key}
        if not self.in_parts:
            client.put_object(**where, Body=content)
            return
        more = {"ChecksumAlgorithm": "CRC32"} if self.crc else {}
        kind = {"ChecksumType": "FULL_OBJECT"} if self.crc else {}
        upload = client.create_multipart_upload(**where, **more, **kind)["UploadId"]
        parts = []
        for number, start in enumerate(range(0, len(content), PART), 1):
            body = content[start : start + PART]
            put = client.upload_part(**where, UploadId=upload, PartNumber=number, Body=body, **more)
            parts.append({"PartNumber": number, "ETag": put["ETag"]})
            if self.crc:
                parts[-1]["ChecksumCRC32"] = crc_of(body)
        whole = {"ChecksumCRC32": crc_of(content)} if self.crc else {}
        client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts}, **whole, **kind)
        if not self.told:
            faulty.inject(refused(501, "NotImplemented"), method="HEAD", query="*partNumber*", times=None)


def crc_of(content: bytes) -> str:
    return base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()


MD5 = Kind("an MD5", "md5", in_parts=False)
TOLD = Kind("parts of a size that is told", "md5 of parts")
GUESSED = Kind("parts of a size that is guessed", "md5 of parts", told=False)
CRC = Kind("a CRC-32 of the whole", "crc32", crc=True)


@pytest.fixture(params=[MD5, TOLD, GUESSED, CRC], ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
def bucket(seaweedfs: Store) -> Bucket:
    return seaweedfs.make_bucket()


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


def moving(bucket: Bucket, faulty: FaultyProxy, log: MemoryLog, verify: Verify = "auto") -> Mover:
    endpoint = Endpoint(faulty.endpoint, bucket.store.region, retry_window=20.0)
    return Mover(Stores(endpoint, lambda: credentials_of(bucket.store), log, verify=verify), log)


def test_it_is_verified_while_it_comes(
    kind: Kind, bucket: Bucket, faulty: FaultyProxy, log: MemoryLog, tmp_path: Path
) -> None:
    kind.put(bucket, faulty, "c/big", CONTENT)
    report = moving(bucket, faulty, log).fetch(bucket.url("c/"), tmp_path, direct=True)
    assert report.verified == {kind.expected: 1}
    assert (tmp_path / "big").read_bytes() == CONTENT


def test_a_bit_that_flipped_on_its_way_is_brought_again(
    kind: Kind, bucket: Bucket, faulty: FaultyProxy, log: MemoryLog, tmp_path: Path
) -> None:
    kind.put(bucket, faulty, "c/big", CONTENT)
    flip = faulty.inject(corrupted(1000), method="GET", key="*/c/big")
    report = moving(bucket, faulty, log).fetch(bucket.url("c/"), tmp_path, direct=True)
    assert flip.hits == 1
    if kind.told:
        assert report.verified == {kind.expected: 1}
        assert (tmp_path / "big").read_bytes() == CONTENT
    else:
        assert report.verified == {"size": 1}, "a guess that does not fit says nothing"


def test_bits_that_flip_each_time_fail_the_fetch(
    kind: Kind, bucket: Bucket, faulty: FaultyProxy, log: MemoryLog, tmp_path: Path
) -> None:
    kind.put(bucket, faulty, "c/big", CONTENT)
    faulty.inject(corrupted(1000), method="GET", key="*/c/big", times=None)
    mover = moving(bucket, faulty, log, "always")
    if kind.told:
        with pytest.raises(StoreUnavailable, match="not the object's") as caught:
            mover.fetch(bucket.url("c/"), tmp_path, direct=True)
        assert caught.value.code == 200
        assert not (tmp_path / "big").exists()
    else:
        assert mover.fetch(bucket.url("c/"), tmp_path, direct=True).verified == {"size": 1}
        assert "verified by their size only: the store tells no more that we can compute" in log.events("warning")


def heads(faulty: FaultyProxy) -> int:
    return sum(one.method == "HEAD" for one in faulty.seen)


@pytest.mark.parametrize(
    ("verify", "count", "expected"),
    [("auto", 8, "md5 of parts"), ("auto", 2, "size"), ("always", 2, "md5 of parts"), ("size", 8, "size")],
)
def test_on_few_cores_parts_are_verified_where_it_is_asked_for(
    verify: Verify,
    count: int,
    expected: str,
    bucket: Bucket,
    faulty: FaultyProxy,
    log: MemoryLog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few(monkeypatch, count=count)
    TOLD.put(bucket, faulty, "c/big", CONTENT)
    report = moving(bucket, faulty, log, verify).fetch(bucket.url("c/"), tmp_path, direct=True)
    assert report.verified == {expected: 1}
    assert bool(heads(faulty)) == (expected != "size"), "nothing is asked that nobody needs"


def test_by_size_alone_wrong_bytes_pass(bucket: Bucket, faulty: FaultyProxy, log: MemoryLog, tmp_path: Path) -> None:
    """What ``size`` means."""
    MD5.put(bucket, faulty, "c/big", CONTENT)
    MD5.put(bucket, faulty, "c/small", b"small")
    for key in ("big", "small"):
        faulty.inject(corrupted(0), method="GET", key=f"*/c/{key}", times=None)
    report = moving(bucket, faulty, log, "size").fetch(bucket.url("c/"), tmp_path, direct=True)
    assert report.verified == {"size": 2}
    assert (tmp_path / "small").read_bytes() == b"rmall"


def test_a_small_object_in_one_part_is_verified_without_a_question(
    bucket: Bucket, faulty: FaultyProxy, log: MemoryLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few(monkeypatch, count=2)
    TOLD.put(bucket, faulty, "c/small", b"small")
    TOLD.put(bucket, faulty, "c/stream", bytes(300_000))
    report = moving(bucket, faulty, log).fetch(bucket.url("c/"), tmp_path, direct=True)
    assert report.verified == {"md5 of parts": 2}
    assert not heads(faulty)


@pytest.mark.parametrize("flips", [0, 1, None])
@pytest.mark.parametrize("kind", [TOLD, CRC], indirect=True)
def test_an_archive_that_is_unpacked_as_it_comes(
    flips: int | None, kind: Kind, bucket: Bucket, faulty: FaultyProxy, log: MemoryLog, tmp_path: Path
) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        member = tarfile.TarInfo("big")
        member.size = len(CONTENT)
        tar.addfile(member, io.BytesIO(CONTENT))
    kind.put(bucket, faulty, "c.tar", made.getvalue())
    if flips != 0:
        faulty.inject(corrupted(100_000), method="GET", key="*/c.tar", times=flips)
    mover = moving(bucket, faulty, log)
    if flips is None:
        with pytest.raises(StoreUnavailable, match="other bytes"):
            mover.fetch(bucket.url("c.tar"), tmp_path)
    else:
        assert mover.fetch(bucket.url("c.tar"), tmp_path).verified == {kind.expected: 1}
        assert (tmp_path / "c/big").read_bytes() == CONTENT


@pytest.mark.parametrize("kind", [MD5, TOLD, CRC], indirect=True)
def test_from_store_to_store(kind: Kind, bucket: Bucket, faulty: FaultyProxy, log: MemoryLog) -> None:
    kind.put(bucket, faulty, "c/big", CONTENT)
    flip = faulty.inject(corrupted(1000), method="GET", key="*/c/big")
    mover = moving(bucket, faulty, log)
    source, target = parse(bucket.url("c/")), parse(bucket.url("d/"))
    report = relay(mover.stores, source, target, stop=mover.stop, log=log)
    assert flip.hits == 1
    assert report.verified == {kind.expected: 1}
    assert bucket.get("d/big") == CONTENT


# --- what people meet ---


def program(bucket: Bucket, faulty: FaultyProxy, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, **bucket.store.env(), "S3_ENDPOINT": faulty.endpoint, **more}
    return subprocess.run([sys.executable, "-m", "bootstrap", *words], env=environ, capture_output=True, text=True)


def test_a_copy_tells_what_was_verified_and_fails_by_what_is_damaged(
    bucket: Bucket, faulty: FaultyProxy, tmp_path: Path
) -> None:
    TOLD.put(bucket, faulty, "c/big", CONTENT)
    MD5.put(bucket, faulty, "c/small", b"small")
    words = ["copy", "-r", "-q", "--format", "json", bucket.url("c/")]
    good = program(bucket, faulty, *words, f"{tmp_path}/good", "--verify", "always")
    assert json.loads(good.stdout)["verified"] == {"md5": 1, "md5 of parts": 1}
    faulty.inject(corrupted(1000), method="GET", key="*/c/big", times=None)
    bad = program(bucket, faulty, *words, f"{tmp_path}/bad", "--verify", "always")
    assert (bad.returncode, "not the object's" in bad.stderr) == (200, True), bad.stderr
    assert not (tmp_path / "bad/big").exists()
    unseen = program(bucket, faulty, *words, f"{tmp_path}/unseen", BOOTSTRAP_VERIFY="size")
    assert json.loads(unseen.stdout)["verified"] == {"size": 2}


def test_a_runs_record_tells_what_was_verified(bucket: Bucket, faulty: FaultyProxy, tmp_path: Path) -> None:
    TOLD.put(bucket, faulty, "c/big", CONTENT)
    MD5.put(bucket, faulty, "c/small", b"small")
    home = {"BOOTSTRAP_JOB_DIR": str(tmp_path), "BOOTSTRAP_LOG_FILE": str(tmp_path / "job.log")}
    done = program(
        bucket, faulty, "run", "--input", f"data={bucket.url('c/')}", "--verify", "always", "--", "true", **home
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "job.run/run.json").read_text())
    assert record["fetched"]["data"]["verified"] == {"md5": 1, "md5 of parts": 1}


def test_the_verify_of_outputs_is_its_own(bucket: Bucket, faulty: FaultyProxy) -> None:
    """A flag, of that command, and no setting of the stores."""
    done = program(bucket, faulty, "outputs", "--verify", bucket.url("nothing/"))
    assert "there are no manifests of outputs" in done.stderr
