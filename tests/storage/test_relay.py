"""From store to store there is a temporary directory on the way, and it may be small."""

from __future__ import annotations

import os
import tempfile
import threading

import pytest

from bootstrap.errors import DiskFull
from bootstrap.storage.relay import relay
from bootstrap.storage.report import Report
from bootstrap.storage.schemes import parse
from tests.lab.stores import Bucket, Store
from tests.storage.conftest import MemoryLog, SmallDisk, stores_of

MIB = 1 << 20


def copy_across(bucket: Bucket) -> Report:
    source, target = parse(bucket.url("from/")), parse(bucket.url("to/"))
    return relay(stores_of(bucket.store), source, target, stop=threading.Event(), log=MemoryLog())


def test_no_more_objects_are_under_way_than_there_is_room_for(
    seaweedfs: Store, small_disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = seaweedfs.make_bucket()
    files = {f"f{number}": bytes([number]) * (3 * MIB) for number in range(8)}
    bucket.put_tree("from/", files)
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk(size=7 * MIB)))
    assert copy_across(bucket).failed == ()
    assert bucket.tree("to/") == files


def test_an_object_without_room_on_the_way_is_foretold_with_the_arithmetic(
    seaweedfs: Store, small_disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put_tree("from/", {"small": b"s", "big": b"b" * (5 * MIB)})
    disk = small_disk(size=4 * MIB)
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    with pytest.raises(DiskFull, match=r"1 file needs 5\.2 MB more, 4\.2 MB are free: .*TMPDIR"):
        copy_across(bucket)
    assert bucket.list("to/") == []
    assert os.listdir(disk) == []
