"""Holes in files cost what they hold, which is nothing."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from bootstrap.storage.common.sparse import pieces, stretches
from bootstrap.storage.local.store import FileStore
from bootstrap.storage.s3.bucket import BucketStore
from bootstrap.storage.schemes import parse
from tests.lab.stores import Store
from tests.storage.conftest import Mover, stores_of

MIB = 1 << 20


@pytest.fixture
def sparse(tmp_path: Path) -> Iterator[int]:
    """64 MiB, of which 3 in the middle and 1 at the end are data."""
    path = tmp_path / "sparse"
    chance = random.Random(1)
    with path.open("wb") as file:
        for at in (20, 21, 30, 63):
            file.seek(at * MIB)
            file.write(chance.randbytes(MIB))
    if path.stat().st_blocks * 512 > 16 * MIB:
        pytest.skip("this file system keeps no holes")
    file_ = os.open(path, os.O_RDONLY)
    yield file_
    os.close(file_)


def read_by_us() -> int:
    """Bytes that this process has had out of files so far."""
    return int(Path("/proc/self/io").read_text().split("rchar:")[1].split()[0])


def test_bytes_are_the_same_and_holes_are_not_read(sparse: int) -> None:
    expected = os.pread(sparse, 64 * MIB, 0)
    before = read_by_us()
    found = b"".join(pieces(sparse, 0, 64 * MIB, MIB))
    cost = read_by_us() - before
    assert found == expected
    assert 4 * MIB <= cost < 6 * MIB


@pytest.mark.parametrize(
    ("start", "end"), [(0, 10), (19 * MIB, 20 * MIB + 7), (21 * MIB + 3, 29 * MIB), (62 * MIB, 99 * MIB)]
)
def test_any_part_of_it(sparse: int, start: int, end: int) -> None:
    assert b"".join(pieces(sparse, start, end, 300_000)) == os.pread(sparse, end - start, start)
    found = list(stretches(sparse, start, end))
    assert found[0][0] == start and found[-1][1] == min(end, 64 * MIB)
    assert all(left[1] == right[0] and left[2] != right[2] for left, right in pairwise(found))


def test_a_file_without_holes_is_one_stretch(tmp_path: Path) -> None:
    (tmp_path / "full").write_bytes(b"x" * 100_000)
    with (tmp_path / "full").open("rb") as file:
        assert list(stretches(file.fileno(), 0, 100_000)) == [(0, 100_000, True)]
        assert list(stretches(file.fileno(), 99_999, 200_000)) == [(99_999, 100_000, True)]
        assert list(stretches(file.fileno(), 100_000, 200_000)) == []


def test_a_copy_in_a_directory_keeps_holes_and_counts_their_bytes(sparse: int, tmp_path: Path) -> None:
    heard: list[int] = []
    FileStore(Path("/")).write(f"{tmp_path}/nas/copy".lstrip("/"), tmp_path / "sparse", moved=heard.append)
    copy = tmp_path / "nas/copy"
    assert copy.read_bytes() == (tmp_path / "sparse").read_bytes()
    assert copy.stat().st_blocks * 512 < 16 * MIB
    assert sum(heard) == 64 * MIB and len(heard) > 5


def test_a_tree_that_is_copied_keeps_holes(sparse: int, local: Mover, tmp_path: Path) -> None:
    report = local.fetch(f"{tmp_path}/sparse", tmp_path / "copies")
    copy = tmp_path / "copies/sparse"
    assert copy.read_bytes() == (tmp_path / "sparse").read_bytes()
    assert copy.stat().st_blocks * 512 < 16 * MIB
    assert report.bytes == 64 * MIB


def test_a_hole_at_the_end_is_copied_too(local: Mover, tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.write(b"data")
        file.truncate(8 * MIB)
    local.fetch(f"{tmp_path}/sparse", tmp_path / "copies")
    assert (tmp_path / "copies/sparse").read_bytes() == (tmp_path / "sparse").read_bytes()


def test_boto3_reads_no_holes_either(sparse: int, seaweedfs: Store, tmp_path: Path) -> None:
    bucket = seaweedfs.make_bucket()
    store = stores_of(seaweedfs).open(parse(bucket.url("")))
    assert isinstance(store, BucketStore)
    before = read_by_us()
    store.boto.write("sparse", tmp_path / "sparse")
    assert read_by_us() - before < 16 * MIB, "twice what is there: for its MD5, and to be sent"
    assert bucket.get("sparse") == (tmp_path / "sparse").read_bytes()
