from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import threading
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from bootstrap.errors import ArchiveInvalid, DiskFull
from bootstrap.storage.transfer import TransferStopped
from tests.lab import faulty_proxy
from tests.lab.faulty_proxy import FaultyProxy
from tests.lab.proxy import Handler
from tests.lab.stores import Bucket, Store
from tests.lab.waiting import until
from tests.storage.conftest import Mover, SmallDisk, stores_of, tree_of

MIB = 1 << 20
FILES = {"train.py": b"#!/usr/bin/env python\n", "lib/a.py": b"a" * 5000, "空 b": b""}


def tar(files: dict[str, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as pack:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            pack.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def tar_with(*members: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as pack:
        for member in members:
            pack.addfile(member, io.BytesIO(b"x" * member.size))
    return buffer.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as pack:
        for name, content in files.items():
            pack.writestr(name, content)
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


PACKERS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "code.tar": tar,
    "code.tar.gz": lambda files: tar(files, "w:gz"),
    "code.tgz": lambda files: tar(files, "w:gz"),
    "code.zip": zipped,
}


@pytest.mark.parametrize("name", PACKERS)
def test_an_archive_becomes_the_directory_of_its_name(name: str, bucket: Bucket, mover: Mover, tmp_path: Path) -> None:
    bucket.put(f"a/{name}", PACKERS[name](FILES))
    report = mover.fetch(bucket.url(f"a/{name}"), tmp_path)
    assert tree_of(tmp_path) == {f"code/{path}": content for path, content in FILES.items()}
    assert report.root == str(tmp_path / "code")
    assert os.access(tmp_path / "code/train.py", os.X_OK)


@pytest.mark.parametrize("name", PACKERS)
def test_a_local_archive_too(name: str, local: Mover, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(PACKERS[name](FILES))
    local.fetch(str(tmp_path / name), tmp_path / "job")
    assert tree_of(tmp_path / "job/code") == FILES


def test_an_archive_of_one_directory_of_its_own_name_does_not_nest(local: Mover, tmp_path: Path) -> None:
    (tmp_path / "code.tgz").write_bytes(tar({f"code/{name}": content for name, content in FILES.items()}, "w:gz"))
    local.fetch(str(tmp_path / "code.tgz"), tmp_path / "job")
    assert tree_of(tmp_path / "job") == {f"code/{name}": content for name, content in FILES.items()}


def test_direct_and_a_second_time_over_what_is_there(local: Mover, tmp_path: Path) -> None:
    (tmp_path / "code.tar").write_bytes(tar(FILES))
    (tmp_path / "job").mkdir()
    (tmp_path / "job/mine").write_bytes(b"mine")
    (tmp_path / "job/train.py").write_bytes(b"old")
    for _ in range(2):
        local.fetch(str(tmp_path / "code.tar"), tmp_path / "job", direct=True)
        assert tree_of(tmp_path / "job") == {**FILES, "mine": b"mine"}


def test_without_unpack_an_archive_is_a_file(bucket: Bucket, mover: Mover, tmp_path: Path) -> None:
    bucket.put("a/data.tar", tar(FILES))
    mover.fetch(bucket.url("a/data.tar"), tmp_path, unpack=False)
    assert tree_of(tmp_path) == {"data.tar": tar(FILES)}


def test_links_inside_and_modes_are_kept(local: Mover, tmp_path: Path) -> None:
    script = member("bin/run", size=3)
    script.mode = 0o4755
    pack = tar_with(
        script, member("lib/real", size=2), member("lib/soft", tarfile.SYMTYPE, "../bin/run"),
        member("lib/hard", tarfile.LNKTYPE, "lib/real"), member("empty", tarfile.DIRTYPE),
    )  # fmt: skip
    (tmp_path / "c.tar").write_bytes(pack)
    local.fetch(str(tmp_path / "c.tar"), tmp_path / "job")
    root = tmp_path / "job/c"
    mode = stat.S_IMODE((root / "bin/run").stat().st_mode)
    assert mode & 0o100
    assert not mode & stat.S_ISUID
    assert os.readlink(root / "lib/soft") == "../bin/run"
    assert (root / "lib/hard").read_bytes() == b"xx"
    assert (root / "empty").is_dir()


@pytest.mark.parametrize(
    "members",
    [
        [member("../out", size=1)],
        [member("/etc/out", size=1)],
        [member("a/../../out", size=1)],
        [member("l", tarfile.SYMTYPE, "/etc/passwd")],
        [member("l", tarfile.SYMTYPE, "../out")],
        [member("a/l", tarfile.SYMTYPE, "../../out")],
        [member("l", tarfile.SYMTYPE, "a/../../out")],
        [member("d", tarfile.SYMTYPE, "."), member("d/l", tarfile.SYMTYPE, "..")],
        [member("d", tarfile.SYMTYPE, "."), member("d/f", size=1)],
        [member("h", tarfile.LNKTYPE, "../../../etc/passwd")],
        [member("h", tarfile.LNKTYPE, "nothing")],
        [member("s", tarfile.SYMTYPE, "t"), member("h", tarfile.LNKTYPE, "s")],
        [member("dev", tarfile.CHRTYPE)],
        [member("pipe", tarfile.FIFOTYPE)],
        [member("f", size=1), member("f/below", size=1)],
    ],
    ids=lambda members: "+".join(f"{each.name}>{each.linkname}" for each in members),
)
def test_an_archive_with_a_way_out_is_refused_and_leaves_nothing(
    members: list[tarfile.TarInfo], local: Mover, tmp_path: Path
) -> None:
    archive = tmp_path / "in/c.tar"
    archive.parent.mkdir()
    archive.write_bytes(tar_with(member("good", size=1), *members))
    (tmp_path / "job").mkdir()
    with pytest.raises(ArchiveInvalid) as caught:
        local.fetch(str(archive), tmp_path / "job")
    assert "c.tar" in str(caught.value)
    assert tree_of(tmp_path) == {"in/c.tar": archive.read_bytes()}


@pytest.mark.parametrize("name", ["code.tar", "code.tgz", "code.zip"])
@pytest.mark.parametrize("damage", ["cut", "garbage"])
def test_a_damaged_archive_is_refused(name: str, damage: str, local: Mover, tmp_path: Path) -> None:
    whole = PACKERS[name]({"a": os.urandom(20_000), "b": os.urandom(20_000)})
    (tmp_path / name).write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"no archive at all" * 100)
    with pytest.raises(ArchiveInvalid):
        local.fetch(str(tmp_path / name), tmp_path / "job")
    assert tree_of(tmp_path / "job") == {}


def test_a_zip_that_leaves_its_directory_is_refused(local: Mover, tmp_path: Path) -> None:
    (tmp_path / "c.zip").write_bytes(zipped({"../out": b"x"}))
    with pytest.raises(ArchiveInvalid):
        local.fetch(str(tmp_path / "c.zip"), tmp_path / "job")
    assert not (tmp_path / "out").exists()


LATER = {
    "link after link": [member("cur", tarfile.SYMTYPE, "v1"), member("cur", tarfile.SYMTYPE, "v2")],
    "link after file": [member("cur", size=3), member("cur", tarfile.SYMTYPE, "v2")],
    "file after link": [member("cur", tarfile.SYMTYPE, "v1"), member("cur", size=2)],
}


@pytest.mark.parametrize("order", LATER)
def test_the_later_of_two_members_of_one_name_counts_whatever_they_are(
    order: str, local: Mover, tmp_path: Path
) -> None:
    pack = tar_with(member("v1", size=1), member("v2", size=2), *LATER[order])
    (tmp_path / "c.tar").write_bytes(pack)
    local.fetch(str(tmp_path / "c.tar"), tmp_path)
    assert tree_of(tmp_path / "c") == {"v1": b"x", "v2": b"xx", "cur": b"xx"}
    assert (tmp_path / "c/cur").is_symlink() == order.startswith("link")


def link_of_zeros(size: int) -> bytes:
    buffer = io.BytesIO()
    info = zipfile.ZipInfo("l")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr(info, b"0" * size, compress_type=zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, None])
def test_what_is_to_be_read_into_memory_is_a_bomb_from_a_megabyte_on(
    kind: bytes | None, local: Mover, tmp_path: Path
) -> None:
    name = "c.tar.gz" if kind else "c.zip"
    size = 64 * MIB
    bomb = gzip.compress(tar_with(member("h", kind, size=size)), 1) if kind else link_of_zeros(size)
    (tmp_path / name).write_bytes(bomb)
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveInvalid, match=r"a header of|a link to a name of more"):
            local.fetch(str(tmp_path / name), tmp_path)
        assert tracemalloc.get_traced_memory()[1] < size / 4
    finally:
        tracemalloc.stop()


