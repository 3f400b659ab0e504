from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from bootstrap.errors import BucketMissing, NothingThere
from bootstrap.storage.common.recorded_links import LinkPolicy
from bootstrap.storage.local.staging import of_this_machine
from bootstrap.storage.local.store import FileStore
from bootstrap.storage.schemes import parse
from bootstrap.storage.upload.exchanges import LONG
from bootstrap.storage.upload.walk import Named, items_of
from tests.lab import faulty_proxy
from tests.lab.faulty_proxy import FaultyProxy
from tests.lab.stores import Bucket, Store
from tests.storage.conftest import MemoryLog, Mover, make_tree, stores_of, tree_of

FILES = {"model.bin": bytes(range(256)) * 500, "logs/a.txt": b"a", "logs/ü b.txt": b"b", "zero": b""}


def test_the_content_of_a_directory_goes_under_the_prefix(bucket: Bucket, mover: Mover, tmp_path: Path) -> None:
    make_tree(tmp_path, FILES)
    report = mover.deliver(tmp_path, bucket.url("out/run1/"))
    assert bucket.tree("out/run1/") == FILES
    assert (report.files, report.failed) == (len(FILES), ())


def test_a_target_without_its_slash_is_a_directory_for_a_directory(
    bucket: Bucket, mover: Mover, tmp_path: Path
) -> None:
    make_tree(tmp_path, FILES)
    mover.deliver(tmp_path, bucket.url("out"))
    assert bucket.tree("out/") == FILES


def test_a_single_file_goes_into_a_directory_or_to_a_name(bucket: Bucket, mover: Mover, tmp_path: Path) -> None:
    log = tmp_path / "task.log"
    log.write_bytes(b"line\n")
    mover.deliver(log, bucket.url("logs/"))
    mover.deliver(log, bucket.url("other/name.txt"))
    mover.deliver(log, f"obs://{bucket.name}")
    assert bucket.tree() == {"logs/task.log": b"line\n", "other/name.txt": b"line\n", "task.log": b"line\n"}


def test_what_is_there_already_is_replaced(bucket: Bucket, mover: Mover, tmp_path: Path) -> None:
    bucket.put("logs/task.log", b"the old log of the first attempt")
    (tmp_path / "task.log").write_bytes(b"new")
    mover.deliver(tmp_path, bucket.url("logs/"))
    assert bucket.get("logs/task.log") == b"new"


def test_an_empty_directory_arrives_as_a_marker(seaweedfs: Store, tmp_path: Path) -> None:
    bucket = seaweedfs.make_bucket()
    make_tree(tmp_path / "source", {"a": b"a", "empty/": b""})
    mover = Mover(stores_of(seaweedfs))
    mover.deliver(tmp_path / "source", bucket.url("out/"))
    mover.fetch(bucket.url("out/"), tmp_path / "back")
    assert tree_of(tmp_path / "back/out") == {"a": b"a", "empty/": b""}


def test_a_large_file_goes_in_parts_and_those_beside_it_of_any_size_as_well(seaweedfs: Store, tmp_path: Path) -> None:
    bucket = seaweedfs.make_bucket()
    content = os.urandom(1 << 20) * 70
    tree = {"big": content, "zero": b"", "one": b"1", "middle": bytes(LONG - 1), "long": bytes(LONG), "empty/": b""}
    report = Mover(stores_of(seaweedfs)).deliver(make_tree(tmp_path / "source", tree), bucket.url("out/"))
    assert bucket.tree("out/") == tree
    assert (report.files, report.failed) == (5, ())
    assert "-" in bucket.client.head_object(Bucket=bucket.name, Key="out/big")["ETag"]


def test_links_are_followed_in_the_tree_and_never_out_of_it_or_round_in_it(
    bucket: Bucket, mover: Mover, tmp_path: Path
) -> None:
    tree = make_tree(tmp_path / "out", {"ckpt-100/w": b"w"})
    (tmp_path / "secret").write_bytes(b"secret")
    (tree / "latest").symlink_to("ckpt-100")
    (tree / "leak").symlink_to(tmp_path / "secret")
    (tree / "ckpt-100/loop").symlink_to("..")
    (tree / "dangling").symlink_to("nothing")
    (tree / "ring").symlink_to("ring")
    report = mover.deliver(tree, bucket.url("o/"))
    assert bucket.tree("o/") == {"ckpt-100/w": b"w", "latest/w": b"w"}
    reasons = dict(report.left_out)
    assert report.failed == (
        (
            "leak",
            f"a link that leads out of the tree, to {tmp_path / 'secret'} (--links all follows it, skip does without)",
        ),
    )
    assert "leads back" in reasons["ckpt-100/loop"]
    assert "to nothing" in reasons["dangling"]
    assert "to nothing" in reasons["ring"]


