from __future__ import annotations

import io
import os
import stat
import tarfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bootstrap.errors import ArchiveInvalid, DiskFull
from bootstrap.storage.transfer import TransferStopped
from tests.lab.stores import Bucket
from tests.storage.conftest import Mover, tree_of

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
    assert tree_of(tmp_path) == {"in/c.tar": archive.read_bytes(), "job/": b""}


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


def test_an_archive_that_would_fill_the_disk_stops_before_it_does(
    local: Mover, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.tgz").write_bytes(tar({"zeros": bytes(10_000_000)}, "w:gz"))
    fields = list(os.statvfs(tmp_path))
    fields[1], fields[4] = 4096, 100
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(fields))
    with pytest.raises(DiskFull):
        local.fetch(str(tmp_path / "c.tgz"), tmp_path / "job")
    assert tree_of(tmp_path / "job") == {}


def test_a_stop_ends_the_unpacking(local: Mover, tmp_path: Path) -> None:
    (tmp_path / "c.tar").write_bytes(tar(FILES))
    local.stop = threading.Event()
    local.stop.set()
    with pytest.raises(TransferStopped):
        local.fetch(str(tmp_path / "c.tar"), tmp_path / "job")
    assert tree_of(tmp_path / "job") == {}
