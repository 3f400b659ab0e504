from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path

import pytest

from bootstrap.errors import (
    BootstrapError,
    BucketMissing,
    DiskFull,
    EndpointWrong,
    NamesUnsafe,
    NothingThere,
    PathUnusable,
    SourceChanging,
)
from bootstrap.storage.local.staging import of_this_machine
from bootstrap.storage.transfer import TransferStopped
from tests.lab import faulty_proxy
from tests.lab.faulty_proxy import FaultyProxy
from tests.lab.stores import Bucket, Store
from tests.storage.conftest import Mover, make_tree, stores_of, tree_of

CODE = {"train.py": b"print(1)\n", "lib/a.py": b"a", "lib/deep/er/b.bin": bytes(range(256)) * 100, "empty": b""}


def test_a_tree_lands_under_its_last_directory_name(bucket: Bucket, mover: Mover, tmp_path: Path) -> None:
    bucket.put_tree("projects/code/", CODE)
    report = mover.fetch(bucket.url("projects/code/"), tmp_path)
    assert tree_of(tmp_path) == {f"code/{name}": content for name, content in CODE.items()}
    assert (report.root, report.files) == (str(tmp_path / "code"), len(CODE))
    assert report.bytes == sum(map(len, CODE.values()))


def test_direct_puts_the_content_into_the_directory_itself(bucket: Bucket, mover: Mover, tmp_path: Path) -> None:
    bucket.put_tree("projects/code/", CODE)
    mover.fetch(bucket.url("projects/code/"), tmp_path, direct=True)
    assert tree_of(tmp_path) == CODE


def test_a_directory_written_without_its_slash_is_found(bucket: Bucket, mover: Mover, tmp_path: Path) -> None:
    bucket.put_tree("projects/code/", CODE)
    bucket.put("projects/code-old/x", b"not mine")
    mover.fetch(bucket.url("projects/code"), tmp_path)
    assert tree_of(tmp_path) == {f"code/{name}": content for name, content in CODE.items()}


def test_a_whole_bucket_is_a_source(bucket: Bucket, mover: Mover, tmp_path: Path) -> None:
    bucket.put_tree("", CODE)
    mover.fetch(f"obs://{bucket.name}", tmp_path)
    assert tree_of(tmp_path / bucket.name) == CODE


def test_a_single_object_is_a_file(bucket: Bucket, mover: Mover, tmp_path: Path) -> None:
    bucket.put("a/train.py", b"x")
    report = mover.fetch(bucket.url("a/train.py"), tmp_path)
    assert tree_of(tmp_path) == {"train.py": b"x"}
    assert report.root == str(tmp_path / "train.py")


def test_more_objects_than_a_page_holds(seaweedfs: Store, tmp_path: Path) -> None:
    bucket = seaweedfs.make_bucket()
    files = {f"{number:04d}": b"%d" % number for number in range(1100)}
    source = make_tree(tmp_path / "source", files)
    mover = Mover(stores_of(seaweedfs))
    mover.deliver(source, bucket.url("many/"))
    mover.fetch(bucket.url("many/"), tmp_path / "target")
    assert tree_of(tmp_path / "target" / "many") == files


def test_a_large_object_comes_in_pieces_and_whole(seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path) -> None:
    content = os.urandom(1 << 20) * 40
    bucket = seaweedfs.make_bucket()
    bucket.put("a/big", content)
    faulty.inject(faulty_proxy.truncated(after=1000), method="GET", key="*/a/big", times=2)
    mover = Mover(stores_of(seaweedfs, url=faulty.endpoint))
    report = mover.fetch(bucket.url("a/"), tmp_path)
    assert (tmp_path / "a" / "big").read_bytes() == content
    assert report.bytes == len(content)
    assert sum(request.method == "GET" and "Range" in request.headers for request in faulty.seen) >= 3


def test_markers_become_directories(seaweedfs: Store, tmp_path: Path) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put("m/", b"")
    bucket.put("m/empty/", b"")
    bucket.put("m/full/", b"")
    bucket.put("m/full/x", b"x")
    Mover(stores_of(seaweedfs)).fetch(bucket.url("m/"), tmp_path)
    assert tree_of(tmp_path / "m") == {"empty/": b"", "full/x": b"x"}


def test_any_legal_name_keeps_its_spelling(seaweedfs: Store, tmp_path: Path) -> None:
    bucket = seaweedfs.make_bucket()
    names = ["a b", "a+b", "100%", "%41", "名前.py", "q?x=1&y", "quote\"'", "semi;colon", "~tilde", "=#@!"]
    files = {name: name.encode() for name in names}
    bucket.put_tree("odd names/", files)
    Mover(stores_of(seaweedfs)).fetch(bucket.url("odd names/"), tmp_path)
    assert tree_of(tmp_path / "odd names") == files