def test_an_archive_that_would_fill_the_disk_stops_before_it_does(
    local: Mover, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.tgz").write_bytes(tar({"zeros": bytes(10_000_000)}, "w:gz"))
    fields = list(os.statvfs(tmp_path))
    fields[1], fields[4] = 4096, 100
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(fields))
    with pytest.raises(DiskFull, match=r"409\.6 kB and \d+ inodes were free"):
        local.fetch(str(tmp_path / "c.tgz"), tmp_path / "job")
    assert tree_of(tmp_path / "job") == {}


def test_a_stop_ends_the_unpacking(local: Mover, tmp_path: Path) -> None:
    (tmp_path / "c.tar").write_bytes(tar(FILES))
    local.stop = threading.Event()
    local.stop.set()
    with pytest.raises(TransferStopped):
        local.fetch(str(tmp_path / "c.tar"), tmp_path / "job")
    assert tree_of(tmp_path / "job") == {}


# --- as it comes ---


def large(count: int, size: int, mode: str = "w") -> tuple[dict[str, bytes], bytes]:
    files = {f"d{number}/f{number}": os.urandom(1 << 16) * (size >> 16) for number in range(count)}
    return files, tar(files, mode)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_whatever_a_tar_is_compressed_with_is_seen_from_its_bytes(mode: str, local: Mover, tmp_path: Path) -> None:
    for name in ("a.tar", "b.tgz", "c.tar.gz", "d.tar.bz2", "e.tar.xz"):
        (tmp_path / name).write_bytes(tar(FILES, mode))
        local.fetch(str(tmp_path / name), tmp_path / "job")
        assert tree_of(tmp_path / "job" / name.partition(".")[0]) == FILES


