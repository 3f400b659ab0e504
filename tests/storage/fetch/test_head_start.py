"""The first objects of a long listing come while the store lists the rest, and get no name before all are known."""

from __future__ import annotations

import http.client
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bootstrap.errors import DiskFull
from bootstrap.storage.common.rate_limit import RateLimit
from bootstrap.storage.fetch import head_start
from bootstrap.storage.fetch.head_start import HeadStart
from bootstrap.storage.fetch.verification.verifier import Verifier
from bootstrap.storage.model.store import Entry
from bootstrap.storage.schemes import parse
from bootstrap.storage.transfer import TransferStopped
from tests.lab import faulty_proxy
from tests.lab.faulty_proxy import FaultyProxy
from tests.lab.stores import Bucket, Store
from tests.lab.trees import files_below
from tests.lab.waiting import until
from tests.storage.conftest import MemoryLog, Mover, SmallDisk, stores_of

COUNT = 2300  # three pages
SLOW = 0.3  # seconds before each of them


def content(number: int) -> bytes:
    return b"%06d" % number * 50


@pytest.fixture(scope="module")
def many(seaweedfs: Store, tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    bucket, source = seaweedfs.make_bucket(), tmp_path_factory.mktemp("many") / "t"
    for number in range(COUNT):
        path = source / f"d{number // 500}/f{number:06d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(number))
    (source / "d0/run.sh").write_bytes(b"#!/bin/sh\n")
    (source / "d0/middle").write_bytes(b"m" * 300_000)
    assert Mover(stores_of(seaweedfs)).deliver(source, bucket.url("t/")).failed == ()
    return bucket


@pytest.fixture
def slow_pages(faulty: FaultyProxy) -> FaultyProxy:
    faulty.inject(faulty_proxy.delayed(SLOW), method="GET", query="*list-type=2*", times=None)
    return faulty


def is_page(request: faulty_proxy.Request) -> bool:
    return request.method == "GET" and "list-type=2" in request.query


def early(proxy: FaultyProxy) -> int:
    """Objects that were asked for before the last page was."""
    seen = list(proxy.seen)
    last = max((at for at, request in enumerate(seen) if is_page(request)), default=0)
    return sum(request.method == "GET" and not is_page(request) for request in seen[:last])


def assert_all_there(target: Path) -> None:
    found = files_below(target / "t")
    assert len(found) == COUNT + 2
    assert all(found[f"d{n // 500}/f{n:06d}"] == content(n) for n in range(COUNT))
    assert found["d0/middle"] == b"m" * 300_000
    assert os.access(target / "t/d0/run.sh", os.X_OK)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked for has come when the listing ends, however busy this machine is."""
    monkeypatch.setattr(head_start, "_ENDING", 60.0)


@pytest.mark.usefixtures("unhurried")
def test_objects_come_while_the_rest_is_listed(
    many: Bucket, slow_pages: FaultyProxy, seaweedfs: Store, tmp_path: Path
) -> None:
    mover = Mover(stores_of(seaweedfs, url=slow_pages.endpoint))
    report = mover.fetch(many.url("t/"), tmp_path)
    assert early(slow_pages) > 100
    assert_all_there(tmp_path)
    assert (report.files, report.skipped) == (COUNT + 2, 0)
    assert report.bytes == COUNT * 300 + 300_010
    assert report.verified == {"md5": COUNT + 2}
    gets = [request.key for request in slow_pages.seen if request.method == "GET" and not is_page(request)]
    assert len(gets) == len(set(gets)), "what was on its way when the listing ended comes, and comes once"
    again = mover.fetch(many.url("t/"), tmp_path)
    assert (again.files, again.skipped) == (0, COUNT + 2)


@pytest.mark.usefixtures("unhurried")
def test_objects_that_the_store_has_encrypted_come_once(
    many: Bucket, slow_pages: FaultyProxy, seaweedfs: Store, tmp_path: Path
) -> None:
    """With a key of somebody's: only the answer says so, and its ETag is no MD5."""

    def encrypted(_: faulty_proxy.Handler, response: http.client.HTTPResponse) -> None:
        response.headers["x-amz-server-side-encryption"] = "aws:kms"

    slow_pages.inject(faulty_proxy.Fault("encrypted", answered=encrypted), method="GET", key="*/t/*", times=None)
    Mover(stores_of(seaweedfs, url=slow_pages.endpoint)).fetch(many.url("t/"), tmp_path)
    assert early(slow_pages) > 100
    assert_all_there(tmp_path)
    gets = [request.key for request in slow_pages.seen if request.method == "GET" and not is_page(request)]
    assert len(gets) == len(set(gets))


def test_nothing_has_its_name_before_the_last_page(
    many: Bucket, slow_pages: FaultyProxy, seaweedfs: Store, tmp_path: Path
) -> None:
    names: list[list[str]] = []

    def look(_: object) -> None:
        time.sleep(SLOW)
        names.append([name for _, _, files in os.walk(tmp_path) for name in files])

    slow_pages.clear()
    slow_pages.inject(faulty_proxy.Fault("look", first=look), method="GET", query="*list-type=2*", times=None)
    Mover(stores_of(seaweedfs, url=slow_pages.endpoint)).fetch(many.url("t/"), tmp_path)
    assert len(names) >= 3
    assert len(names[-1]) > 100
    assert all(name.startswith(".bootstrap-") for name in names[-1])
    assert_all_there(tmp_path)


def test_where_it_does_not_fit_nothing_stays(
    many: Bucket, slow_pages: FaultyProxy, seaweedfs: Store, small_disk: SmallDisk
) -> None:
    disk = small_disk(size=6 << 20)  # 14 MB of blocks are needed
    with pytest.raises(DiskFull, match="does not fit"):
        Mover(stores_of(seaweedfs, url=slow_pages.endpoint)).fetch(many.url("t/"), disk)
    assert early(slow_pages) > 20
    assert not (disk / "t").exists()


def test_what_is_here_early_counts_as_room_that_it_has(
    many: Bucket, slow_pages: FaultyProxy, seaweedfs: Store, small_disk: SmallDisk
) -> None:
    disk = small_disk(size=16 << 20)
    Mover(stores_of(seaweedfs, url=slow_pages.endpoint)).fetch(many.url("t/"), disk)
    assert early(slow_pages) > 100
    assert_all_there(disk)


def test_a_listing_that_breaks_off_is_begun_anew(
    many: Bucket, slow_pages: FaultyProxy, seaweedfs: Store, tmp_path: Path
) -> None:
    pages = 0

    def break_third(handler: faulty_proxy.Handler) -> None:
        nonlocal pages
        pages += 1
        time.sleep(SLOW)
        if pages == 3:
            handler.reset()

    slow_pages.clear()
    slow_pages.inject(faulty_proxy.Fault("break", first=break_third), method="GET", query="*list-type=2*", times=None)
    report = Mover(stores_of(seaweedfs, url=slow_pages.endpoint)).fetch(many.url("t/"), tmp_path)
    assert pages > 4
    assert early(slow_pages) > 100
    assert report.files == COUNT + 2
    assert_all_there(tmp_path)


def test_what_changed_meanwhile_comes_as_it_is_now(
    many: Bucket, slow_pages: FaultyProxy, seaweedfs: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listing that counts, one that was begun anew, has another ETag than what is here."""
    settle = HeadStart.settle

    def another_etag(self: HeadStart) -> None:
        settle(self)
        for key, one in self._here.items():
            if key.endswith("f000000"):
                os.truncate(one.partial, 0)  # to be seen if it were used
                self._here[key] = one._replace(found=one.found.__class__(key, one.found.size, "0" * 32))

    monkeypatch.setattr(HeadStart, "settle", another_etag)
    Mover(stores_of(seaweedfs, url=slow_pages.endpoint)).fetch(many.url("t/"), tmp_path)
    assert_all_there(tmp_path)


def test_what_somebody_swept_away_comes_once_more(
    many: Bucket, slow_pages: FaultyProxy, seaweedfs: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle, swept = HeadStart.settle, 0

    def sweep(self: HeadStart) -> None:
        nonlocal swept
        settle(self)
        for partial in self.partials[:50]:
            os.unlink(partial)
            swept += 1

    monkeypatch.setattr(HeadStart, "settle", sweep)
    report = Mover(stores_of(seaweedfs, url=slow_pages.endpoint)).fetch(many.url("t/"), tmp_path)
    assert swept >= 50
    assert report.files == COUNT + 2
    assert_all_there(tmp_path)


def test_a_stop_while_it_lists_leaves_nothing(
    many: Bucket, slow_pages: FaultyProxy, seaweedfs: Store, tmp_path: Path
) -> None:
    mover = Mover(stores_of(seaweedfs, url=slow_pages.endpoint))

    def stop_soon() -> None:
        until(lambda: early(slow_pages) > 100, "objects come early")
        mover.stop.set()

    threading.Thread(target=stop_soon, daemon=True).start()
    with pytest.raises(TransferStopped):
        mover.fetch(many.url("t/"), tmp_path)
    assert files_below(tmp_path) == {}
    assert not (tmp_path / "t").exists()


def test_a_fetch_that_ends_while_it_is_told_of_a_listing_leaves_nothing(
    many: Bucket, seaweedfs: Store, tmp_path: Path
) -> None:
    """The thread that lists is left behind by a stop, and goes on for a moment."""
    store, root = stores_of(seaweedfs).open(parse(many.url("t/"))), tmp_path / "t"
    begun = HeadStart(store, str(root), Verifier(store), RateLimit(), threading.Event(), MemoryLog())

    class Ending:
        def __len__(self) -> int:
            return 1

        def __getitem__(self, at: int) -> Entry:
            begun.close()
            return Entry("t/d0/f000000", 300, "0" * 32)

    begun.seen(Ending())
    assert not root.exists()


def put_a_file(target: Path) -> None:
    (target / "t").mkdir()
    (target / "t/own").write_bytes(b"")


def be_quick(target: Path) -> None:
    pass


@pytest.mark.parametrize("prepare", [put_a_file, be_quick])
def test_none_where_files_are_to_be_compared_or_the_store_is_quick(
    prepare: Callable[[Path], None], many: Bucket, slow_pages: FaultyProxy, seaweedfs: Store, tmp_path: Path
) -> None:
    if prepare is be_quick:
        slow_pages.clear()
    prepare(tmp_path)
    Mover(stores_of(seaweedfs, url=slow_pages.endpoint)).fetch(many.url("t/"), tmp_path)
    assert early(slow_pages) == 0