def test_scripts_become_executable_and_nothing_else_does(bucket: Bucket, mover: Mover, tmp_path: Path) -> None:
    bucket.put_tree("c/", {"run.sh": b"#!/bin/sh\n", "data": b"no script"})
    mover.fetch(bucket.url("c/"), tmp_path)
    assert os.access(tmp_path / "c/run.sh", os.X_OK)
    assert stat.S_IMODE((tmp_path / "c/data").stat().st_mode) & 0o111 == 0


def test_a_second_fetch_brings_what_changed_and_leaves_strangers_alone(
    bucket: Bucket, mover: Mover, tmp_path: Path
) -> None:
    bucket.put_tree("c/", {"a": b"1", "b": b"1"})
    mover.fetch(bucket.url("c/"), tmp_path)
    bucket.put("c/a", b"22")
    (tmp_path / "c/mine").write_bytes(b"mine")
    mover.fetch(bucket.url("c/"), tmp_path)
    assert tree_of(tmp_path / "c") == {"a": b"22", "b": b"1", "mine": b"mine"}


# --- what cannot be fetched ---


def test_an_empty_prefix_names_bucket_prefix_and_the_nearest_that_exists(
    bucket: Bucket, mover: Mover, tmp_path: Path
) -> None:
    bucket.put("a/codes/x.py", b"x")
    bucket.put("a/other/y.py", b"x")
    with pytest.raises(NothingThere) as caught:
        mover.fetch(bucket.url("a/code/"), tmp_path)
    assert f"bucket {bucket.name} has no objects under a/code/" in str(caught.value)
    assert "the nearest that exists is a/codes/" in str(caught.value)
    assert not (tmp_path / "code").exists()


def test_a_slash_too_many_is_found_out(bucket: Bucket, mover: Mover, tmp_path: Path) -> None:
    bucket.put("a/code/x.py", b"x")
    with pytest.raises(NothingThere) as caught:
        mover.fetch(bucket.url("a//code/"), tmp_path)
    assert "the nearest that exists is a/code/." in str(caught.value)


def test_a_local_path_that_is_not_there_is_named_in_full(mover: Mover, tmp_path: Path) -> None:
    (tmp_path / "codes").mkdir()
    with pytest.raises(NothingThere) as caught:
        mover.fetch(f"{tmp_path}/code", tmp_path)
    assert f"there is nothing under {tmp_path}/code ({tmp_path}/code)" in str(caught.value)
    assert f"the nearest that exists is {tmp_path}/codes/." in str(caught.value)


def test_a_deep_path_that_never_was_is_answered_with_what_there_is(
    bucket: Bucket, mover: Mover, tmp_path: Path
) -> None:
    bucket.put("team/x.py", b"x")
    with pytest.raises(NothingThere) as caught:
        mover.fetch(bucket.url("zzz/y/w/"), tmp_path)
    assert "team/" in str(caught.value)


def test_a_bucket_that_is_not_there_is_said_to_be_missing(store: Store, tmp_path: Path) -> None:
    with pytest.raises(BucketMissing) as caught:
        Mover(stores_of(store)).fetch("obs://no-such-bucket-here/code/", tmp_path)
    assert "no-such-bucket-here" in str(caught.value)


def test_without_an_endpoint_only_a_remote_url_fails(tmp_path: Path, local: Mover) -> None:
    with pytest.raises(EndpointWrong):
        local.fetch("obs://bkt/code/", tmp_path)


