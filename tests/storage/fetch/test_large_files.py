"""Large objects whose fetch ended half way, by a kill or by an error: the next one brings what is missing."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bootstrap.errors import BootstrapError, DiskFull
from bootstrap.ground.machine import cores
from bootstrap.storage.fetch.large_file import LargeFile, unfinished_name
from bootstrap.storage.fetch.verification.verifier import Verifier
from bootstrap.storage.local import staging
from bootstrap.storage.local.digests import PIECE
from bootstrap.storage.local.staging import Staging
from bootstrap.storage.local.store import FileStore
from bootstrap.storage.model.store import Entry
from tests.lab import faulty_proxy
from tests.lab.faulty_proxy import FaultyProxy
from tests.lab.proxy import Handler
from tests.lab.stores import Bucket, Store
from tests.lab.waiting import until
from tests.storage.conftest import Mover, SmallDisk, stores_of, tree_of

MIB = 1 << 20
CONTENT = b"".join(bytes([number]) * MIB for number in range(4 * 16)) + b"the rest"
LAST = 4
"""Number of the last piece."""


@pytest.fixture(params=["an MD5", "of parts"])
def bucket(request: pytest.FixtureRequest, seaweedfs: Store) -> Bucket:
    """With CONTENT at c/big, under an ETag that is its MD5 or that of an upload in parts."""
    bucket = seaweedfs.make_bucket()
    bucket.put("c/small", b"small")
    put(bucket, CONTENT, in_parts=request.param == "of parts")
    return bucket


def put(bucket: Bucket, content: bytes, *, in_parts: bool) -> None:
    from boto3.s3.transfer import TransferConfig

    config = TransferConfig(multipart_threshold=MIB if in_parts else 1 << 40, multipart_chunksize=8 * MIB)
    bucket.client.upload_fileobj(io.BytesIO(content), bucket.name, "c/big", Config=config)
    etag = bucket.client.head_object(Bucket=bucket.name, Key="c/big")["ETag"]
    assert ("-" in etag) == in_parts


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there are where jobs run: few have none to spare for digests."""
    monkeypatch.setattr(cores, "usable", lambda: 8.0)


@pytest.fixture
def mover(bucket: Bucket, faulty: FaultyProxy) -> Mover:
    return Mover(stores_of(bucket.store, url=faulty.endpoint))


