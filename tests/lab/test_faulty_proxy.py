"""Each fault is what its name says, hits what it was asked to hit, and can be taken back."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import botocore.exceptions
import pytest

from tests.lab import faulty_proxy as faults
from tests.lab.faulty_proxy import FaultyProxy
from tests.lab.stores import Bucket, Store

CONTENT = hashlib.sha512(b"lab").digest() * 4096  # 256 KiB
BROKEN = (botocore.exceptions.HTTPClientError, botocore.exceptions.IncompleteReadError)


@pytest.fixture
def behind(seaweedfs: Store, faulty: FaultyProxy) -> Bucket:
    """A bucket with one object, seen through the faulty network by a client that does not try again."""
    made = seaweedfs.make_bucket()
    made.put("file", CONTENT)
    store = replace(seaweedfs, endpoint=faulty.endpoint)
    return Bucket(store, made.name, store.client(retries={"max_attempts": 0}))


def test_without_a_fault_everything_passes(faulty: FaultyProxy, behind: Bucket) -> None:
    behind.put("copy", behind.get("file"))
    assert behind.tree() == {"copy": CONTENT, "file": CONTENT}
    assert [request.method for request in faulty.seen][:2] == ["GET", "PUT"]


@pytest.mark.parametrize(
    "fault",
    [faults.reset(), faults.reset_answer(after=1000), faults.truncated(after=1000), faults.truncated(after=0)],
    ids=lambda fault: fault.name,
)
def test_a_broken_connection_breaks_one_request_only(faulty: FaultyProxy, behind: Bucket, fault: faults.Fault) -> None:
    injection = faulty.inject(fault, method="GET", key="*/file")
    with pytest.raises(BROKEN):
        behind.get("file")
    assert injection.hits == 1
    assert behind.get("file") == CONTENT


def test_a_corrupted_answer_differs_in_one_byte(faulty: FaultyProxy, behind: Bucket) -> None:
    faulty.inject(faults.corrupted(at=100_000))
    received = behind.get("file")
    assert [i for i, (a, b) in enumerate(zip(received, CONTENT, strict=True)) if a != b] == [100_000]


def test_a_storm_lasts_until_it_is_cleared(faulty: FaultyProxy, behind: Bucket) -> None:
    storm = faulty.inject(faults.refused(503, "SlowDown", retry_after=1), times=None)
    for _ in range(3):
        with pytest.raises(botocore.exceptions.ClientError, match="SlowDown"):
            behind.get("file")
    assert storm.hits == 3
    faulty.clear()
    assert behind.get("file") == CONTENT


def test_a_stalled_body_goes_on_when_released(faulty: FaultyProxy, behind: Bucket) -> None:
    release = threading.Event()
    injection = faulty.inject(faults.stalled(release, after=10_000))
    with ThreadPoolExecutor() as pool:
        reading = pool.submit(behind.get, "file")
        assert injection.fired.wait(30)
        assert not reading.done()
        release.set()
        assert reading.result(30) == CONTENT


def test_a_slow_body_arrives_whole(faulty: FaultyProxy, behind: Bucket) -> None:
    faulty.inject(faults.slow(rate=2 << 20))
    faulty.inject(faults.delayed(0.01), times=None)
    assert behind.get("file") == CONTENT
    assert behind.get("file") == CONTENT


def test_an_upload_that_is_reset_is_not_stored(faulty: FaultyProxy, behind: Bucket) -> None:
    faulty.inject(faults.reset_upload(after=100_000), method="PUT")
    with pytest.raises(BROKEN):
        behind.put("up", CONTENT)
    assert behind.list() == ["file"]


def test_a_lost_answer_leaves_the_object_behind(faulty: FaultyProxy, behind: Bucket) -> None:
    faulty.inject(faults.lost_answer(), method="PUT")
    with pytest.raises(BROKEN):
        behind.put("up", CONTENT)
    assert behind.get("up") == CONTENT


def test_an_unanswered_request_is_answered_when_released(faulty: FaultyProxy, behind: Bucket) -> None:
    release = threading.Event()
    injection = faulty.inject(faults.unanswered(release))
    with ThreadPoolExecutor() as pool:
        reading: Any = pool.submit(behind.get, "file")
        assert injection.fired.wait(30)
        release.set()
        assert reading.result(30) == CONTENT