def test_links_that_lead_out_of_the_tree_are_followed_on_request_and_end(
    bucket: Bucket, mover: Mover, tmp_path: Path
) -> None:
    tree = make_tree(tmp_path / "out", {"snapshots/1/config.json": b"{}"})
    make_tree(tmp_path / "blobs", {"abc": b"weights", "more/x": b"x"})
    (tree / "snapshots/1/model.bin").symlink_to("../../../blobs/abc")
    (tree / "cache").symlink_to(tmp_path / "blobs")
    (tmp_path / "blobs/more/round").symlink_to(tmp_path / "blobs")
    (tmp_path / "blobs/more/home").symlink_to(tree)
    (tree / "root").symlink_to("/")
    (tree / "gone").symlink_to("/nowhere/at/all")
    report = mover.deliver(tree, bucket.url("o/"), links="all")
    assert bucket.tree("o/") == {
        "snapshots/1/config.json": b"{}",
        "snapshots/1/model.bin": b"weights",
        "cache/abc": b"weights",
        "cache/more/x": b"x",
    }
    back = {name for name, why in report.left_out if "leads back" in why}
    assert back == {"root", "cache/more/round", "cache/more/home"}
    assert report.complete


def test_trees_that_lead_into_each_other_have_an_end(bucket: Bucket, mover: Mover, tmp_path: Path) -> None:
    for number in range(12):
        make_tree(tmp_path / f"ext-{number}", {"f": b"f"})
        (tmp_path / f"ext-{number}/next").symlink_to(tmp_path / f"ext-{number + 1}")
    make_tree(tmp_path / "ext-12", {"f": b"f"})
    tree = make_tree(tmp_path / "out", {"a": b"a"})
    (tree / "next").symlink_to(tmp_path / "ext-0")
    report = mover.deliver(tree, bucket.url("o/"), links="all")
    assert len(bucket.tree("o/")) == 1 + 8
    assert [name for name, why in report.failed] == ["/".join(["next"] * 9)]


@pytest.mark.parametrize("links", ["skip", "record"])
def test_who_orders_no_links_gets_none_and_that_is_complete(
    bucket: Bucket, mover: Mover, tmp_path: Path, links: LinkPolicy
) -> None:
    tree = make_tree(tmp_path / "out", {"a": b"a"})
    (tree / "b").symlink_to("a")
    assert mover.deliver(tree, bucket.url("o/"), links=links).complete


def test_a_file_that_somebody_calls_as_ours_begin_is_delivered_and_ours_are_not(
    bucket: Bucket, mover: Mover, tmp_path: Path
) -> None:
    names = (".bootstrap-config", ".bootstrap-x.partial", ".bootstrap-icons/a.svg", ".bootstrap-")
    theirs = {name: name.encode() for name in names}
    tree = make_tree(tmp_path / "out", {**theirs, "a": b"a"})
    (tree / f"{of_this_machine()}0123abcd-1.partial").write_bytes(b"half")
    (tree / ".bootstrap-out-0123456789abcdef.uploads").write_bytes(b"")
    mover.deliver(tree, bucket.url("o/"))
    assert bucket.tree("o/") == {**theirs, "a": b"a"}