def test_compressed_files_in_a_row_are_one_archive(local: Mover, tmp_path: Path) -> None:
    plain = tar(FILES)
    (tmp_path / "c.tgz").write_bytes(gzip.compress(plain[:700]) + gzip.compress(plain[700:]))
    local.fetch(str(tmp_path / "c.tgz"), tmp_path / "job")
    assert tree_of(tmp_path / "job/c") == FILES


@pytest.mark.parametrize("at", [512 + 10, 1024 + 3])  # tarfile alone ends there without a word
def test_a_damaged_header_in_the_middle_is_not_taken_for_the_end(at: int, local: Mover, tmp_path: Path) -> None:
    content = bytearray(tar({"a": b"", "b": b"", "c": b"c"}))
    content[at] ^= 1
    (tmp_path / "c.tar").write_bytes(content)
    with pytest.raises(ArchiveInvalid):
        local.fetch(str(tmp_path / "c.tar"), tmp_path / "job")
    assert tree_of(tmp_path / "job") == {}


def test_a_compressed_tar_whose_checksum_is_wrong_is_refused(local: Mover, tmp_path: Path) -> None:
    content = bytearray(tar(FILES, "w:gz"))
    content[-6] ^= 1
    (tmp_path / "c.tgz").write_bytes(content)
    with pytest.raises(ArchiveInvalid):
        local.fetch(str(tmp_path / "c.tgz"), tmp_path / "job")
    assert tree_of(tmp_path / "job") == {}


def test_the_second_of_two_members_of_one_name_does_not_write_into_the_firsts_hard_links(
    local: Mover, tmp_path: Path
) -> None:
    pack = tar_with(member("a", size=2), member("b", tarfile.LNKTYPE, "a"), member("a", size=3))
    (tmp_path / "c.tar").write_bytes(pack)
    local.fetch(str(tmp_path / "c.tar"), tmp_path / "job")
    assert tree_of(tmp_path / "job/c") == {"a": b"xxx", "b": b"xx"}


