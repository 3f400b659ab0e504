"""What a fetch remembers of an earlier one: the last word on each path, and little memory for each."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from bootstrap.storage.fetch.files import Files
from bootstrap.storage.fetch.index import FetchIndex
from bootstrap.storage.fetch.plan import plan_tree
from bootstrap.storage.model.listing import Entries
from bootstrap.storage.model.store import Entry
from bootstrap.storage.schemes import parse

SOURCE = "obs://bucket/data/"


def entries(count: int, tag: str = "") -> list[Entry]:
    return [Entry(f"data/d{n // 100:03d}/f{n:06d}", 1, tag or f"{n:032x}", 5.0) for n in range(count)]


def files(count: int, tag: str = "") -> Files:
    return plan_tree(Entries.of(entries(count, tag)), "data/", parse(SOURCE)).files


def noted(root: Path, wanted: Files, *, complete: bool = True) -> None:
    """What a fetch that has brought these leaves."""
    index = FetchIndex(os.fspath(root), SOURCE)
    index.begin()
    for path, entry in wanted:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"1")
        index.note(path, entry, os.stat(root / path).st_mtime_ns, "digest")
    index.close(complete)


def standing(root: Path, wanted: Files) -> tuple[int, list[str], list[str]]:
    index = FetchIndex(os.fspath(root), SOURCE)
    try:
        same, changed, missing = index.stand(wanted)
    finally:
        index.close(True)
    return same, list(changed.paths), list(missing.paths)


@pytest.mark.parametrize("order", [1, -1])
def test_files_are_found_in_whatever_order_they_were_noted(tmp_path: Path, order: int) -> None:
    root, wanted = tmp_path / "d", files(30)
    noted(root, wanted.only(list(wanted.rows)[::order]))
    (root / "d000/f000003").unlink()
    (root / "d000/f000007").write_bytes(b"mine")
    more = files(33)
    new = ["d000/f000030", "d000/f000031", "d000/f000032"]
    assert standing(root, more) == (28, ["d000/f000007"], ["d000/f000003", *new])


def test_what_is_noted_last_of_a_path_holds(tmp_path: Path) -> None:
    root = tmp_path / "d"
    noted(root, files(10, "old"))
    noted(root, files(10, "new"))
    assert standing(root, files(10, "old")) == (0, [], list(files(10).paths))
    assert standing(root, files(10, "new")) == (10, [], [])


def test_what_holds_outlives_what_is_written_anew(tmp_path: Path) -> None:
    root, wanted = tmp_path / "d", files(20)
    noted(root, wanted)
    (manifest,) = tmp_path.glob(".bootstrap-*.manifest")
    head, _, lines = manifest.read_bytes().partition(b"\n")
    manifest.write_bytes(head + b"\n" + lines.replace(b'"digest"', b'"other"') * 300 + lines)
    assert standing(root, wanted) == (20, [], [])
    assert manifest.read_bytes().count(b"\n") == 22
    assert b"other" not in manifest.read_bytes()
    assert standing(root, wanted) == (20, [], [])


def test_members_of_an_archive_are_those_of_its_last_state(tmp_path: Path) -> None:
    root = tmp_path / "d"
    noted(root, files(5, "old 1"))
    noted(root, files(3, "new 1"))
    index = FetchIndex(os.fspath(root), SOURCE)
    assert list(index.members("old 1").paths) == ["d000/f000003", "d000/f000004"]
    assert list(index.members("new 1")) == [(f"d000/f00000{n}", Entry("", 1, "new 1")) for n in range(3)]
    assert len(index.members("never")) == 0
    index.close(False)


def test_a_file_of_a_second_fetch_takes_little_memory(tmp_path: Path) -> None:
    """Entries, plan and what was noted: a million of them have to fit into 300 MB, with the process itself."""
    count, root = 10_000, tmp_path / "d"
    index = FetchIndex(os.fspath(root), SOURCE)
    for path, entry in files(count):
        index.note(path, entry, 1, "")
    index.close(True)
    tracemalloc.start()
    try:
        wanted = files(count)
        index = FetchIndex(os.fspath(root), SOURCE)
        assert len(index.stand(wanted).missing) == count  # none is really there
        index.close(True)
        del index
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (peak - (3 << 20)) / count < 250  # 3 MiB: lines that are read together, whatever the number of files