def test_what_is_no_file_is_left_out_with_the_reason(bucket: Bucket, mover: Mover, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a").write_bytes(b"a")
    report = mover.deliver(tmp_path, bucket.url("o/"))
    assert bucket.tree("o/") == {"a": b"a"}
    assert dict(report.left_out) == {"pipe": "neither a file nor a directory"}


def test_a_directory_that_cannot_be_listed_is_named_and_the_rest_goes(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "out", {"a": b"a", "gone/b": b"b", "kept/c": b"c"})
    failed: Named = []
    walk = items_of(tree, parse("obs://bucket/o/"), failed, [])
    assert next(walk).name == "a"
    shutil.rmtree(tree / "gone")  # before its turn
    assert [item.name for item in walk] == ["kept/c"]
    assert [name for name, _ in failed] == ["gone"]


def test_one_file_that_cannot_go_does_not_hold_up_the_rest(
    seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    make_tree(tmp_path, {"a": b"a", "forbidden": b"f", "z": b"z"})
    (tmp_path / os.fsdecode(b"latin-\xe9")).write_bytes(b"")
    faulty.inject(faulty_proxy.refused(403, "AccessDenied"), method="PUT", key="*/forbidden", times=None)
    log = MemoryLog()
    report = Mover(stores_of(seaweedfs, url=faulty.endpoint), log).deliver(tmp_path, bucket.url("o/"))
    assert bucket.tree("o/") == {"a": b"a", "z": b"z"}
    assert log.events("info") == [], "delivered is said of what is complete"
    ((_, event, facts),) = log.lines
    assert (event, facts["files"], facts["failed"]) == ("not everything was delivered", 2, 2)
    failed = dict(report.failed)
    assert "AccessDenied" in failed["forbidden"]
    assert any("UTF-8" in reason for reason in failed.values())
    assert report.files == 2


def test_a_missing_bucket_is_raised_once(rclone: Store, tmp_path: Path) -> None:
    make_tree(tmp_path, FILES)
    with pytest.raises(BucketMissing):
        Mover(stores_of(rclone)).deliver(tmp_path, "obs://no-such-bucket-out/o/")


def test_a_source_that_is_not_there_is_an_error(bucket: Bucket, mover: Mover, tmp_path: Path) -> None:
    with pytest.raises(NothingThere):
        mover.deliver(tmp_path / "nothing", bucket.url("o/"))


def test_the_deadline_is_kept_and_what_did_not_fit_is_listed(
    seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    make_tree(tmp_path, {"quick": b"q", "stuck": b"s"})
    release = threading.Event()
    stuck = faulty.inject(faulty_proxy.unanswered(release), method="PUT", key="*/stuck", times=None)
    mover = Mover(stores_of(seaweedfs, url=faulty.endpoint))
    try:
        report = mover.deliver(tmp_path, bucket.url("o/"), deadline=time.monotonic() + 3)
        assert stuck.fired.is_set()
        assert report.files == 1
        assert report.failed == (("stuck", "not finished by the deadline"),)
    finally:
        release.set()


def test_a_stop_ends_a_delivery_with_a_list_of_what_is_missing(
    seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    make_tree(tmp_path, {"stuck": b"s"})
    release = threading.Event()
    stuck = faulty.inject(faulty_proxy.unanswered(release), method="PUT", key="*/stuck", times=None)
    mover = Mover(stores_of(seaweedfs, url=faulty.endpoint))
    stopper = threading.Thread(target=lambda: (stuck.fired.wait(30), mover.stop.set()))
    stopper.start()
    try:
        report = mover.deliver(tmp_path, bucket.url("o/"))
        assert [name for name, _ in report.failed] == ["stuck"]
    finally:
        release.set()
        stopper.join()


@pytest.mark.parametrize(
    "fault",
    [
        faulty_proxy.reset(),
        faulty_proxy.reset_upload(after=100),
        faulty_proxy.lost_answer(),
        faulty_proxy.refused(503, "SlowDown"),
        faulty_proxy.refused(400, "RequestTimeout"),
        faulty_proxy.refused(500, "InternalError"),
    ],
    ids=lambda fault: fault.name,
)
def test_an_upload_that_goes_wrong_is_made_again(
    fault: faulty_proxy.Fault, seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    make_tree(tmp_path, {"a": b"x" * 10_000})
    injection = faulty.inject(fault, method="PUT", key="*/a", times=2)
    report = Mover(stores_of(seaweedfs, url=faulty.endpoint)).deliver(tmp_path, bucket.url("o/"))
    assert injection.hits == 2
    assert report.complete
    assert bucket.get("o/a") == b"x" * 10_000


def test_a_file_that_keeps_changing_is_not_called_delivered(
    seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    growing = make_tree(tmp_path, {"log": b"1"}) / "log"

    def grow(handler: object) -> None:
        with growing.open("ab") as file:
            file.write(b"more")

    faulty.inject(faulty_proxy.Fault("grow", first=grow), method="PUT", times=None)
    report = Mover(stores_of(seaweedfs, url=faulty.endpoint)).deliver(tmp_path, bucket.url("o/"))
    assert "kept changing" in dict(report.failed)["log"]


def test_a_file_that_vanishes_is_named(seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path) -> None:
    bucket = seaweedfs.make_bucket()
    gone = make_tree(tmp_path, {"gone": b"1", "stays": b"2"}) / "gone"
    faulty.inject(faulty_proxy.Fault("unlink", first=lambda handler: gone.unlink()), method="PUT", key="*/gone")
    report = Mover(stores_of(seaweedfs, url=faulty.endpoint)).deliver(tmp_path, bucket.url("o/"))
    assert dict(report.failed) == {"gone": "vanished while it was sent"}
    assert bucket.get("o/stays") == b"2"


def test_the_listing_of_a_nas_directory_goes_on_behind_what_is_gone_or_no_file(tmp_path: Path) -> None:
    make_tree(tmp_path, {"a/x": b"x", "c": b"c", "z/y": b"y"})
    (tmp_path / "b").symlink_to("nothing")
    os.mkfifo(tmp_path / "bb")
    (tmp_path / "z/w").symlink_to("nothing")
    listing = FileStore(tmp_path).entries("")
    assert next(listing).key == "c"
    shutil.rmtree(tmp_path / "a")  # before its turn
    assert [entry.key for entry in listing] == ["z/y"]
    assert list(FileStore(tmp_path / "nowhere").entries("x/y")) == []


def test_a_nas_directory_is_a_target_too(local: Mover, tmp_path: Path) -> None:
    source = make_tree(tmp_path / "out", {**FILES, "empty/": b""})
    (source / "zero").chmod(0o640)
    local.deliver(source, f"{tmp_path}/nas/run1/")
    assert tree_of(tmp_path / "nas/run1") == {**FILES, "empty/": b""}
    local.deliver(source / "model.bin", f"{tmp_path}/nas/run1/other.bin")
    assert (tmp_path / "nas/run1/other.bin").read_bytes() == FILES["model.bin"]