def test_a_tar_is_unpacked_while_it_comes_and_never_stored(
    seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    files, content = large(20, 1 << 20)
    bucket = seaweedfs.make_bucket()
    bucket.put("a/code.tar", content)
    release = threading.Event()

    def hold(handler: Handler) -> None:
        if f"bytes={16 * MIB}-" in (handler.headers["Range"] or ""):
            release.wait(60)

    faulty.inject(faulty_proxy.Fault("a later piece waits", first=hold), key="*/a/code.tar", times=None)
    seen: dict[str, int] = {}

    def look() -> None:
        def fourteen() -> bool:
            seen.update({path.name: path.stat().st_size for path in (tmp_path / "job").rglob("*") if path.is_file()})
            return len(seen) >= 14

        until(fourteen)
        seen["under its name"] = (tmp_path / "job/code").exists()
        release.set()

    looking = threading.Thread(target=look)
    looking.start()
    Mover(stores_of(seaweedfs, url=faulty.endpoint)).fetch(bucket.url("a/code.tar"), tmp_path / "job")
    looking.join()
    assert seen.pop("under its name") == 0
    assert len(seen) >= 14
    assert max(seen.values()) == 1 << 20
    assert tree_of(tmp_path / "job") == {f"code/{name}": content for name, content in files.items()}


@pytest.mark.parametrize(
    "fault",
    [
        faulty_proxy.reset_answer(after=3_000_000),
        faulty_proxy.truncated(after=3_000_000),
        faulty_proxy.corrupted(at=10),  # the first piece's first header
        faulty_proxy.corrupted(at=100_000),  # a member's content: only the digest tells
        faulty_proxy.refused(503, "SlowDown"),
    ],
    ids=["reset", "truncated", "wrong header", "wrong content", "SlowDown"],
)
def test_a_stream_that_breaks_or_comes_wrong_ends_with_the_exact_tree(
    fault: faulty_proxy.Fault, seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    files, content = large(10, 1 << 20)
    bucket = seaweedfs.make_bucket()
    bucket.put("a/code.tar", content)
    injection = faulty.inject(fault, key="*/a/code.tar", method="GET", times=2)
    report = Mover(stores_of(seaweedfs, url=faulty.endpoint)).fetch(bucket.url("a/code.tar"), tmp_path)
    assert injection.hits == 2
    assert tree_of(tmp_path) == {f"code/{name}": content for name, content in files.items()}
    assert (report.files, report.bytes) == (10, len(content))


def test_a_stream_that_breaks_goes_on_where_it_broke(seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path) -> None:
    files, content = large(3, 1 << 20)
    bucket = seaweedfs.make_bucket()
    bucket.put("a/code.tar", content)
    faulty.inject(faulty_proxy.truncated(after=2_500_000), key="*/a/code.tar", method="GET")
    Mover(stores_of(seaweedfs, url=faulty.endpoint)).fetch(bucket.url("a/code.tar"), tmp_path)
    bodies = [seen for seen in faulty.seen if seen.method == "GET" and seen.key.endswith("code.tar")]
    first, second = [seen.headers["Range"] for seen in bodies]
    assert first == f"bytes=0-{len(content) - 1}"
    assert 2_000_000 < int(second[len("bytes=") :].partition("-")[0]) <= 2_500_000
    assert tree_of(tmp_path / "code") == files


def test_an_archive_replaced_while_it_is_read_is_read_again(
    seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    _, old = large(20, 1 << 20)
    files, new = large(20, 1 << 20)
    bucket = seaweedfs.make_bucket()
    bucket.put("a/code.tar", old)
    replace = threading.Lock()

    def swap(handler: Handler) -> None:
        if f"bytes={16 * MIB}-" in (handler.headers["Range"] or "") and replace.acquire(blocking=False):
            bucket.put("a/code.tar", new)

    faulty.inject(faulty_proxy.Fault("another archive", first=swap), key="*/a/code.tar", times=None)
    mover = Mover(stores_of(seaweedfs, url=faulty.endpoint))
    mover.fetch(bucket.url("a/code.tar"), tmp_path)
    assert tree_of(tmp_path / "code") == files
    assert mover.fetch(bucket.url("a/code.tar"), tmp_path).files == 0


def test_what_an_archive_in_a_store_may_not_hold_is_refused_and_nothing_stays(
    seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put("a/code.tar", tar_with(member("good", size=1), member("../out", size=1)))
    with pytest.raises(ArchiveInvalid):
        Mover(stores_of(seaweedfs, url=faulty.endpoint)).fetch(bucket.url("a/code.tar"), tmp_path / "job")
    assert tree_of(tmp_path) == {}


def test_a_tar_needs_room_for_its_content_once(seaweedfs: Store, tmp_path: Path, small_disk: SmallDisk) -> None:
    files, content = large(10, 4 << 20)
    bucket = seaweedfs.make_bucket()
    bucket.put("a/code.tar", content)
    disk = small_disk(size=60 << 20)
    Mover(stores_of(seaweedfs)).fetch(bucket.url("a/code.tar"), disk)
    assert tree_of(disk / "code") == files


@pytest.mark.parametrize(("files", "fits"), [(20, True), (40, False)])
def test_an_archive_needs_an_inode_for_each_of_its_files(
    files: int, fits: bool, tmp_path: Path, local: Mover, small_disk: SmallDisk
) -> None:
    tree = {f"d/{number}": b"x" for number in range(files)}
    (tmp_path / "code.tgz").write_bytes(PACKERS["code.tgz"](tree))
    disk = small_disk(size=60 << 20, inodes=30)
    with nullcontext() if fits else pytest.raises(DiskFull, match="and 0 inodes are free"):
        local.fetch(str(tmp_path / "code.tgz"), disk, unpack=True)
    assert tree_of(disk / "code") == tree if fits else not (disk / "code/d").exists()


# --- again ---


@pytest.fixture(params=["code.tgz", "code.zip"])
def again(
    request: pytest.FixtureRequest, seaweedfs: Store, faulty: FaultyProxy
) -> tuple[str, Bucket, Mover, Callable[[], int]]:
    """An archive of FILES, fetched from a bucket; and how many times its body was asked for since last time."""
    bucket = seaweedfs.make_bucket()
    bucket.put(request.param, PACKERS[request.param](FILES))

    def bodies() -> int:
        count = sum(seen.method == "GET" and seen.key.endswith(request.param) for seen in faulty.seen)
        faulty.seen.clear()
        return count

    return request.param, bucket, Mover(stores_of(seaweedfs, url=faulty.endpoint)), bodies


Again = tuple[str, Bucket, Mover, Callable[[], int]]


def test_an_unchanged_archive_is_not_asked_for_again(again: Again, tmp_path: Path) -> None:
    name, bucket, mover, bodies = again
    mover.fetch(bucket.url(name), tmp_path)
    assert bodies() == 1
    (tmp_path / "code/mine").write_bytes(b"mine")
    os.utime(tmp_path / "code/lib/a.py", (1, 1))
    report = mover.fetch(bucket.url(name), tmp_path)
    assert bodies() == 0
    assert (report.files, report.skipped, report.bytes) == (0, len(FILES), 0)
    assert tree_of(tmp_path / "code") == {**FILES, "mine": b"mine"}


def test_an_archive_that_changed_is_unpacked_over_the_old_one(again: Again, tmp_path: Path) -> None:
    name, bucket, mover, _ = again
    mover.fetch(bucket.url(name), tmp_path)
    (tmp_path / "code/train.py").write_bytes(b"mine")
    bucket.put(name, PACKERS[name]({"train.py": b"new", "more": b"more"}))
    mover.fetch(bucket.url(name), tmp_path, changed="keep", extra="delete")
    assert tree_of(tmp_path / "code") == {"train.py": b"new", "more": b"more"}


def test_a_directory_in_a_former_links_place_does_not_land_where_that_led(local: Mover, tmp_path: Path) -> None:
    (tmp_path / "c.tar").write_bytes(tar_with(member("v1/w", size=1), member("latest", tarfile.SYMTYPE, "v1")))
    local.fetch(str(tmp_path / "c.tar"), tmp_path)
    (tmp_path / "c.tar").write_bytes(tar_with(member("v1/w", size=1), member("latest/w", size=2)))
    local.fetch(str(tmp_path / "c.tar"), tmp_path)
    assert tree_of(tmp_path / "c") == {"v1/w": b"x", "latest/w": b"xx"}


def test_what_was_changed_in_an_unpacked_tree_is_restored_or_kept(again: Again, tmp_path: Path) -> None:
    name, bucket, mover, bodies = again
    mover.fetch(bucket.url(name), tmp_path)
    bodies()
    (tmp_path / "code/train.py").write_bytes(b"#!/usr/bin/env mine!!\n")
    report = mover.fetch(bucket.url(name), tmp_path, changed="keep")
    assert bodies() == 0
    assert [path for path, _ in report.left_out] == ["train.py"]
    (tmp_path / "code/lib/a.py").unlink()
    mover.fetch(bucket.url(name), tmp_path, changed="keep")
    assert bodies() == 1
    assert tree_of(tmp_path / "code") == {**FILES, "train.py": b"#!/usr/bin/env mine!!\n"}
    mover.fetch(bucket.url(name), tmp_path)
    assert tree_of(tmp_path / "code") == FILES


def test_links_and_directories_of_an_archive_are_known_again(local: Mover, tmp_path: Path) -> None:
    pack = tar_with(member("f", size=2), member("l", tarfile.SYMTYPE, "f"), member("empty", tarfile.DIRTYPE))
    (tmp_path / "c.tar").write_bytes(pack)
    assert local.fetch(str(tmp_path / "c.tar"), tmp_path).files == 2
    assert local.fetch(str(tmp_path / "c.tar"), tmp_path).skipped == 2
    (tmp_path / "c/empty").rmdir()
    (tmp_path / "c/l").unlink()
    (tmp_path / "c/l").symlink_to("other")
    assert local.fetch(str(tmp_path / "c.tar"), tmp_path).files == 2
    assert (tmp_path / "c/empty").is_dir()
    assert os.readlink(tmp_path / "c/l") == "f"


def test_a_link_that_leads_out_once_the_single_top_directory_is_dropped_is_refused(
    local: Mover, tmp_path: Path
) -> None:
    """Its next version would write through it, into the neighbour of where the code lands."""
    neighbour = tmp_path / "job/neighbour"
    neighbour.mkdir(parents=True)
    link = member("app/l", tarfile.SYMTYPE, "../neighbour")
    for first in (tar_with(member("app", tarfile.DIRTYPE), link), tar_with(link), tar_with(member("app/f"), link)):
        (tmp_path / "app.tar").write_bytes(first)
        for direct in (True, False):
            with pytest.raises(ArchiveInvalid, match=r"leads out"):
                local.fetch(str(tmp_path / "app.tar"), tmp_path / "job/code", direct=direct)
    (tmp_path / "app.tar").write_bytes(tar_with(member("app/l/x", size=1)))
    local.fetch(str(tmp_path / "app.tar"), tmp_path / "job/code", direct=True)
    assert list(neighbour.iterdir()) == []
    inside = tar_with(member("app/a/f", size=1), member("app/b/l", tarfile.SYMTYPE, "../a/f"))
    (tmp_path / "app.tar").write_bytes(inside)
    local.fetch(str(tmp_path / "app.tar"), tmp_path / "other")
    assert os.readlink(tmp_path / "other/app/b/l") == "../a/f"


def test_a_link_in_the_single_top_directorys_place_is_none(local: Mover, tmp_path: Path) -> None:
    (tmp_path / "app.tar").write_bytes(tar_with(member("app", tarfile.SYMTYPE, ".")))
    local.fetch(str(tmp_path / "app.tar"), tmp_path / "job")
    assert (tmp_path / "job/app").is_dir()
    assert not (tmp_path / "job/app").is_symlink()
    assert os.readlink(tmp_path / "job/app/app") == "."


@pytest.mark.parametrize("name", ["...tar", "..tar"])
def test_an_archive_that_would_unpack_into_its_own_directory_or_the_one_above_is_a_file(
    name: str, local: Mover, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(tar_with(member("f", size=1)))
    local.fetch(str(tmp_path / name), tmp_path / "job")
    assert os.listdir(tmp_path / "job") == [name]
