"""A second fetch of the same source: what is unchanged costs a listing, what changed in the source wins."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bootstrap.storage.local.staging import Staging, of_this_machine, sweep
from bootstrap.storage.schemes import parse
from tests.lab import faulty_proxy
from tests.lab.faulty_proxy import FaultyProxy
from tests.lab.processes import end
from tests.lab.stores import Bucket, Store
from tests.storage.conftest import Mover, make_tree, stores_of, tree_of
from tests.storage.fetch.test_archive import tar

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


def test_a_directory_of_any_name_has_its_manifest(behind: Behind, tmp_path: Path) -> None:
    bucket, mover, bodies = behind
    for _ in range(2):
        bodies()
        mover.fetch(bucket.url("c/"), tmp_path / ("名" * 85), direct=True)
    assert bodies() == []


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
    (index,) = tmp_path.glob(".bootstrap-*.manifest")
    whole = index.read_bytes()
    for damaged in (b"", b"\0\xff" * 100, whole[:-40], whole + b"[1, 2\n", whole.replace(b'"', b"'")):
        index.write_bytes(damaged)
        mover.fetch(bucket.url("c/"), tmp_path)
        assert tree_of(tmp_path / "c") == FILES


@pytest.mark.parametrize("planted", ["link", "second name", "pipe"])
def test_what_is_planted_at_the_manifests_name_is_neither_followed_nor_waited_for(
    behind: Behind, tmp_path: Path, planted: str
) -> None:
    bucket, mover, _ = behind
    mover.fetch(bucket.url("c/"), tmp_path)
    (index,) = tmp_path.glob(".bootstrap-*.manifest")
    precious = tmp_path / "precious"
    index.rename(precious)
    before = precious.read_bytes()
    if planted == "link":
        index.symlink_to(precious)
    elif planted == "second name":
        index.hardlink_to(precious)
    else:
        os.mkfifo(index)
    bucket.put_tree("c/", {"new": b"1"})
    mover.fetch(bucket.url("c/"), tmp_path)
    assert precious.read_bytes() == before
    assert tree_of(tmp_path / "c") == {**FILES, "new": b"1"}


def test_a_manifest_does_not_grow_with_every_fetch(behind: Behind, tmp_path: Path) -> None:
    bucket, mover, bodies = behind
    mover.fetch(bucket.url("c/"), tmp_path)
    (index,) = tmp_path.glob(".bootstrap-*.manifest")
    size = index.stat().st_size
    head, _, lines = index.read_bytes().partition(b"\n")
    index.write_bytes(head + b"\n" + lines * 3000)
    bodies()
    mover.fetch(bucket.url("c/"), tmp_path)
    assert bodies() == []
    assert index.stat().st_size <= size
    mover.fetch(bucket.url("c/"), tmp_path)
    assert bodies() == []


def test_leftovers_of_a_dead_fetch_are_swept_and_those_of_a_living_one_are_not(tmp_path: Path) -> None:
    ours = of_this_machine()
    dead = {f"{ours}dead-1.partial": b"half", f"{ours}dead-2.partial/content/x": b"half"}
    make_tree(tmp_path / "d", {**dead, ".bootstrap-user-file": b"mine"})
    living = Staging()
    file, partial = living.create(str(tmp_path / "d/x"))
    sweep(str(tmp_path), ["d", "nothing"])
    assert sorted(os.listdir(tmp_path / "d")) == sorted([".bootstrap-user-file", os.path.basename(partial)])
    os.close(file)
    living.close()


def test_what_another_machine_writes_is_no_leftover_before_a_day_is_over(tmp_path: Path) -> None:
    theirs = {".bootstrap-00000000-1.partial": b"half", ".bootstrap-00000000-2.partial/content/x": b"half"}
    make_tree(tmp_path, theirs)
    sweep(str(tmp_path), [""])
    assert tree_of(tmp_path) == theirs
    for path in tmp_path.iterdir():
        os.utime(path, (time.time(), time.time() - 90_000))
    sweep(str(tmp_path), [""])
    assert tree_of(tmp_path) == {}


@pytest.mark.parametrize("way", ["fast path", "boto3", "archive", "local"])
def test_a_sweep_takes_no_file_of_a_living_fetch_at_whatever_moment_it_comes(
    way: str, seaweedfs: Store, tmp_path: Path
) -> None:
    files = {f"f{number}": b"x" * number for number in range(100)}
    bucket, mover = seaweedfs.make_bucket(), Mover(stores_of(seaweedfs))
    source = str(make_tree(tmp_path / "s", files)) if way == "local" else bucket.url("c/")
    if way == "archive":
        bucket.put("code.tar", tar(files))
        source = bucket.url("code.tar")
    elif way != "local":
        mover.deliver(make_tree(tmp_path / "s", files), bucket.url("c/"))
    if way == "boto3":
        mover.stores.open(parse(bucket.url())).pipeline = None  # type: ignore[misc]
    over = threading.Event()

    def keep_sweeping() -> None:
        while not over.is_set():
            sweep(str(tmp_path / "d"), [""])

    sweeper = threading.Thread(target=keep_sweeping)
    sweeper.start()
    try:
        for _ in range(5):
            mover.fetch(source, tmp_path / "d", direct=True)
            assert tree_of(tmp_path / "d") == files
            shutil.rmtree(tmp_path / "d")
    finally:
        over.set()
        sweeper.join()


def test_an_unchanged_local_tree_is_not_copied_again(local: Mover, tmp_path: Path) -> None:
    source = make_tree(tmp_path / "nas/code", FILES)
    assert local.fetch(str(source), tmp_path / "job").files == len(FILES)
    (source / "a").write_bytes(b"22")
    assert local.fetch(str(source), tmp_path / "job").files == 1
    assert (tmp_path / "job/code/a").read_bytes() == b"22"


# --- killed at any moment ---

FETCH = """
import json, sys, threading
from pathlib import Path
from tests.lab.stores import Store
from tests.storage.conftest import Mover, stores_of