def pieces(faulty: FaultyProxy) -> list[int]:
    """The numbers of the pieces of c/big that were asked for since last time; -1 for all of it at once."""
    asked = [seen for seen in faulty.seen if seen.key.endswith("/c/big") and seen.method == "GET"]
    ranges = [seen.headers["Range"] or "bytes=-1-" for seen in asked]
    faulty.seen.clear()
    starts = [each[len("bytes=") :].rpartition("-")[0] for each in ranges]
    return sorted({int(start) // PIECE for start in starts})


def refuse_last(faulty: FaultyProxy) -> None:
    """The last piece of c/big is refused, in a way that no second try cures, when all others have been answered."""

    def refuse(handler: Handler) -> None:
        if f"bytes={LAST * PIECE}-" in (handler.headers["Range"] or ""):
            handler.answer(403, [], b"<Error><Code>AccessDenied</Code></Error>")
            handler.skip()

    faulty.inject(faulty_proxy.Fault("the last piece is refused", first=refuse), key="*/c/big", times=None)


@pytest.fixture
def failed(bucket: Bucket, mover: Mover, faulty: FaultyProxy, tmp_path: Path) -> Path:
    """The directory of a fetch that failed at the last piece of c/big; the partial file that it left."""
    refuse_last(faulty)
    with pytest.raises(BootstrapError, match="AccessDenied"):
        mover.fetch(bucket.url("c/"), tmp_path)
    faulty.clear()
    faulty.seen.clear()
    (partial,) = (tmp_path / "c").glob(".bootstrap-*.partial")
    return partial


def test_a_fetch_that_failed_leaves_what_it_has_and_the_next_brings_the_rest(
    failed: Path, bucket: Bucket, mover: Mover, faulty: FaultyProxy, tmp_path: Path
) -> None:
    assert not (tmp_path / "c/big").exists()
    here = {number for number in range(LAST) if table(failed)[number]}
    report = mover.fetch(bucket.url("c/"), tmp_path)
    assert pieces(faulty) == sorted(set(range(LAST + 1)) - here)
    assert report.bytes < len(CONTENT)
    assert tree_of(tmp_path / "c") == {"big": CONTENT, "small": b"small"}
    assert mover.fetch(bucket.url("c/"), tmp_path).files == 0


def table(partial: Path) -> list[bool]:
    """Which pieces a partial file says it has."""
    with partial.open("rb") as file:
        file.seek(len(CONTENT))
        records = file.read()
    return [records[at : at + 4] == b"here" for at in range(0, len(records), 8)]


def test_a_fetch_that_was_killed_is_gone_on_with(
    bucket: Bucket, mover: Mover, faulty: FaultyProxy, tmp_path: Path
) -> None:
    release = threading.Event()

    def hold(handler: Handler) -> None:
        if f"bytes={LAST * PIECE}-" in (handler.headers["Range"] or ""):
            release.wait(60)

    faulty.inject(faulty_proxy.Fault("the last piece waits", first=hold), key="*/c/big", times=None)
    environ = {**os.environ, **bucket.store.env(), "S3_ENDPOINT": faulty.endpoint}
    argv = [sys.executable, "-m", "bootstrap", "copy", "-q", "-r", bucket.url("c/"), f"{tmp_path}/c"]
    process = subprocess.Popen(argv, env=environ)
    try:
        until(lambda: any(sum(table(each)) == LAST for each in (tmp_path / "c").glob(".bootstrap-*.partial")))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        release.set()
    faulty.clear()
    faulty.seen.clear()
    assert mover.fetch(bucket.url("c/"), tmp_path / "c", direct=True).bytes <= len(CONTENT) - LAST * PIECE + 5
    assert pieces(faulty) == [LAST]
    assert tree_of(tmp_path / "c") == {"big": CONTENT, "small": b"small"}


def test_a_piece_that_the_disk_lost_is_not_trusted(failed: Path, bucket: Bucket, mover: Mover, tmp_path: Path) -> None:
    with failed.open("r+b") as file:
        file.seek(table(failed).index(True) * PIECE + 1000)
        file.write(b"\xff" * 4096)
    mover.fetch(bucket.url("c/"), tmp_path)
    assert tree_of(tmp_path / "c") == {"big": CONTENT, "small": b"small"}


@pytest.fixture
def another_boot(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """The machine goes down and comes up with that number; with none where the kernel gives no numbers."""

    def restart(number: str) -> None:
        monkeypatch.setattr(staging, "boot", lambda: number)
        monkeypatch.setattr("bootstrap.storage.fetch.large_file.boot", lambda: number)
        staging.of_this_machine.cache_clear()

    yield restart
    monkeypatch.undo()
    staging.of_this_machine.cache_clear()


def test_nothing_is_gone_on_with_after_the_machine_went_down(
    another_boot: Callable[[str], None],
    failed: Path,
    bucket: Bucket,
    mover: Mover,
    faulty: FaultyProxy,
    tmp_path: Path,
) -> None:
    another_boot("00c0ffee")
    mover.fetch(bucket.url("c/"), tmp_path)
    assert pieces(faulty) == list(range(LAST + 1))
    assert tree_of(tmp_path / "c")["big"] == CONTENT
    assert failed.exists(), "another machine's for all that this one knows: it goes when a day has passed"


def test_pieces_that_nothing_can_check_are_brought_again_where_boots_have_no_numbers(
    another_boot: Callable[[str], None], seaweedfs: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cores, "usable", lambda: 2.0)  # none to spare for CRC-32s
    entry, stop = Entry("big", 3 * PIECE, "0" * 32 + "-3"), threading.Event()

    def begun() -> LargeFile:
        return LargeFile(entry, "big", f"{tmp_path}/big", Staging(), stop, Verifier(FileStore(tmp_path)), lambda: None)

    for number, again in (("", [0, 1, 2]), ("00c0ffee", [1, 2])):
        another_boot(number)
        large = begun()
        large.missing()
        large.arrived(0, 0)
        large.close()
        assert [start // PIECE for start, _ in begun().missing()] == again


@pytest.mark.parametrize("damage", ["empty", "cut", "all but the name"])
def test_a_partial_file_of_any_content_is_no_danger(
    damage: str, failed: Path, bucket: Bucket, mover: Mover, tmp_path: Path
) -> None:
    content = {"empty": b"", "cut": failed.read_bytes()[: len(CONTENT) + 9], "all but the name": b"here" * 20_000_000}
    failed.write_bytes(content[damage])
    mover.fetch(bucket.url("c/"), tmp_path)
    assert tree_of(tmp_path / "c") == {"big": CONTENT, "small": b"small"}


def test_what_was_left_of_another_object_is_swept(failed: Path, bucket: Bucket, mover: Mover, tmp_path: Path) -> None:
    put(bucket, CONTENT[::-1], in_parts=True)
    mover.fetch(bucket.url("c/"), tmp_path)
    assert (tmp_path / "c/big").read_bytes() == CONTENT[::-1]
    assert sorted(os.listdir(tmp_path / "c")) == ["big", "small"]


def test_what_is_here_already_needs_no_room(seaweedfs: Store, faulty: FaultyProxy, small_disk: SmallDisk) -> None:
    bucket = seaweedfs.make_bucket()
    put(bucket, CONTENT, in_parts=True)
    disk = small_disk(size=100 * MIB)
    mover = Mover(stores_of(seaweedfs, url=faulty.endpoint))
    refuse_last(faulty)
    with pytest.raises(BootstrapError, match="AccessDenied"):
        mover.fetch(bucket.url("c/"), disk)
    faulty.clear()
    mover.fetch(bucket.url("c/"), disk)
    assert (disk / "c/big").read_bytes() == CONTENT


def test_a_touched_file_of_pieces_is_known_by_its_own_digest(
    bucket: Bucket, mover: Mover, faulty: FaultyProxy, tmp_path: Path
) -> None:
    mover.fetch(bucket.url("c/"), tmp_path)
    pieces(faulty)
    os.utime(tmp_path / "c/big", (1, 1))
    mover.fetch(bucket.url("c/"), tmp_path)
    assert pieces(faulty) == []
    with (tmp_path / "c/big").open("r+b") as file:
        file.seek(50 * MIB)
        file.write(b"mine")
    mover.fetch(bucket.url("c/"), tmp_path)
    assert pieces(faulty) == list(range(LAST + 1))
    assert (tmp_path / "c/big").read_bytes() == CONTENT


def test_few_cores_have_better_things_to_do_than_digests_that_no_store_knows(
    seaweedfs: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "usable", lambda: 2.0)
    bucket = seaweedfs.make_bucket()
    put(bucket, CONTENT, in_parts=True)
    mover = Mover(stores_of(seaweedfs))
    mover.fetch(bucket.url("c/"), tmp_path)
    assert mover.fetch(bucket.url("c/"), tmp_path).skipped == 1
    os.utime(tmp_path / "c/big", (1, 1))
    assert mover.fetch(bucket.url("c/"), tmp_path).files == 1
    assert (tmp_path / "c/big").read_bytes() == CONTENT


# --- the file itself ---

ENTRY = Entry("c/big", 40 * MIB, "e-3")


def large_file(final: Path, staging: Staging) -> LargeFile:
    verifier = Verifier(FileStore(final.parent))
    return LargeFile(ENTRY, "big", str(final), staging, threading.Event(), verifier, lambda: None)


def test_there_is_room_for_the_whole_before_its_first_byte(small_disk: SmallDisk) -> None:
    disk = small_disk(size=30 * MIB)
    staging = Staging()
    large = large_file(disk / "big", staging)
    with pytest.raises(OSError, match="No space left"), large.file():
        pass
    large.close()
    staging.close()
    assert os.listdir(disk) == []


def test_two_fetches_at_once_do_not_write_into_one_file(tmp_path: Path) -> None:
    lasting = unfinished_name(str(tmp_path / "big"), ENTRY)
    first, second = Staging(), Staging()
    file, name = first.create(str(tmp_path / "big"), lasting)
    other_file, other = second.create(str(tmp_path / "big"), lasting)
    assert name == lasting
    assert other != lasting
    second.close()
    first.close()
    assert os.listdir(tmp_path) == [os.path.basename(lasting)]
    os.close(file)
    third = Staging()
    again, name = third.create(str(tmp_path / "big"), lasting)
    assert name == lasting
    third.publish(name, str(tmp_path / "big"))
    assert os.listdir(tmp_path) == ["big"]
    os.close(again)
    os.close(other_file)


def test_a_fetch_that_brought_nothing_leaves_nothing(tmp_path: Path) -> None:
    staging = Staging()
    large = large_file(tmp_path / "big", staging)
    assert large.missing() == [(0, 16 * MIB), (16 * MIB, 32 * MIB), (32 * MIB, 40 * MIB)]
    with large.file() as file:
        assert os.fstat(file).st_size > ENTRY.size
    large.close()
    staging.close()
    assert os.listdir(tmp_path) == []


def test_inodes_are_counted_before_the_first_byte(seaweedfs: Store, small_disk: SmallDisk) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put_tree("c/", {f"d/{number}": b"x" for number in range(30)})
    disk = small_disk(size=10 * MIB, inodes=20)
    free = os.statvfs(disk).f_favail
    with pytest.raises(DiskFull) as caught:
        Mover(stores_of(seaweedfs)).fetch(bucket.url("c/"), disk)
    assert f"31 new files and directories, {free - 1} inodes are free: {32 - free} too few" in str(caught.value)
    assert tree_of(disk) == {}


def test_bytes_are_counted_before_the_first_one(seaweedfs: Store, small_disk: SmallDisk) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put_tree("c/", {"a": b"a" * (3 * MIB), "b": b"b" * (3 * MIB)})
    bucket.put("one/a", b"a" * (5 * MIB))
    disk = small_disk(size=4 * MIB)
    with pytest.raises(DiskFull) as caught:
        Mover(stores_of(seaweedfs)).fetch(bucket.url("c/"), disk)
    assert "2 files need 6.3 MB more, 4.2 MB are free: 2.1 MB too little" in str(caught.value)
    with pytest.raises(DiskFull, match=r"1 file needs 5\.2 MB more, 4\.2 MB are free: 1\.1 MB too little"):
        Mover(stores_of(seaweedfs)).fetch(bucket.url("one/a"), disk / "c")
    assert tree_of(disk) == {}
