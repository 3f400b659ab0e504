"""A second fetch of the same source: what is unchanged costs a listing, what changed in the source wins."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bootstrap.storage.local import Staging, sweep
from tests.lab import faulty_proxy
from tests.lab.faulty_proxy import FaultyProxy
from tests.lab.stores import Bucket, Store
from tests.storage.conftest import Mover, make_tree, stores_of, tree_of

FILES = {"a": b"1", "lib/b": b"2" * 1000, "run.sh": b"#!/bin/sh\n"}


@pytest.fixture
def behind(seaweedfs: Store, faulty: FaultyProxy) -> tuple[Bucket, Mover, Callable[[], list[str]]]:
    """A bucket with FILES under c/, transfers from it, and the objects whose bodies were asked for since last time."""
    bucket = seaweedfs.make_bucket()
    bucket.put_tree("c/", FILES)

    def bodies() -> list[str]:
        names = [request.key.partition("/c/")[2] for request in faulty.seen if request.method == "GET"]
        faulty.seen.clear()
        return sorted(name for name in names if name)

    return bucket, Mover(stores_of(seaweedfs, url=faulty.endpoint)), bodies


Behind = tuple[Bucket, Mover, Callable[[], list[str]]]


def test_an_unchanged_source_costs_a_listing_and_no_body(behind: Behind, tmp_path: Path) -> None:
    bucket, mover, bodies = behind
    mover.fetch(bucket.url("c/"), tmp_path)
    assert bodies() == sorted(FILES)
    report = mover.fetch(bucket.url("c/"), tmp_path)
    assert bodies() == []
    assert (report.files, report.skipped, report.bytes) == (0, len(FILES), 0)
    assert tree_of(tmp_path / "c") == FILES


def test_what_changed_or_appeared_in_the_source_is_brought_and_nothing_else(behind: Behind, tmp_path: Path) -> None:
    bucket, mover, bodies = behind
    mover.fetch(bucket.url("c/"), tmp_path)
    bodies()
    bucket.put("c/a", b"9")
    bucket.put("c/new", b"n")
    report = mover.fetch(bucket.url("c/"), tmp_path)
    assert bodies() == ["a", "new"]
    assert (report.files, report.skipped) == (2, 2)
    assert tree_of(tmp_path / "c") == {**FILES, "a": b"9", "new": b"n"}


def test_files_changed_or_deleted_here_are_restored(behind: Behind, tmp_path: Path) -> None:
    bucket, mover, bodies = behind
    mover.fetch(bucket.url("c/"), tmp_path)
    bodies()
    (tmp_path / "c/a").write_bytes(b"mine")
    (tmp_path / "c/lib/b").unlink()
    mover.fetch(bucket.url("c/"), tmp_path)
    assert bodies() == ["a", "lib/b"]
    assert tree_of(tmp_path / "c") == FILES
    assert "changed here since the last fetch" in mover.log.events("warning")


def test_files_changed_here_are_kept_on_request_unless_the_source_changed_too(behind: Behind, tmp_path: Path) -> None:
    bucket, mover, bodies = behind
    mover.fetch(bucket.url("c/"), tmp_path)
    bodies()
    (tmp_path / "c/a").write_bytes(b"mine")
    (tmp_path / "c/lib/b").write_bytes(b"mine")
    bucket.put("c/lib/b", b"theirs")
    report = mover.fetch(bucket.url("c/"), tmp_path, changed="keep")
    assert bodies() == ["lib/b"]
    assert tree_of(tmp_path / "c") == {**FILES, "a": b"mine", "lib/b": b"theirs"}
    assert [name for name, _ in report.left_out] == ["a"]


def test_a_touched_file_of_the_same_content_is_not_brought_again(behind: Behind, tmp_path: Path) -> None:
    bucket, mover, bodies = behind
    mover.fetch(bucket.url("c/"), tmp_path)
    bodies()
    os.utime(tmp_path / "c/a", (1, 1))
    mover.fetch(bucket.url("c/"), tmp_path)
    assert bodies() == []


def test_extra_files_stay_unless_they_are_to_be_deleted(behind: Behind, tmp_path: Path) -> None:
    bucket, mover, _ = behind
    mover.fetch(bucket.url("c/"), tmp_path)
    make_tree(tmp_path / "c", {"mine": b"m", "deep/er/mine": b"m"})
    mover.fetch(bucket.url("c/"), tmp_path)
    assert "deep/er/mine" in tree_of(tmp_path / "c")
    mover.fetch(bucket.url("c/"), tmp_path, extra="delete")
    assert tree_of(tmp_path / "c") == FILES


def test_a_fetch_that_failed_half_way_goes_on_where_it_was(behind: Behind, faulty: FaultyProxy, tmp_path: Path) -> None:
    bucket, mover, bodies = behind
    faulty.inject(faulty_proxy.refused(403, "AccessDenied"), method="GET", key="*/c/lib/b", times=None)
    with pytest.raises(Exception, match="AccessDenied"):
        mover.fetch(bucket.url("c/"), tmp_path)
    faulty.clear()
    bodies()
    mover.fetch(bucket.url("c/"), tmp_path)
    assert "lib/b" in bodies()
    assert tree_of(tmp_path / "c") == FILES


def test_another_source_into_the_same_directory_does_not_take_the_first_ones_word(
    behind: Behind, tmp_path: Path
) -> None:
    bucket, mover, _ = behind
    bucket.put("other/a", b"other")
    mover.fetch(bucket.url("c/"), tmp_path, direct=True)
    mover.fetch(bucket.url("other/"), tmp_path, direct=True)
    mover.fetch(bucket.url("c/"), tmp_path, direct=True)
    assert (tmp_path / "a").read_bytes() == b"1"


def test_a_manifest_of_garbage_is_worth_nothing(behind: Behind, tmp_path: Path) -> None:
    bucket, mover, bodies = behind
    mover.fetch(bucket.url("c/"), tmp_path)
    bodies()
    (manifest,) = tmp_path.glob(".bootstrap-*.manifest")
    whole = manifest.read_bytes()
    for damaged in (b"", b"\0\xff" * 100, whole[:-40], whole + b"[1, 2\n", whole.replace(b'"', b"'")):
        manifest.write_bytes(damaged)
        mover.fetch(bucket.url("c/"), tmp_path)
        assert tree_of(tmp_path / "c") == FILES


def test_leftovers_of_a_dead_fetch_are_swept_and_those_of_a_living_one_are_not(tmp_path: Path) -> None:
    dead = {".bootstrap-dead-1.partial": b"half", ".bootstrap-dead-2.partial/content/x": b"half"}
    make_tree(tmp_path / "d", {**dead, ".bootstrap-user-file": b"mine"})
    living = Staging()
    file, partial = living.create(str(tmp_path / "d/x"))
    sweep(str(tmp_path), ["d", "nothing"])
    assert sorted(os.listdir(tmp_path / "d")) == sorted([".bootstrap-user-file", os.path.basename(partial)])
    os.close(file)
    living.close()


def test_an_unchanged_local_tree_is_not_copied_again(local: Mover, tmp_path: Path) -> None:
    source = make_tree(tmp_path / "nas/code", FILES)
    assert local.fetch(str(source), tmp_path / "job").files == len(FILES)
    (source / "a").write_bytes(b"22")
    assert local.fetch(str(source), tmp_path / "job").files == 1
    assert (tmp_path / "job/code/a").read_bytes() == b"22"


@pytest.mark.parametrize("seed", range(6))
def test_a_fetch_killed_at_any_moment_leaves_whole_files_and_the_next_one_ends_with_the_exact_tree(
    seed: int, seaweedfs: Store, tmp_path: Path
) -> None:
    dice = random.Random(seed)
    places = ["", *(f"d{number}/" for number in range(6))]
    names = [f"{dice.choice(places)}f{number}" for number in range(120)]
    tree = {name: dice.randbytes(dice.choice([0, 1, 500, 5000, 200_000])) for name in names}
    if seed % 2:
        tree["large"] = dice.randbytes(1 << 20) * 40
    bucket = seaweedfs.make_bucket()
    Mover(stores_of(seaweedfs)).deliver(make_tree(tmp_path / "source", tree), bucket.url("t/"))
    target = tmp_path / "target"
    argv = [sys.executable, "-m", "bootstrap", "copy", "-r", bucket.url("t/"), f"{target}/"]
    env = {**os.environ, **seaweedfs.env()}
    for _ in range(3):
        process = subprocess.Popen(argv, env=env, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not target.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(dice.random() * 0.15)  # any moment will do: this is not waiting for something
        process.send_signal(signal.SIGKILL)
        process.wait()
        for path in target.rglob("*"):
            if path.is_file() and not path.name.startswith(".bootstrap-"):
                assert path.read_bytes() == tree[str(path.relative_to(target))]
    subprocess.run(argv, env=env, check=True, stderr=subprocess.DEVNULL, timeout=120)
    assert tree_of(target) == tree