def test_an_object_gone_between_listing_and_reading_is_an_error(
    seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put_tree("c/", {"a": b"1", "b": b"1"})
    faulty.inject(faulty_proxy.refused(404, "NoSuchKey"), method="GET", key="*/c/b", times=None)
    with pytest.raises(SourceChanging) as caught:
        Mover(stores_of(seaweedfs, url=faulty.endpoint)).fetch(bucket.url("c/"), tmp_path)
    assert "c/b" in str(caught.value)
    assert not (tmp_path / "c/b").exists()


@pytest.mark.parametrize(
    "fault",
    [
        faulty_proxy.truncated(after=3),
        faulty_proxy.corrupted(at=1),
        faulty_proxy.reset_answer(after=2),
        faulty_proxy.refused(503, "SlowDown"),
        faulty_proxy.reset(),
    ],
    ids=lambda fault: fault.name,
)
def test_a_body_that_comes_wrong_is_fetched_again(
    fault: faulty_proxy.Fault, seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put("c/a", b"0123456789")
    injection = faulty.inject(fault, method="GET", key="*/c/a", times=2)
    Mover(stores_of(seaweedfs, url=faulty.endpoint)).fetch(bucket.url("c/"), tmp_path)
    assert injection.hits == 2
    assert tree_of(tmp_path) == {"c/a": b"0123456789"}


def test_a_full_disk_is_foretold_with_the_arithmetic(
    bucket: Bucket, mover: Mover, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put_tree("c/", {"a": b"x" * 10_000, "b": b"x" * 10_000})
    real = os.statvfs(tmp_path)
    fields = list(real)
    fields[1], fields[4] = 4096, 2  # f_frsize, f_bavail
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(fields))
    with pytest.raises(DiskFull) as caught:
        mover.fetch(bucket.url("c/"), tmp_path)
    assert "2 files need 24.6 kB more, 8.2 kB are free: 16.4 kB too little" in str(caught.value)
    assert tree_of(tmp_path) == {}


def test_a_directory_in_a_files_place_is_said_with_owner_and_mode(bucket: Bucket, mover: Mover, tmp_path: Path) -> None:
    bucket.put("c/a", b"x")
    make_tree(tmp_path, {"c/a/": b""})
    with pytest.raises(PathUnusable) as caught:
        mover.fetch(bucket.url("c/"), tmp_path)
    assert caught.value.where == str(tmp_path / "c/a")
    assert f"we are uid {os.geteuid()}" in str(caught.value)


def test_a_stop_ends_a_fetch_at_once_and_leaves_nothing_half(
    seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put("c/stuck", b"0123456789" * 1000)
    release = threading.Event()
    stalled = faulty.inject(faulty_proxy.stalled(release, after=100), method="GET", key="*/c/stuck")
    mover = Mover(stores_of(seaweedfs, url=faulty.endpoint))
    stopper = threading.Thread(target=lambda: (stalled.fired.wait(30), mover.stop.set()))
    stopper.start()
    try:
        with pytest.raises(TransferStopped):
            mover.fetch(bucket.url("c/"), tmp_path)
        asked = time.monotonic()
        assert tree_of(tmp_path) == {"c/": b""}
        assert time.monotonic() - asked < 5
    finally:
        release.set()
        stopper.join()


# --- hostile names ---


@pytest.mark.parametrize(
    "keys",
    [
        ["c/../../etc/passwd"],
        ["c/a/.."],
        ["c//../etc/passwd"],
        ["c/./x"],
        ["c/nul\0byte"],
        ["c/" + "n" * 256],
        ["c/a", "c/a/b"],
        ["c/a//b", "c/a/b"],
    ],
)
def test_names_that_cannot_be_files_here_are_refused_before_anything_is_written(
    keys: list[str], tmp_path: Path
) -> None:
    from bootstrap.storage.fetch.plan import plan_tree
    from bootstrap.storage.model.store import Entry
    from bootstrap.storage.schemes import parse

    with pytest.raises(NamesUnsafe) as caught:
        plan_tree([Entry("c/good", 1), *(Entry(key, 1) for key in keys)], "c/", parse("obs://bkt/c/"))
    assert any(repr(key) in str(caught.value) for key in keys)


# --- local sources ---


def test_a_local_tree_keeps_modes_links_and_empty_directories(local: Mover, tmp_path: Path) -> None:
    source = make_tree(tmp_path / "nas/code", {"a/x": b"x", "empty/": b"", "run": b"r"})
    (source / "run").chmod(0o750)
    (source / "latest").symlink_to("a/x")
    (source / "folder").symlink_to("a")
    (source / "out").symlink_to("../elsewhere")
    local.fetch(str(source), tmp_path / "job")
    copy = tmp_path / "job/code"
    assert (copy / "a/x").read_bytes() == b"x"
    assert (copy / "empty").is_dir()
    assert stat.S_IMODE((copy / "run").stat().st_mode) == 0o750
    assert os.readlink(copy / "latest") == "a/x"
    assert os.readlink(copy / "folder") == "a"
    assert os.readlink(copy / "out") == str(tmp_path / "nas/elsewhere")


def test_a_local_file_url_and_direct(local: Mover, tmp_path: Path) -> None:
    source = make_tree(tmp_path / "nas/code", {"a": b"x"})
    local.fetch(f"file://{source}/", tmp_path / "job", direct=True)
    assert tree_of(tmp_path / "job") == {"a": b"x"}


def test_a_single_local_file(local: Mover, tmp_path: Path) -> None:
    source = make_tree(tmp_path / "nas", {"train.py": b"x"})
    report = local.fetch(str(source / "train.py"), tmp_path / "job")
    assert tree_of(tmp_path / "job") == {"train.py": b"x"}
    assert report.files == 1


def test_a_tree_that_is_already_in_place_is_left_alone(local: Mover, tmp_path: Path) -> None:
    source = make_tree(tmp_path / "job/code", {"a": b"x"})
    assert local.fetch(str(source), tmp_path / "job").files == 0
    assert "already in place" in local.log.events("info")
    assert tree_of(source) == {"a": b"x"}


def test_a_tree_copied_into_itself_comes_to_an_end(local: Mover, tmp_path: Path) -> None:
    source = make_tree(tmp_path / "nas", {"a": b"x"})
    local.fetch(str(source), source / "job", direct=True)
    assert tree_of(source) == {"a": b"x", "job/a": b"x"}


def test_a_local_tree_in_which_kinds_have_changed_is_copied_as_it_is_now(local: Mover, tmp_path: Path) -> None:
    source = make_tree(tmp_path / "nas", {"v1/w": b"one"})
    (source / "latest").symlink_to("v1")
    (source / "other").symlink_to("v1")
    local.fetch(str(source), tmp_path / "job", direct=True)
    for name in ("latest", "other"):
        (source / name).unlink()
    make_tree(source, {"latest/w": b"two", "other": b"three"})
    local.fetch(str(source), tmp_path / "job", direct=True)
    assert tree_of(tmp_path / "job") == {"v1/w": b"one", "latest/w": b"two", "other": b"three"}
    (source / "other").unlink()
    (source / "other").symlink_to("v1")
    local.fetch(str(source), tmp_path / "job", direct=True)
    assert os.readlink(tmp_path / "job/other") == "v1"


def test_of_a_local_tree_only_what_is_no_file_is_left_out(local: Mover, tmp_path: Path) -> None:
    source = make_tree(tmp_path / "source", {"a": b"a", "d/b": b"b"})
    (source / "link").symlink_to("a")
    os.mkfifo(source / "pipe")
    report = local.fetch(f"{source}/", tmp_path / "target", direct=True)
    assert report.left_out == (("pipe", "neither a file nor a directory nor a link"),)


def test_what_stands_in_the_way_of_a_local_copy_is_named(local: Mover, tmp_path: Path) -> None:
    source = make_tree(tmp_path / "source", {"d/e/f": b"f"})
    make_tree(tmp_path / "target", {"d/e": b"a file"})
    with pytest.raises(BootstrapError) as caught:
        local.fetch(f"{source}/", tmp_path / "target", direct=True)
    assert f"{tmp_path}/target/d/e" in str(caught.value)


def test_a_local_copy_removes_what_a_killed_one_has_left(local: Mover, tmp_path: Path) -> None:
    source = make_tree(tmp_path / "nas", {"a/x": b"x", "y": b"y"})
    dead = of_this_machine() + "dead.partial"
    make_tree(tmp_path / "job", {f"a/{dead}": b"half", dead: b"half"})
    local.fetch(str(source), tmp_path / "job", direct=True)
    assert tree_of(tmp_path / "job") == {"a/x": b"x", "y": b"y"}


def test_a_local_path_that_is_not_there_is_answered_with_the_nearest(local: Mover, tmp_path: Path) -> None:
    make_tree(tmp_path / "nas/codes", {"a": b"x"})
    with pytest.raises(NothingThere) as caught:
        local.fetch(str(tmp_path / "nas/code"), tmp_path / "job")
    assert "codes/" in str(caught.value)


def test_boto3_is_not_loaded_for_local_transfers(tmp_path: Path) -> None:
    import subprocess
    import sys

    make_tree(tmp_path / "code", {"a": b"x"})
    script = (
        "import sys, threading; from pathlib import Path; from unittest.mock import MagicMock;"
        "from bootstrap.job import Endpoint; from bootstrap.storage.open import Stores;"
        "from bootstrap.storage.transfer import fetch; from bootstrap.storage.schemes import parse;"
        "fetch(Stores(Endpoint(''), None, MagicMock()), parse(sys.argv[1]), Path(sys.argv[2]),"
        " stop=threading.Event(), log=MagicMock()); assert 'botocore' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "code", tmp_path / "job"], check=True, timeout=60)
