"""The rest of a long listing, side by side: the same keys in the same order as page by page, from any shape of tree."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator

import pytest

from bootstrap.job import Endpoint
from bootstrap.storage.model.listing import Entries
from bootstrap.storage.model.pipeline import NeedsFallback
from bootstrap.storage.model.store import Entry
from bootstrap.storage.s3.fast import client, ranges
from bootstrap.storage.s3.fast.client import FastClient
from bootstrap.storage.s3.fast.ranges import rest_of
from bootstrap.storage.s3.keys import Keys
from tests.lab.stores import Bucket, Store
from tests.storage.conftest import credentials_of


class Told:
    """What a store tells of its keys, ten on each page, for shapes of which no real store here is needed."""

    def __init__(self, keys: list[str], *, knows_after: bool = True, in_order: bool = True) -> None:
        self._keys, self._knows_after, self._in_order = keys, knows_after, in_order
        self.asked = 0

    def objects(self, prefix: str, after: str) -> Iterator[Entries]:
        keys = [key for key in self._keys if key.startswith(prefix) and (key > after or not self._knows_after)]
        if not self._in_order:
            random.Random(1).shuffle(keys)
        for first in range(0, max(1, len(keys)), 10):
            self.asked += 1
            yield Entries.of(Entry(key, 1) for key in keys[first : first + 10])

    def directories(self, above: str, after: str) -> Iterator[list[str]]:
        names = {
            key[len(above) :].partition("/")[0]
            for key in self._keys
            if key.startswith(above) and "/" in key[len(above) :]
        }
        found = sorted(f"{above}{name}/" for name in names)
        found = [name for name in found if name >= after]
        for first in range(0, max(1, len(found)), 10):
            self.asked += 1
            yield found[first : first + 10]


def tree(seed: int) -> list[str]:
    """Keys of a tree whose directories have markers, names that sort around a slash, and none or many files."""
    dice = random.Random(seed)
    keys = set[str]()
    directories = ["t/"]
    for _ in range(dice.choice([5, 40, 150])):
        above = dice.choice(directories)
        below = f"{above}{dice.choice(['d', 'd.', 'd0', 'é', '日'])}{dice.randrange(50)}/"
        directories.append(below)
        if dice.random() < 0.3:
            keys.add(below)
        keys.update(f"{below}{dice.randrange(1000)}" for _ in range(dice.choice([0, 1, 3, 30])))
    return sorted(keys | {"t/a", "t/zz"})


@pytest.mark.parametrize("seed", range(12))
def test_ranges_have_every_key_once_and_in_order(seed: int) -> None:
    keys = tree(seed)
    for after in random.Random(seed).sample(keys, min(4, len(keys))):
        rest = [key for one in rest_of(Told(keys), "t/", after) for key in one.keys]
        assert rest == keys[bisect_right(keys, after) :] or not rest


def test_a_flat_tree_is_left_to_a_listing_page_by_page() -> None:
    bucket = Told([f"t/{n:04d}" for n in range(100)])
    assert rest_of(bucket, "t/", "t/0010") == []
    assert bucket.asked == 0


def test_many_small_directories_are_put_together() -> None:
    keys = [f"t/d{n // 4:04d}/{n:05d}" for n in range(2000)]
    bucket = Told(keys)
    ranges = rest_of(bucket, "t/", keys[9])
    assert sum(map(len, ranges)) == 1990
    assert bucket.asked < 300  # 200 pages, 50 of directories, and one more for each range


@pytest.mark.parametrize("oddity", ["knows_after", "in_order"])
def test_a_store_that_lists_otherwise_is_found_out(oddity: str) -> None:
    keys = [f"t/d{n // 10}/{n:04d}" for n in range(400)]
    with pytest.raises(NeedsFallback):
        rest_of(Told(sorted(keys), **{oddity: False}), "t/", sorted(keys)[9])


def fast_client(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> FastClient:
    """For which five keys are a page, and two pages many."""
    for name, value in (("_PAGE", 5), ("_MANY_PAGES", 2), ("_WAITS", 0.0)):
        monkeypatch.setattr(client, name, value)
    store = bucket.store
    return FastClient(bucket.name, Endpoint(store.endpoint, store.region), Keys(lambda: credentials_of(store)))


def test_a_real_store_is_listed_in_ranges(seaweedfs: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket, ranges_of = seaweedfs.make_bucket(), list[int]()
    keys = sorted([*(f"t/d{n % 9}/é {n}" for n in range(36)), "t/d1/below/z", "t/end"])
    bucket.put_tree("", dict.fromkeys(keys, b"x"))

    def noted(*arguments: object) -> list[Entries]:
        rest = rest_of(*arguments)  # type: ignore[arg-type]
        ranges_of.append(len(rest))
        return rest

    monkeypatch.setattr(ranges, "rest_of", noted)
    assert list(fast_client(bucket, monkeypatch).entries("t/").keys) == keys
    assert ranges_of and ranges_of[0] > 1


def test_every_real_store_gives_each_key_once_in_whatever_order_it_lists(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = sorted([*(f"t/d{n % 9}/{n}" for n in range(18)), "t/d1.x/y", "t/d1.y"])  # directories first, some say
    bucket.put_tree("", dict.fromkeys(keys, b"x"))
    assert sorted(fast_client(bucket, monkeypatch).entries("t/").keys) == keys
