"""Uploads in parts: their sizes, what happens to them when something goes wrong, and that none is left behind."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from bootstrap.storage.common.retry import Retry
from bootstrap.storage.s3.fast.backlog import Backlog
from bootstrap.storage.schemes import parse
from bootstrap.storage.upload import multipart
from bootstrap.storage.upload.journal import UploadJournal
from bootstrap.storage.upload.multipart import LARGE, LargeObject, part_size
from bootstrap.storage.upload.send import Put
from bootstrap.storage.upload.walk import Item
from tests.lab import faulty_proxy
from tests.lab.faulty_proxy import FaultyProxy
from tests.lab.stores import Store
from tests.lab.waiting import until
from tests.storage.conftest import BIG, Mover, stores_of, uploads_left

MIB = 1 << 20
SIZE = BIG


@pytest.mark.parametrize(
    "size",
    [LARGE, 156 * 1024 * MIB, 157 * 1024 * MIB, 1 << 40, 5 << 40, 48_800_000_000_000],
    ids=lambda size: f"{size}",
)
def test_parts_grow_with_the_file_up_to_the_largest_object_there_can_be(size: int) -> None:
    part = part_size(size)
    assert -(-size // part) <= 10_000
    assert 5 * MIB <= part <= 5 * 1024 * MIB


@pytest.mark.parametrize(
    "fault",
    [
        faulty_proxy.reset(),
        faulty_proxy.reset_upload(after=3_000_000),
        faulty_proxy.lost_answer(),
        faulty_proxy.refused(503, "SlowDown"),
        faulty_proxy.refused(400, "RequestTimeout"),
    ],
    ids=lambda fault: fault.name,
)
def test_a_part_that_goes_wrong_is_sent_again_and_no_other(
    fault: faulty_proxy.Fault, big: Path, seaweedfs: Store, faulty: FaultyProxy
) -> None:
    bucket = seaweedfs.make_bucket()
    injection = faulty.inject(fault, method="PUT", query="*partNumber=2*", times=3)
    report = Mover(stores_of(seaweedfs, url=faulty.endpoint)).deliver(big.parent, bucket.url("o/"))
    assert injection.hits == 3
    assert (report.failed, report.bytes) == ((), SIZE)
    assert bucket.get("o/big") == big.read_bytes()
    assert sum("partNumber=5" in request.query for request in faulty.seen) == 1
    assert uploads_left(bucket) == []


def test_large_files_that_wait_for_their_turn_are_not_open(big: Path, seaweedfs: Store) -> None:
    bucket = seaweedfs.make_bucket()
    store = stores_of(seaweedfs).open(parse(bucket.url()))
    assert store.multipart is not None
    retry = Retry(store.retry_window, threading.Event())
    note = UploadJournal(big, bucket.url())

    def opened() -> int:
        return sum(
            os.path.realpath(f"/proc/self/fd/{each}") == str(big.resolve()) for each in os.listdir("/proc/self/fd")
        )

    several = [LargeObject(store, store.multipart, f"o/{n}", big, note, retry) for n in range(3)]
    assert opened() == 0
    assert several[0].file() == several[0].file()
    assert opened() == 1
    for each in several:
        each.abandon()
    note.close()
    assert opened() == 0
    with pytest.raises(OSError, match="has ended"):
        several[0].file()


@pytest.mark.parametrize("size", [0, 60_000, 250_000, 262_143, 1 << 20, 60 << 20])
def test_what_is_sent_ahead_on_a_connection_is_a_few_megabytes_whatever_the_sizes(size: int) -> None:
    waiting = Backlog([Put(None, Item("x", "x", Path("x"), size)) for _ in range(100)])  # type: ignore[arg-type]
    waiting.answered(1, gap=0.0001)  # a server that does not think, to which much is sent ahead
    *ahead, _ = waiting.more(0, 0)
    assert sum(put.item.size for put in ahead) <= 3 << 20


def test_an_upload_whose_last_answer_was_lost_is_known_to_have_arrived(
    big: Path, seaweedfs: Store, faulty: FaultyProxy
) -> None:
    bucket = seaweedfs.make_bucket()
    faulty.inject(faulty_proxy.lost_answer(), method="POST", query="uploadId=*", times=1)
    faulty.inject(faulty_proxy.refused(404, "NoSuchUpload"), method="POST", query="uploadId=*", times=None)
    report = Mover(stores_of(seaweedfs, url=faulty.endpoint)).deliver(big.parent, bucket.url("o/"))
    assert report.failed == ()
    assert bucket.get("o/big") == big.read_bytes()


def test_an_upload_that_is_refused_is_given_up_and_named(big: Path, seaweedfs: Store, faulty: FaultyProxy) -> None:
    bucket = seaweedfs.make_bucket()
    (big.parent / "small").write_bytes(b"s")
    faulty.inject(faulty_proxy.refused(403, "AccessDenied"), method="PUT", query="*partNumber=3*", times=None)
    report = Mover(stores_of(seaweedfs, url=faulty.endpoint)).deliver(big.parent, bucket.url("o/"))
    assert [name for name, _ in report.failed] == ["big"]
    assert "AccessDenied" in report.failed[0][1]
    assert bucket.list() == ["o/small"]
    assert uploads_left(bucket) == []


def test_an_object_that_is_not_made_of_its_parts_is_named_and_no_part_goes_twice(
    big: Path, seaweedfs: Store, faulty: FaultyProxy
) -> None:
    bucket = seaweedfs.make_bucket()
    (big.parent / "small").write_bytes(b"s")
    faulty.inject(faulty_proxy.refused(403, "AccessDenied"), method="POST", query="uploadId=*", times=None)
    report = Mover(stores_of(seaweedfs, url=faulty.endpoint)).deliver(big.parent, bucket.url("o/"))
    ((name, why),) = report.failed
    assert name == "big" and "AccessDenied" in why
    sent = [request.query for request in faulty.seen if request.method == "PUT" and "partNumber" in request.query]
    assert len(sent) == len(set(sent)) == -(-SIZE // part_size(SIZE))
    assert bucket.list() == ["o/small"]
    assert uploads_left(bucket) == []


def test_a_stop_while_an_upload_is_begun_leaves_nothing_behind(
    big: Path, seaweedfs: Store, faulty: FaultyProxy
) -> None:
    """Its id comes when nobody waits for it any more."""
    bucket = seaweedfs.make_bucket()
    slow = faulty.inject(faulty_proxy.thoughtful(2.0), method="POST", query="uploads*", times=1)
    mover = Mover(stores_of(seaweedfs, url=faulty.endpoint))

    def stop_when_it_is_begun() -> None:
        until(lambda: slow.fired.is_set() and uploads_left(bucket))
        mover.stop.set()

    threading.Thread(target=stop_when_it_is_begun, daemon=True).start()
    assert mover.deliver(big.parent, bucket.url("o/")).failed == (("big", "not finished when asked to stop"),)
    until(lambda: not uploads_left(bucket), "what was begun is given up")
    assert [path.name for path in big.parent.parent.iterdir()] == ["source"], "no journal that nobody closes"


def test_an_upload_cut_off_by_the_deadline_leaves_nothing_behind(
    big: Path, seaweedfs: Store, faulty: FaultyProxy
) -> None:
    bucket = seaweedfs.make_bucket()
    release = threading.Event()
    stuck = faulty.inject(faulty_proxy.unanswered(release), method="PUT", query="*partNumber=4*", times=None)
    mover = Mover(stores_of(seaweedfs, url=faulty.endpoint))
    try:
        report = mover.deliver(big.parent, bucket.url("o/"), deadline=time.monotonic() + 5)
        assert stuck.fired.is_set()
        assert report.failed == (("big", "not finished by the deadline"),)
        assert uploads_left(bucket) == []
    finally:
        release.set()


def test_a_large_file_that_grows_meanwhile_is_not_called_delivered(
    big: Path, seaweedfs: Store, faulty: FaultyProxy
) -> None:
    bucket = seaweedfs.make_bucket()

    def grow(handler: object) -> None:
        with big.open("ab") as file:
            file.write(b"more")

    faulty.inject(faulty_proxy.Fault("grow", first=grow), method="PUT", query="*partNumber=2*")
    report = Mover(stores_of(seaweedfs, url=faulty.endpoint)).deliver(big.parent, bucket.url("o/"))
    assert "changed while it was sent" in dict(report.failed)["big"]


def test_a_large_file_that_shrinks_meanwhile_fails_alone(
    big: Path, seaweedfs: Store, faulty: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = seaweedfs.make_bucket()
    (big.parent / "small").write_bytes(b"s")
    begin = multipart.LargeObject.__init__

    def begin_and_cut(self: multipart.LargeObject, *arguments: object) -> None:
        begin(self, *arguments)  # type: ignore[arg-type]
        with big.open("rb+") as file:
            file.truncate(1000)

    monkeypatch.setattr(multipart.LargeObject, "__init__", begin_and_cut)
    report = Mover(stores_of(seaweedfs, url=faulty.endpoint)).deliver(big.parent, bucket.url("o/"))
    assert [name for name, _ in report.failed] == ["big"]
    assert bucket.list() == ["o/small"]
    assert uploads_left(bucket) == []
