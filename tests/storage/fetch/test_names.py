"""Every name that is a legal key and a legal path goes up and comes down unchanged, by the fast path and by boto3."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path

import pytest

from bootstrap.storage.model.url import LONGEST_KEY, Location
from bootstrap.storage.schemes import parse
from tests.lab.stores import Bucket, Store
from tests.storage.conftest import Mover, make_tree, stores_of, tree_of

NAMES = [
    "a b", " leading", "trailing ", "a+b", "100%", "%41", "%2F", "q?x=1&y", "a#b", "quote\"'`", "semi;colon,comma",
    "~tilde", "=@!$()[]{}|^*:", "<xml>&amp;", "new\nline", "carriage\rreturn", "tab\there", "\x01\x1f\x7f", "名前.py",
    unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é"), ".hidden", "...", "-rf", "aux.", "uploads",
    "🚀", "a%0Ab", "dir with space/ü+%/x", "n" * 255, "ü" * 127,
]  # fmt: skip


@pytest.fixture(params=["fast path", "boto3", "fast path to OBS", "boto3 to OBS"])
def way(request: pytest.FixtureRequest) -> tuple[Bucket, Mover]:
    """A bucket, and transfers by either way, to a store that takes what it gets or one that is as strict as OBS."""
    strict = request.param.endswith("OBS")
    bucket = request.getfixturevalue("obs" if strict else "seaweedfs").make_bucket()
    mover = Mover(stores_of(bucket.store))
    store = mover.stores.open(parse(bucket.url()))
    if request.param.startswith("boto3"):
        store.pipeline = None  # type: ignore[misc]
    else:
        assert store.pipeline is not None
    return bucket, mover


def some_names(count: int) -> list[str]:
    """Names of any characters that a path can have, the same ones every time."""
    dice = random.Random(11)
    # A backslash is a slash to SeaweedFS (and to no other store), and half a surrogate pair is no UTF-8.
    plain = [chr(number) for number in range(1, 0x2100) if chr(number) not in "/\\"]
    return ["".join(dice.choices(plain, k=dice.randrange(1, 60))) for _ in range(count)]


def test_any_legal_name_makes_the_round_trip(way: tuple[Bucket, Mover], tmp_path: Path) -> None:
    bucket, mover = way
    longest = f"{'d' * 200}/" * 4 + "x" * (LONGEST_KEY - len("p+ %/ü/".encode()) - 4 * 201)
    files = {name: name.encode() for name in [*NAMES, *some_names(60), longest]}
    make_tree(tmp_path / "up", {**files, "empty ü+%\n/": b""})
    report = mover.deliver(tmp_path / "up", bucket.url("p+ %/ü/"))
    assert report.failed == ()
    # As a client that is not ours sees them.
    assert bucket.tree("p+ %/ü/") == {**files, "empty ü+%\n/": b""}
    assert max(len(key.encode()) for key in bucket.list()) == LONGEST_KEY
    mover.fetch(bucket.url("p+ %/ü/"), tmp_path / "down", direct=True)
    assert tree_of(tmp_path / "down") == {**files, "empty ü+%\n/": b""}


def test_a_single_object_of_any_name_is_found_and_copied(way: tuple[Bucket, Mover], tmp_path: Path) -> None:
    bucket, mover = way
    for name in NAMES:
        if "/" not in name:
            bucket.put(f"o/{name}", name.encode())
            mover.fetch(Location("obs", f"o/{name}", bucket.name), tmp_path)
            assert (tmp_path / name).read_bytes() == name.encode()


def test_a_backslash_is_a_character_like_any_other(rclone: Store, tmp_path: Path) -> None:
    bucket = rclone.make_bucket()
    mover = Mover(stores_of(rclone))
    make_tree(tmp_path / "up", {"back\\slash": b"b"})
    mover.deliver(tmp_path / "up", bucket.url("o/"))
    assert bucket.list() == ["o/back\\slash"]
    mover.fetch(bucket.url("o/"), tmp_path / "down", direct=True)
    assert tree_of(tmp_path / "down") == {"back\\slash": b"b"}


def test_a_key_of_more_bytes_than_there_can_be_is_named_and_the_rest_goes(
    way: tuple[Bucket, Mover], tmp_path: Path
) -> None:
    bucket, mover = way
    long = f"{'d' * 250}/" * 4 + "x" * 21
    make_tree(tmp_path, {"a": b"a", long: b"b"})
    report = mover.deliver(tmp_path, bucket.url(""))
    assert dict(report.failed) == {long: f"its key would have {LONGEST_KEY + 1} bytes, {LONGEST_KEY} are the most"}
    assert bucket.tree() == {"a": b"a"}
