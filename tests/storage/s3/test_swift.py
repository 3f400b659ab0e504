"""OpenStack Swift behind s3api, another implementation of every answer: transfers, errors, live logs."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bootstrap.errors import BucketMissing, CredentialsRejected, NothingThere
from bootstrap.storage.model.light_writer import SMALLEST_PIECE, Inline
from bootstrap.storage.relay import relay
from bootstrap.storage.schemes import parse
from bootstrap.storage.upload.multipart import LARGE
from tests.lab.stores import Bucket, Store
from tests.storage.conftest import MemoryLog, Mover, make_tree, stores_of, tree_of

FILES = {
    "train.py": b"print(1)",
    "empty": b"",
    "deep/er/file": b"x" * 100_000,
    "wörld ü+&=%.txt": "汉字".encode(),
    **{f"many/{number}": bytes([number]) * number for number in range(50)},
}


@pytest.fixture
def there(swift: Store) -> Iterator[Bucket]:
    yield swift.make_bucket()


@pytest.mark.parametrize("way", ["fast path", "boto3"])
def test_trees_go_there_and_come_back(way: str, there: Bucket, tmp_path: Path) -> None:
    make_tree(tmp_path / "up", FILES)
    mover = Mover(stores_of(there.store, retry_window=20.0))
    if way == "boto3":
        mover.stores.open(parse(there.url())).pipeline = None  # type: ignore[misc]
    assert mover.deliver(tmp_path / "up", there.url("o/")).complete
    assert there.tree("o/") == FILES
    for _ in range(2):
        mover.fetch(there.url("o/"), tmp_path / "down", direct=True)
        assert tree_of(tmp_path / "down") == FILES


def test_large_objects_go_in_parts_and_come_in_pieces(there: Bucket, tmp_path: Path) -> None:
    content = hashlib.sha256(b"x").digest() * (LARGE // 32) + b"end"
    (tmp_path / "big").write_bytes(content)
    mover = Mover(stores_of(there.store, retry_window=20.0))
    assert mover.deliver(tmp_path / "big", there.url("big")).complete
    mover.fetch(there.url("big"), tmp_path / "down")
    assert (tmp_path / "down/big").read_bytes() == content


def test_single_objects_and_objects_below_their_name(there: Bucket, tmp_path: Path) -> None:
    there.put_tree("", {"c.py": b"c", "c.pyx": b"x", "slash/weights/": b"w" * 5000})
    mover = Mover(stores_of(there.store))
    mover.fetch(there.url("c.py"), tmp_path)
    assert (tmp_path / "c.py").read_bytes() == b"c"
    mover.fetch(there.url("slash/weights/"), tmp_path)
    assert (tmp_path / "weights").read_bytes() == b"w" * 5000
    with pytest.raises(NothingThere):
        mover.fetch(there.url("nothing"), tmp_path)


def test_from_bucket_to_bucket(there: Bucket) -> None:
    there.put_tree("a/", FILES)
    target = there.store.make_bucket()
    stores = stores_of(there.store)
    relay(stores, parse(there.url("a/")), parse(target.url("b/")), stop=threading.Event(), log=MemoryLog())
    assert target.tree("b/") == FILES


def test_refusals_have_their_causes(there: Bucket, tmp_path: Path) -> None:
    with pytest.raises(BucketMissing):
        Mover(stores_of(there.store)).fetch("s3://no-such-bucket-here/x/", tmp_path)
    wrong = replace(there.store, secret_key="another/secret+key/of/forty/characters/1")
    with pytest.raises(CredentialsRejected):
        Mover(stores_of(wrong)).fetch(there.url("x/"), tmp_path)


def test_what_a_live_log_does(there: Bucket) -> None:
    writer = stores_of(there.store).open(parse(there.url())).light_writer()
    first, rest = b"a" * SMALLEST_PIECE, b"b" * 1000
    writer.put("parts/1", Inline(first))
    writer.put("parts/2", Inline(rest))
    assert writer.get(["parts/2", "parts/none"]) == [rest, None]
    if writer.join("log", ["parts/1"], [Inline(rest)]):
        assert there.get("log") == first + rest
    writer.delete(["parts/1", "parts/2"])
    assert there.list("parts/") == []
