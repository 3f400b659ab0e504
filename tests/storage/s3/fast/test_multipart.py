"""Uploads in parts over the fast path: the plain case loads no boto3, and any other ends as it does with boto3."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bootstrap.storage.s3.fast import http1
from bootstrap.storage.s3.fast.backlog import Backlog
from bootstrap.storage.schemes import parse
from bootstrap.storage.upload.multipart import LARGE, part_size
from tests.lab import faulty_proxy
from tests.lab.faulty_proxy import Fault, FaultyProxy
from tests.lab.proxy import Handler
from tests.lab.stores import Store
from tests.lab.strict_proxy import Obs
from tests.lab.tls import Authority
from tests.storage.conftest import BIG, Mover, stores_of, uploads_left

MIB = 1 << 20
SIZE = BIG
NO_UTF8 = b"<CompleteMultipartUploadResult><UploadId>\xff</UploadId><ETag>\xff</ETag></CompleteMultipartUploadResult>"


def says(status: int, body: bytes, *, close: bool = False) -> Fault:
    """An answer in the place of the store's, which does not see the request."""

    def first(handler: Handler) -> None:
        handler.answer(status, [("Content-Type", "application/xml")] + [("Connection", "close")] * close, body)
        handler.skip()

    return Fault("says", first=first)


def test_an_upload_of_large_files_loads_no_boto3(big: Path, seaweedfs: Store) -> None:
    bucket = seaweedfs.make_bucket()
    script = (
        "import sys; from bootstrap.cli import main\n"
        f"code = main(['copy', '-r', {str(big.parent)!r}, {bucket.url('o/', 'obs')!r}])\n"
        "print(code, 'boto3' in sys.modules, 'botocore' in sys.modules)"
    )
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(big.parent.parent), **seaweedfs.env()}
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1:] == ["0 False False"], done.stderr
    assert bucket.get("o/big") == big.read_bytes()
    assert uploads_left(bucket) == []


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(says(200, b"<Error><Code>InternalError</Code></Error>"), id="an error that comes as 200"),
        pytest.param(says(200, b""), id="nothing"),
        pytest.param(says(503, b"<Error><Code>SlowDown</Code></Error>"), id="busy"),
        pytest.param(says(200, b"<html>sign in</html>", close=True), id="a web page"),
        pytest.param(says(200, NO_UTF8), id="bytes that are no text"),
        pytest.param(faulty_proxy.reset(), id="reset"),
        pytest.param(faulty_proxy.lost_answer(), id="its answer is lost"),
    ],
)
@pytest.mark.parametrize("query", ["uploads*", "uploadId=*"], ids=["beginning", "finishing"])
def test_what_is_not_plain_is_done_again_by_boto3(
    query: str, fault: Fault, big: Path, seaweedfs: Store, faulty: FaultyProxy
) -> None:
    bucket = seaweedfs.make_bucket()
    injection = faulty.inject(fault, method="POST", query=query, times=1)
    report = Mover(stores_of(seaweedfs, url=faulty.endpoint)).deliver(big.parent, bucket.url("o/"))
    assert injection.hits == 1
    assert report.failed == ()
    assert bucket.get("o/big") == big.read_bytes()
    if (query, fault.name) != ("uploads*", "lost_answer"):  # its id was never heard: nobody can give it up
        assert uploads_left(bucket) == []


@pytest.mark.parametrize("identity", ["a&amp;b", "a+b/c=", "%41"], ids=["XML", "base64", "an escape"])
def test_ids_of_uploads_are_taken_as_they_are(identity: str, big: Path, seaweedfs: Store, faulty: FaultyProxy) -> None:
    """Of other stores they have signs that XML and queries write in another way."""
    bucket = seaweedfs.make_bucket()
    body = f"<InitiateMultipartUploadResult><UploadId>{identity}</UploadId></InitiateMultipartUploadResult>"
    faulty.inject(says(200, body.encode()), method="POST", query="uploads*", times=1)
    store = stores_of(seaweedfs, url=faulty.endpoint).open(parse(bucket.url()))
    assert store.multipart is not None
    plain = identity.replace("&amp;", "&")
    assert store.multipart.begin("o/big") == plain
    faulty.inject(says(200, b""), method="DELETE", times=1)
    store.multipart.abandon("o/big", plain)
    assert faulty.seen[-1].method == "DELETE"
    assert faulty.seen[-1].parameters == [("uploadId", plain)]


