"""``bootstrap copy`` as people call it: a real process, real stores, every direction."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import faulty_proxy
from tests.lab.faulty_proxy import FaultyProxy
from tests.lab.stores import Bucket, Store
from tests.lab.trees import files_below

FILES = {"a": b"1", "lib/b.py": b"2" * 1000, "ü x": b""}


def copy(store: Store | None, *argv: str | Path, code: int = 0, **more: str) -> str:
    """Run it; returns what it said."""
    env = {**os.environ, **(store.env() if store else {}), **more}
    words = [sys.executable, "-m", "bootstrap", "copy", *map(str, argv)]
    ended = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120)
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr


def make(root: Path, files: dict[str, bytes] = FILES) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def tree(root: Path) -> dict[str, bytes]:
    found = files_below(root)
    return {name: content for name, content in found.items() if ".bootstrap-" not in name}


def test_a_tree_up_across_and_down_is_the_same_tree(bucket: Bucket, tmp_path: Path) -> None:
    other = bucket.store.make_bucket()
    copy(bucket.store, "-r", make(tmp_path / "up"), bucket.url("one"))
    copy(bucket.store, "-r", bucket.url("one/"), other.url("two/", "obs"))
    said = copy(bucket.store, "-r", other.url("two"), tmp_path / "down")
    assert bucket.tree("one/") == FILES
    assert other.tree("two/") == FILES
    assert tree(tmp_path / "down") == FILES
    assert "fetched" in said
    assert "fetched 3 files" in said


def test_single_files_go_into_directories_or_to_names(bucket: Bucket, tmp_path: Path) -> None:
    source = make(tmp_path) / "a"
    (tmp_path / "there").mkdir()
    copy(bucket.store, source, bucket.url("dir/"))
    copy(bucket.store, source, bucket.url("dir/name"))
    copy(bucket.store, bucket.url("dir/a"), bucket.url("dir/again"))
    copy(bucket.store, bucket.url("dir/name"), tmp_path / "new-name")
    copy(bucket.store, bucket.url("dir/name"), tmp_path / "there")
    copy(bucket.store, bucket.url("dir/name"), f"{tmp_path}/made/")
    assert bucket.tree("dir/") == {"a": b"1", "name": b"1", "again": b"1"}
    assert (tmp_path / "new-name").read_bytes() == b"1"
    assert (tmp_path / "there/name").read_bytes() == b"1"
    assert (tmp_path / "made/name").read_bytes() == b"1"


def test_local_to_local_needs_no_store(tmp_path: Path) -> None:
    copy(None, "-r", make(tmp_path / "one"), tmp_path / "two")
    copy(None, tmp_path / "two/a", tmp_path / "three")
    assert tree(tmp_path / "two") == FILES
    assert (tmp_path / "three").read_bytes() == b"1"


def test_what_was_changed_here_and_what_is_extra_follow_the_options(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put_tree("c/", {"a": b"1", "b": b"2"})
    copy(bucket.store, "-r", bucket.url("c/"), tmp_path / "c")
    make(tmp_path / "c", {"a": b"mine", "extra": b"mine"})
    copy(bucket.store, "-r", "--keep-changed", bucket.url("c/"), tmp_path / "c")
    assert tree(tmp_path / "c") == {"a": b"mine", "b": b"2", "extra": b"mine"}
    copy(bucket.store, "-r", "--delete", bucket.url("c/"), tmp_path / "c")
    assert tree(tmp_path / "c") == {"a": b"1", "b": b"2"}


def test_a_directory_without_r_is_a_mistake_that_is_explained(bucket: Bucket, tmp_path: Path) -> None:
    for source in (bucket.url("c/"), str(tmp_path)):
        assert "add -r" in copy(bucket.store, source, tmp_path / "x", code=101)


def test_a_prefix_in_a_store_needs_r_too_and_nothing_is_spilled_beside_the_target(
    bucket: Bucket, tmp_path: Path
) -> None:
    bucket.put_tree("c/", {"a": b"1", "lib/b": b"2"})
    for target in (tmp_path / "x", bucket.url("elsewhere")):
        assert "add -r" in copy(bucket.store, bucket.url("c"), target, code=101)
    copy(bucket.store, bucket.url("nothing"), tmp_path / "x", code=111)
    assert list(tmp_path.iterdir()) == []
    assert bucket.list("elsewhere") == []


def test_delete_never_goes_beyond_the_directory_that_is_copied(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("c/a", b"1")
    place = make(tmp_path / "home", {"precious": b"mine"})
    assert "add -r" in copy(bucket.store, "--delete", bucket.url("c/a"), f"{place}/", code=101)
    assert "would delete itself" in copy(None, "-r", "--delete", place, tmp_path, code=115)
    assert tree(place) == {"precious": b"mine"}


def test_no_copy_takes_the_name_of_a_device_or_a_pipe(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("a", b"1")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    for source in (bucket.url("a"), str(make(tmp_path / "one") / "a")):
        for target in ("pipe", "null"):
            assert "neither a file nor" in copy(bucket.store, source, tmp_path / target, code=115)
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "null").is_symlink()


def test_a_local_copy_deletes_what_is_extra_when_asked_to(tmp_path: Path) -> None:
    source = make(tmp_path / "one", {"a": b"1", "lib/b": b"2"})
    (source / "empty").mkdir()
    (source / "latest").symlink_to("lib")
    target = make(tmp_path / "two", {"extra": b"", "lib/extra": b"", "gone/extra": b""})
    copy(None, "-r", source, target)
    assert (target / "extra").exists()
    copy(None, "-r", "--delete", source, target)
    found = sorted(str(path.relative_to(target)) for path in target.rglob("*"))
    assert found == ["a", "empty", "latest", "lib", "lib/b"]


@pytest.mark.parametrize(
    "words",
    [
        ("--delete", "{here}", "obs://bkt/x"),
        ("--keep-changed", "{here}", "obs://bkt/x"),
        ("--keep-changed", "{here}", "{here}2"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(words: tuple[str, ...], rclone: Store, tmp_path: Path) -> None:
    said = copy(rclone, "-r", *(word.format(here=tmp_path) for word in words), code=101)
    assert words[0] in said


@pytest.mark.parametrize(
    ("source", "code"),
    [("obs://no-such-bucket-here/x/", 110), ("obs:/bkt/x", 105), ("obz://bkt/x", 106), ("/no/such/path", 111)],
)
def test_each_cause_has_its_exit_code(source: str, code: int, rclone: Store, tmp_path: Path) -> None:
    copy(rclone, "-r", source, tmp_path / "x", code=code)


def test_files_that_could_not_be_sent_are_named(seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path) -> None:
    bucket = seaweedfs.make_bucket()
    faulty.inject(faulty_proxy.refused(403, "AccessDenied"), method="PUT", key="*/o/a", times=None)
    said = copy(seaweedfs, "-r", make(tmp_path), bucket.url("o/"), code=206, S3_ENDPOINT=faulty.endpoint)
    assert "not copied: a" in said
    assert "AccessDenied" in said
    assert len(bucket.list("o/")) == len(FILES) - 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_nothing_half(
    number: signal.Signals, seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    import threading

    bucket = seaweedfs.make_bucket()
    bucket.put("c/stuck", b"x" * 100_000)
    release = threading.Event()
    stalled = faulty.inject(faulty_proxy.stalled(release, after=100), method="GET", key="*/c/stuck", times=None)
    env = {**os.environ, **seaweedfs.env(), "S3_ENDPOINT": faulty.endpoint}
    argv = [sys.executable, "-m", "bootstrap", "copy", "-r", bucket.url("c/"), str(tmp_path / "c")]
    process = subprocess.Popen(argv, env=env, stderr=subprocess.PIPE)
    try:
        assert stalled.fired.wait(60)
        process.send_signal(number)
        process.communicate(timeout=10)
    finally:
        process.kill()
        release.set()
    assert process.returncode == 128 + number
    assert list((tmp_path / "c").iterdir()) == []


def test_links_make_the_round_trip_when_asked_for(bucket: Bucket, tmp_path: Path) -> None:
    tree = make(tmp_path / "up", {"ckpt-1/w": b"w"})
    (tree / "latest").symlink_to("ckpt-1")
    copy(bucket.store, "-r", "--links", "record", tree, bucket.url("c/"))
    copy(bucket.store, "-r", "--links", "record", bucket.url("c/"), tmp_path / "down")
    assert os.readlink(tmp_path / "down/latest") == "ckpt-1"
    assert (tmp_path / "down/latest/w").read_bytes() == b"w"
    copy(bucket.store, "-r", "--links", "skip", tree, bucket.url("s/"))
    assert bucket.tree("s/") == {"ckpt-1/w": b"w"}


def test_an_outage_longer_than_it_is_to_be_waited_for_is_exit_200(rclone: Store, tmp_path: Path) -> None:
    said = copy(
        rclone, "-r", "--store-timeout", "1", "obs://bkt/x/", tmp_path / "x", code=200, S3_ENDPOINT="http://127.0.0.1:9"
    )
    assert "(--store-timeout)" in said
    said = copy(
        rclone, "-r", "--store-timeout", "1", make(tmp_path), "obs://bkt/x/", code=200, S3_ENDPOINT="http://127.0.0.1:9"
    )
    assert "(--store-timeout)" in said
