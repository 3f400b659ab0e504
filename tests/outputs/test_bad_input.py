"""Directories and names that nobody would wish for: said with their names, and nothing else is lost by them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.errors import DiskFull, NothingThere, PathUnusable
from bootstrap.job import Credentials, Endpoint
from bootstrap.outputs.local.snapshot import Snapshots
from bootstrap.outputs.resume.restore import restore
from bootstrap.storage.open import Stores
from tests.outputs.conftest import NEVER, Heard, Place, end, settle, write


def test_a_directory_that_vanishes_is_said_and_comes_back(nas: Place, root: Path) -> None:
    write(root, {"a.pt": "1"})
    publisher = nas.publisher(root)
    publisher.round(NEVER)
    shutil.rmtree(root)
    with pytest.raises(NothingThere):
        publisher.round(NEVER)
    assert isinstance(end(publisher).error, NothingThere)
    write(root, {"b.pt": "2"})
    publisher.round(NEVER)
    assert sorted(nas.complete()) == ["a.pt", "b.pt"], "what was there stays: deletions are not mirrored"


def test_a_directory_that_becomes_a_file_is_said(nas: Place, root: Path) -> None:
    publisher = nas.publisher(root)
    root.rmdir()
    root.write_text("a file now")
    publisher.round(NEVER)
    assert f"{root} was a directory and is a file" in nas.log.text()
    assert end(publisher).complete and nas.get("out") == b"a file now"
    root.unlink()
    os.mkfifo(root)
    with pytest.raises(PathUnusable):
        publisher.round(NEVER)
    assert isinstance(end(publisher).error, PathUnusable)


def test_names_that_cannot_be_keys_sockets_pipes_and_loops_hold_up_nothing(nas: Place, root: Path) -> None:
    write(root, {"good.pt": "1", "deep/good.txt": "2"})
    with open(os.path.join(os.fsencode(root), b"bad-\xff.pt"), "wb") as file:
        file.write(b"3")
    os.mkfifo(root / "pipe")
    (root / "loop").symlink_to("loop")
    (root / "up").symlink_to("..")
    (root / "deep/back").symlink_to("../deep")
    with socket.socket(socket.AF_UNIX) as server:
        old = os.getcwd()
        os.chdir(root)
        server.bind("socket")
        os.chdir(old)
        publisher = nas.publisher(root)
        publisher.round(NEVER)
        assert nas.names() == ["bad-\udcff.pt", "deep/good.txt", "good.pt"], "a directory takes what a bucket cannot"
        assert sorted(nas.complete()) == ["bad-\udcff.pt", "good.pt"]
        delivery = end(publisher)
    assert {one.path for one in delivery.undelivered} == {"up"}
    assert delivery.report is not None
    assert {name for name, _ in delivery.report.left_out} == {"pipe", "socket", "loop", "deep/back"}
    assert not delivery.complete
    (run,) = nas.contents().runs
    assert not run.complete


def test_a_name_that_cannot_be_a_key_is_named_and_the_rest_goes(bucket_place: Place, root: Path) -> None:
    write(root, {"good.pt": "1"})
    with open(os.path.join(os.fsencode(root), b"bad-\xff.pt"), "wb") as file:
        file.write(b"3")
    delivery = end(bucket_place.publisher(root))
    assert bucket_place.complete() == ["good.pt"]
    ((one,)) = delivery.undelivered
    assert one.path == repr("bad-\udcff.pt") and "not UTF-8" in one.why


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    place = tmp_path / "small"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("needs the right to mount")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_target_that_is_full_keeps_what_is_complete(small: Path, root: Path) -> None:
    place = Place(f"{small}/out/", Stores(Endpoint("http://127.0.0.1:9"), lambda: Credentials("a", "b"), Heard()))
    write(root, {"last.ckpt": b"1" * 500_000})
    publisher = place.publisher(root)
    publisher.round(NEVER)
    write(root, {"last.ckpt": b"2" * 900_000}, age=30)
    try:
        publisher.round(NEVER)
    except DiskFull:
        pass
    assert place.complete() == ["last.ckpt"]
    assert place.get("last.ckpt") == b"1" * 500_000
    delivery = end(publisher)
    ((one,)) = delivery.undelivered
    assert (one.path, one.size) == ("last.ckpt", 900_000) and "No space left" in one.why
    write(root, {"last.ckpt": b"3" * 300_000}, age=10)
    settle(publisher)
    assert place.get("last.ckpt") == b"3" * 300_000


def test_a_hole_comes_back_to_a_disk_that_could_not_hold_its_zeros(small: Path, nas: Place, root: Path) -> None:
    with (root / "sparse.pt").open("wb") as file:
        file.truncate(64 << 20)
        file.seek(40 << 20)
        file.write(b"data")
    nas.publisher(root).round(NEVER)
    resumed = restore(
        nas.publisher(small / "out"), nas.contents(), reread=nas.contents, same_job=True, stop=NEVER, log=nas.log
    )
    assert resumed is not None, nas.log.text()
    assert (small / "out/sparse.pt").read_bytes() == (root / "sparse.pt").read_bytes()


def test_an_output_that_is_its_own_target_is_not_copied(tmp_path: Path) -> None:
    root = tmp_path / "out"
    place = Place(f"{root}/", Stores(Endpoint("http://127.0.0.1:9"), lambda: Credentials("a", "b"), Heard()))
    write(root, {"last.ckpt": b"1", "metrics.json": "{}"})
    inode = (root / "last.ckpt").stat().st_ino
    publisher = place.publisher(root)
    publisher.round(NEVER)
    assert (root / "last.ckpt").stat().st_ino == inode
    assert place.complete() == ["last.ckpt"]
    publisher.round(NEVER)
    assert publisher.sender.sent == 0
    assert place.names() == ["last.ckpt", "metrics.json"]


def test_a_target_inside_the_output_is_not_sent_into_itself(tmp_path: Path) -> None:
    root = tmp_path / "out"
    place = Place(f"{root}/published/", Stores(Endpoint("http://127.0.0.1:9"), lambda: Credentials("a", "b"), Heard()))
    write(root, {"a.pt": b"1"})
    publisher = place.publisher(root)
    publisher.round(NEVER)
    publisher.round(NEVER)
    assert place.names() == ["a.pt"]


def test_a_file_that_is_mostly_a_hole_is_said(nas: Place, root: Path) -> None:
    with (root / "sparse.bin").open("wb") as file:
        file.truncate(8 << 20)
    nas.publisher(root).round(NEVER)
    assert "sparse.bin has holes, which stay holes: 8.4 MB, of which 0 bytes are on the disk" in nas.log.text()


def test_a_copy_leaves_room_for_what_the_trainer_writes_next(small: Path) -> None:
    write(small, {"last.ckpt": b"1" * 250_000, "small.ckpt": b"2" * 100_000})
    free = os.statvfs(small).f_bavail
    with Snapshots() as snapshots:
        with pytest.raises(OSError, match="too little room"):
            snapshots.take(small / "last.ckpt", small)
        assert os.statvfs(small).f_bavail == free
        assert snapshots.take(small / "small.ckpt", small).read_bytes() == b"2" * 100_000
    assert os.statvfs(small).f_bavail == free
