"""Listings in columns: they give back what was put in, and take little."""

from __future__ import annotations

import tracemalloc

import pytest

from bootstrap.storage.common.hashes import Hashes
from bootstrap.storage.model.listing import Digests, Entries, Texts
from bootstrap.storage.model.store import Entry

MD5 = "0123456789abcdef" * 2
ETAGS = [
    [MD5, MD5],
    [MD5, "", MD5],
    ["", ""],
    [MD5.upper()],
    [f"{MD5}-12", MD5, "odd"],
    ["abc", "def", "0a0"],
    ["a" * 40, "b" * 40],
    ["a b c d ", MD5],
    ["é", "\udc80", "0"],
    [],
]


@pytest.mark.parametrize("texts", ETAGS, ids=repr)
def test_digests_come_back_as_they_were(texts: list[str]) -> None:
    digests = Digests()
    for _ in range(3):  # a number behind a text, and the other way round
        digests.extend([MD5])
        digests.extend(texts)
        digests.extend(["text"])
    assert list(digests) == [digests[at] for at in range(len(digests))] == [MD5, *texts, "text"] * 3


def test_texts_come_back_as_they_were_whatever_characters_they_have() -> None:
    each = ["a/b", "", "目录/文件", "\udcff", "plain"] * 700
    texts = Texts()
    texts.extend(each[:1])
    texts.extend(each[1:])
    assert list(texts) == [texts[at] for at in range(len(texts))] == each


def test_a_listing_gives_back_its_entries() -> None:
    entries = [
        Entry(f"k/{n}", n << 40, MD5 if n % 2 else f"{MD5}-3", 1.5 * n, "ab" * 32 if n == 1001 else "")
        for n in range(2500)
    ]
    listing = Entries.of(iter(entries))
    assert list(listing) == entries
    assert Entries.of(listing) is listing
    assert Entries.of([Entry("huge", 10**30)])[0].size == (1 << 63) - 1


def test_an_object_of_a_listing_takes_a_hundred_bytes() -> None:
    count = 10_000
    tracemalloc.start()
    try:
        listing = Entries.of(
            Entry(f"data/train/class-{n % 1000:04d}/image-{n:07d}.jpg", 7500, f"{n:032x}") for n in range(count)
        )
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(listing) == count
    assert held / count < 120
    assert peak < held + (2 << 20)  # some at a time


def test_what_is_among_hashes_is_found_and_nothing_else() -> None:
    hashes = Hashes(f"{n}" for n in range(1000))
    assert "1" in hashes and "1000" not in hashes and "" not in hashes
    hashes.add("1000")
    assert all(f"{n}" in hashes.copy() for n in range(1001))
    assert "x" not in Hashes()
