"""What is to be sent, in columns: each item comes back as the walk has found it."""

from __future__ import annotations

import os
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from bootstrap.storage.schemes import parse
from bootstrap.storage.upload.items import ENDLESS, Items
from bootstrap.storage.upload.walk import Item, items_of
from tests.storage.conftest import make_tree

FILES = {"a": b"1", "b/c": b"22", "b/d.bin": b"333", "e/é": b"4444"}


@pytest.mark.parametrize("target", ["obs://bkt/base/", "obs://bkt", "obs://bkt/base"])
def test_items_come_back_as_they_were(tmp_path: Path, target: str) -> None:
    source = make_tree(tmp_path / "source", FILES)
    (source / "empty").mkdir()
    os.symlink("a", source / "link")
    found = [replace(item, found=None) for item in items_of(source, parse(target), [], [], "record")]
    found += [Item("other", "elsewhere/key", tmp_path / "somewhere", 7), Item("x", "base/x", None, 1, b"x")]
    items = Items.of(found)
    assert list(items) == found and list(items.names) == [item.name for item in found]
    assert (len(items), items.bytes) == (len(found), sum(item.size for item in found))
    large = items.of_size(3, ENDLESS)
    assert list(large) == [item for item in found if item.size >= 3]
    assert sorted([*large.names, *items.of_size(0, 3).names]) == sorted(items.names)


def test_a_single_file_and_nothing_are_items_as_well(tmp_path: Path) -> None:
    (source := tmp_path / "one.txt").write_bytes(b"one")
    for target in ("obs://bkt/other-name", "obs://bkt/d/"):
        (item,) = Items.of(items_of(source, parse(target), [], []))
        assert (item.path, item.size, item.name) == (source, 3, "one.txt")
        assert item.key == {"obs://bkt/d/": "d/one.txt"}.get(target, "other-name")
    assert list(Items.of(())) == []


def test_an_item_takes_a_hundred_bytes() -> None:
    """What is freed with them: Python's own tables, of interned names say, may grow meanwhile, and stay."""
    count = 10_000
    ours = tracemalloc.Filter(True, __file__, all_frames=True)  # threads of other tests may not have ended yet

    def held() -> int:
        return sum(one.size for one in tracemalloc.take_snapshot().filter_traces([ours]).traces)

    tracemalloc.start(8)
    try:
        names = (f"runs/{n // 100:04d}/sample-{n:07d}.json" for n in range(count))
        items = Items.of(Item(name, f"out/{name}", Path(f"/data/{name}"), n) for n, name in enumerate(names))
        assert len(items) == count
        before = held()
        del items
        freed = before - held()
    finally:
        tracemalloc.stop()
    assert 20 < freed / count < 100