print("now", flush=True)
Mover(stores_of(Store(**json.loads(sys.argv[1])))).fetch(sys.argv[2], Path(sys.argv[3]))
"""

NOISE = random.Random(7).randbytes(1 << 20)

contents = st.builds(
    lambda size, at: (NOISE[at:] + NOISE * (size >> 20))[:size],
    st.sampled_from([0, 1, 500, 5000, 200_000]),
    st.integers(0, 4096),
)
trees = st.dictionaries(
    st.builds("{}f{}".format, st.sampled_from(["", "a/", "a/b/", "c/"]), st.integers(0, 60)),
    contents,
    min_size=20,
    max_size=80,
)
moments = st.lists(st.floats(0.01, 0.15), min_size=2, max_size=3)
"""When to kill one fetch after the other: seconds after it has begun."""


@dataclass(frozen=True)
class Killed:
    """A fetch that is killed again and again."""

    argv: list[str]

    def at(self, moment: float) -> None:
        process = subprocess.Popen(self.argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moment)  # any will do: this is not waiting for something
        end(process)

    def not_any_more(self) -> None:
        subprocess.run(self.argv, check=True, capture_output=True, timeout=120)


def fetching(bucket: Bucket, source: str, target: Path) -> Killed:
    words = [json.dumps(asdict(bucket.store)), bucket.url(source), str(target)]
    return Killed([sys.executable, "-c", FETCH, *words])


few = settings(max_examples=4, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@few
@given(tree=trees, large=st.sampled_from([0, 33, 50]), moments=moments)
def test_a_fetch_killed_at_any_moment_leaves_whole_files_and_the_next_one_ends_with_the_exact_tree(
    seaweedfs: Store, tmp_path_factory: pytest.TempPathFactory, tree: dict[str, bytes], large: int, moments: list[float]
) -> None:
    work = tmp_path_factory.mktemp("killed")
    if large:  # of pieces that are kept
        tree["large"] = NOISE * large
    bucket = seaweedfs.make_bucket()
    Mover(stores_of(seaweedfs)).deliver(make_tree(work / "source", tree), bucket.url("t/"))
    fetch = fetching(bucket, "t/", work / "target")
    for moment in moments:
        fetch.at(moment)
        for path in (work / "target").rglob("*"):
            if path.is_file() and not path.name.startswith(".bootstrap-"):
                assert path.read_bytes() == tree[str(path.relative_to(work / "target/t"))]
    fetch.not_any_more()
    assert tree_of(work / "target") == {f"t/{name}": content for name, content in tree.items()}
    shutil.rmtree(work)


@few
@given(tree=trees, large=st.sampled_from([10, 40]), mode=st.sampled_from(["w", "w:gz"]), moments=moments)
def test_an_archive_killed_at_any_moment_is_there_as_a_whole_or_not_at_all(
    seaweedfs: Store,
    tmp_path_factory: pytest.TempPathFactory,
    tree: dict[str, bytes],
    large: int,
    mode: str,
    moments: list[float],
) -> None:
    work = tmp_path_factory.mktemp("killed")
    tree["large"] = NOISE * large
    bucket = seaweedfs.make_bucket()
    bucket.put("code.tar", tar(tree, mode))
    fetch = fetching(bucket, "code.tar", work / "target")
    for moment in moments:
        fetch.at(moment)
        assert not (work / "target/code").exists() or tree_of(work / "target/code") == tree
    fetch.not_any_more()
    assert tree_of(work / "target") == {f"code/{name}": content for name, content in tree.items()}
    shutil.rmtree(work)