def test_the_etag_is_that_of_all_parts(big: Path, seaweedfs: Store) -> None:
    bucket = seaweedfs.make_bucket()
    store = stores_of(seaweedfs).open(parse(bucket.url()))
    assert store.multipart is not None
    upload = store.multipart.begin("o/big")
    content, etags = big.read_bytes(), []
    with big.open("rb") as file:
        for number, start in enumerate(range(0, SIZE, 16 * MIB), 1):
            size = min(16 * MIB, SIZE - start)
            etags.append(store.multipart.put_part("o/big", upload, number, file.fileno(), start, size))
            assert etags[-1] == hashlib.md5(content[start : start + size]).hexdigest()
    digest = hashlib.md5(b"".join(map(bytes.fromhex, etags))).hexdigest()
    assert store.multipart.finish("o/big", upload, etags) == f"{digest}-{len(etags)}"


@pytest.mark.parametrize(
    ("size", "step"),
    [(LARGE, 8), (512 * MIB, 8), (513 * MIB, 9), (1 << 30, 16), (100 << 30, 16), (160_000 * MIB + 1, 17)],
)
def test_parts_are_as_many_as_connections_can_be_of_use(size: int, step: int) -> None:
    assert part_size(size) == step * MIB


@pytest.mark.parametrize(
    "fault", [faulty_proxy.delayed(2.0), faulty_proxy.slow_upload(6 * MIB)], ids=["to answer", "to take it"]
)
def test_a_store_that_is_slow_with_much_is_not_sent_all_of_it_again(
    fault: Fault, big: Path, seaweedfs: Store, faulty: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who takes its silence for a dead connection makes it slower still."""
    monkeypatch.setattr(http1, "SILENCE", 0.7)
    bucket = seaweedfs.make_bucket()
    faulty.inject(fault, method="PUT", query="*partNumber=*", times=None)
    assert Mover(stores_of(seaweedfs, url=faulty.endpoint)).deliver(big.parent, bucket.url("o/")).failed == ()
    sent = [request.query for request in faulty.seen if "partNumber=" in request.query]
    assert len(sent) == len(set(sent)) == -(-SIZE // (8 * MIB))


def test_a_store_that_takes_long_to_make_an_object_of_its_parts_is_asked_once(
    big: Path, seaweedfs: Store, faulty: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http1, "SILENCE", 0.7)
    bucket = seaweedfs.make_bucket()
    slow = faulty.inject(faulty_proxy.delayed(2.0), method="POST", query="uploadId=*", times=None)
    assert Mover(stores_of(seaweedfs, url=faulty.endpoint)).deliver(big.parent, bucket.url("o/")).failed == ()
    assert slow.hits == 1
    assert bucket.get("o/big") == big.read_bytes()


def test_after_a_long_silence_fewer_are_sent_at_once(
    big: Path, seaweedfs: Store, faulty: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http1, "LONG_SILENCE", 1.0)
    slowed: list[int] = []
    is_slow = Backlog.is_slow

    def noted(self: Backlog[Any]) -> None:
        before = self.growth.target
        is_slow(self)
        slowed.append(self.growth.target - before)

    monkeypatch.setattr(Backlog, "is_slow", noted)
    bucket = seaweedfs.make_bucket()
    faulty.inject(faulty_proxy.thoughtful(3.0), method="PUT", query="*partNumber=*", times=3)
    assert Mover(stores_of(seaweedfs, url=faulty.endpoint)).deliver(big.parent, bucket.url("o/")).failed == ()
    assert bucket.get("o/big") == big.read_bytes()
    assert min(slowed) < 0


def test_in_haste_parts_are_as_small_as_the_store_takes_them() -> None:
    assert [part_size(size, 5 * MIB, 5 * MIB) for size in (12 * MIB, 1 << 30, 100 << 30)] == [
        5 * MIB,
        5 * MIB,
        11 * MIB,
    ]


def test_over_tls_bodies_are_not_signed_and_still_compared(big: Path, obs_tls: Obs, authority: Authority) -> None:
    """What TLS keeps whole need not be read twice; what the store has is known by its ETag, as ever."""
    (big.parent / "middle").write_bytes(b"m" * 300_000)
    bucket = obs_tls.make_bucket()
    report = Mover(stores_of(obs_tls.store, ca_bundle=str(authority.bundle))).deliver(big.parent, bucket.url("o/"))
    assert report.failed == ()
    assert bucket.get("o/big") == big.read_bytes()
    assert bucket.get("o/middle") == b"m" * 300_000
    bodies = [one for one in obs_tls.seen if one.method == "PUT" and one.key.startswith("o/")]
    assert {one.request.headers["x-amz-content-sha256"] for one in bodies} == {"UNSIGNED-PAYLOAD"}
    assert len(bodies) == 1 + -(-SIZE // (8 * MIB)), "each was sent once, so none was refused"
