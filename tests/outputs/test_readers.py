"""Readers beside a writer: no listing is a picture of one moment, and a manifest may be gone when its files are read.

The listings here are a store's own, with a writer who is at work between two of their steps.
"""

from __future__ import annotations

import json
import os
import threading
from functools import partial
from pathlib import Path

import pytest

from bootstrap.commands.outputs import _chosen
from bootstrap.errors import SourceChanging
from bootstrap.outputs.publisher import Publisher
from bootstrap.outputs.remote import reading
from bootstrap.outputs.remote.manifest import LAST_STATE, VOID, directory_of
from bootstrap.outputs.remote.parts import MOST
from bootstrap.outputs.resume.restore import fetch_one, restore
from tests.lab.stores import Store
from tests.outputs.conftest import NEVER, Place, end, settle, stores_of, write

DAMAGE: dict[str, tuple[dict[str, object], str]] = {
    "cut short": ({}, "it is no JSON"),
    "of another schema": ({"schema": 2}, "its schema is 2"),
    "of a path above": ({"path": "../up"}, "leads out of its directory"),
    "of any path": ({"path": "/etc"}, "leads out of its directory"),
    "a file above": ({"files": [{"path": "a/../../b", "key": "b", "size": 1, "sha256": ""}]}, "leads out of"),
    "of a negative size": ({"files": [{"path": "b", "key": "b", "size": -1, "sha256": ""}]}, "the size of b is -1"),
    "copied from attempt 1": ({"attempt": 1}, "the manifest of another attempt, 1"),
    "copied from node 3": ({"node": 3}, "the manifest of another node, 3"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_manifest_that_somebody_has_damaged_is_named_and_nothing_comes_of_it(
    nas: Place, root: Path, name: str
) -> None:
    write(root, {"step-1.pt": "1"})
    nas.publisher(root).round(NEVER)
    change, why = DAMAGE[name]
    (good,) = nas.contents().checkpoints[0].nodes.values()
    text = json.dumps({**json.loads(good.text()), "path": "step-2.pt", "attempt": 2, **change}).encode()
    nas.target().put(directory_of("step-2.pt", 2, 1) + "node-0.json", text if change else text[:-5])
    found = nas.contents()
    assert found.newest is not None and found.newest.path == "step-1.pt"
    (line,) = [line for line in reading.table(found, None) if "cannot be used" in line]
    assert why in line and "step-2.pt" in line
    publisher = nas.publisher(root.parent / "second")
    resumed = restore(publisher, found, reread=nas.contents, same_job=True, stop=NEVER, log=nas.log)
    assert resumed is not None and resumed.path == str(root.parent / "second/step-1.pt") and why in resumed.others[0]


def test_names_write_nothing_to_a_terminal_and_are_no_lines_of_ours(nas: Place, root: Path) -> None:
    write(root, {"a\x1b]0;title\x07\nb.pt": "1"})
    nas.publisher(root).round(NEVER)
    _, row, *_ = reading.table(nas.contents(), None)
    assert row.startswith("a\\x1b]0;title\\x07\\nb.pt  file")


def test_one_long_name_pushes_no_other_line_to_the_right_and_wide_letters_are_two(nas: Place, root: Path) -> None:
    write(root, {"deep/" * 30 + "a.pt": "1", "模型.pt": "22", "plain.pt": "333"})
    nas.publisher(root).round(NEVER)
    head, *rows = reading.table(nas.contents(), None)[:4]
    at = {row.split("  ")[0]: row.index("file") for row in rows}
    assert at["plain.pt"] == head.index("format") == 62
    assert at["模型.pt"] == 60
    assert at["deep/" * 30 + "a.pt"] == 156


def save(publisher: Publisher, number: int, name: str = "last.ckpt") -> None:
    write(publisher.root, {name: f"state {number}"}, age=1000 - number)
    settle(publisher)


@pytest.mark.parametrize("fixture", ["seaweedfs", "rclone"])
def test_a_listing_in_two_parts_never_misses_all_versions(
    request: pytest.FixtureRequest, root: Path, fixture: str
) -> None:
    """Whatever comes between the parts, and wherever they meet; also where nothing that is old stays for a while."""
    store: Store = request.getfixturevalue(fixture)
    bucket = store.make_bucket()
    place = Place(bucket.url("models/"), stores_of(store))
    publisher = place.publisher(root)
    save(publisher, 1)
    for number in range(2, 13):  # over the ninth and the tenth version
        keys = bucket.list("models/.bootstrap/checkpoints/")
        meet = keys[-1][:-1]
        first = [key for key in keys if key <= meet]
        save(publisher, number)
        rest = store.client().list_objects_v2(
            Bucket=bucket.name, Prefix="models/.bootstrap/checkpoints/", StartAfter=meet
        )
        assert first or rest["KeyCount"], f"neither part has anything complete: {keys}, and then version {number}"


def test_the_newer_sorts_behind_the_older() -> None:
    ages = [(attempt, version) for attempt in (1, 9, 10) for version in (1, 9, 10, 100, LAST_STATE)]
    names = [directory_of("last.ckpt", attempt, version) for attempt, version in ages]
    assert names == sorted(names)


def test_who_looks_into_directories_one_after_the_other_does_not_miss_all_versions(nas: Place, root: Path) -> None:
    publisher = nas.publisher(root, linger=60)
    save(publisher, 1)
    top = Path(nas.url, ".bootstrap/checkpoints/last.ckpt")
    names = os.listdir(top)
    for number in range(2, 12):
        save(publisher, number)
    assert any((top / name / "node-0.json").exists() for name in names)
    publisher.shelf.lingering.seconds = 0.0
    publisher.refresh()
    assert len(os.listdir(top)) == 1, "in the end there is one"
    assert nas.get("last.ckpt") == b"state 11"
    publisher.refresh()
    assert nas.target().listed(".bootstrap/new/") == []


def test_an_old_checkpoint_stays_beside_the_one_that_makes_it_superfluous(nas: Place, root: Path) -> None:
    """``step-10`` is listed before ``step-9``: a listing that is past it would find neither."""
    publisher = nas.publisher(root, linger=60, keep=1)
    for number in (8, 9, 10):
        save(publisher, number, f"step-{number}.pt")
    assert len(nas.complete()) == 3
    end(publisher)
    assert nas.complete() == ["step-10.pt"], "as many as were asked for at the end"


def test_what_was_rewritten_faster_than_it_is_let_go_is_bounded_and_gets_its_name(place: Place, root: Path) -> None:
    publisher = place.publisher(root, linger=0.5)
    for number in range(1, 12):
        save(publisher, number)
        assert place.complete()[0] == "last.ckpt"
    there = [one.version for one in place.contents().checkpoints]
    assert there[0] == 11 and len(there) < 11
    assert place.get("last.ckpt") != b"state 1"
    end(publisher)
    assert [one.version for one in place.contents().checkpoints] == [11]
    assert place.get("last.ckpt") == b"state 11"
    assert place.target().listed(".bootstrap/new/") == []


def test_what_a_killed_attempt_left_beside_its_successor_goes_and_the_newest_gets_its_name(
    place: Place, root: Path, tmp_path: Path
) -> None:
    killed = place.publisher(root, linger=60)
    for number in range(1, 4):
        save(killed, number)
    assert place.get("last.ckpt") == b"state 1"
    publisher = place.publisher(tmp_path / "second")
    restored = restore(publisher, publisher.contents, reread=place.contents, same_job=True, stop=NEVER, log=place.log)
    assert restored is not None and (tmp_path / "second/last.ckpt").read_text() == "state 3"
    publisher.refresh()
    publisher.refresh()
    assert place.get("last.ckpt") == b"state 3"
    assert [one.version for one in place.contents().checkpoints] == [3]
    assert place.complete() == ["last.ckpt"]
    assert place.target().listed(".bootstrap/new/") == []


def test_who_was_overtaken_by_a_rewriting_takes_the_newer_one(place: Place, root: Path, tmp_path: Path) -> None:
    publisher = place.publisher(root)
    save(publisher, 1)
    seen = place.contents()
    for number in (2, 3):
        save(publisher, number)
    elsewhere = place.publisher(tmp_path / "elsewhere")
    resumed = restore(elsewhere, seen, reread=place.contents, same_job=False, stop=NEVER, log=place.log)
    assert resumed is not None and not resumed.others
    assert (tmp_path / "elsewhere/last.ckpt").read_text() == "state 3"
    target = place.target()
    stale = iter([seen])

    def choose(contents: object) -> object:
        return next(stale, contents).checkpoints[0]  # type: ignore[call-overload]

    one, _, _ = fetch_one(target, choose, tmp_path / "fetched", NEVER, place.log)  # type: ignore[arg-type]
    assert one.version == 3 and (tmp_path / "fetched/last.ckpt").read_text() == "state 3"
    now, verified = reading.verify_all(target, seen, threading.Event())
    assert [one.version for one in now.checkpoints] == [3]
    assert set(verified.values()) == {""}


def test_what_is_damaged_is_not_taken_for_replaced(place: Place, root: Path, tmp_path: Path) -> None:
    save(place.publisher(root), 1)
    target = place.target()
    target.put("last.ckpt", b"state x")
    with pytest.raises(SourceChanging, match="damaged"):
        fetch_one(target, partial(_chosen, which="latest", target=target), tmp_path / "fetched", NEVER, place.log)
    _, verified = reading.verify_all(target, place.contents(), threading.Event())
    assert all(verified.values())


def test_a_manifest_that_was_made_void_is_no_trouble_to_anybody(place: Place, root: Path) -> None:
    save(place.publisher(root), 1)
    place.target().put(".bootstrap/checkpoints/old.pt/@000001.000000001/node-0.json", VOID)
    found = place.contents()
    assert [one.path for one in found.checkpoints] == ["last.ckpt"]
    assert not found.unreadable


def test_an_earlier_attempt_with_a_later_clock_keeps_no_name(place: Place, root: Path, tmp_path: Path) -> None:
    """What took the place of its contents is newer, whatever the clocks say."""
    ahead = place.publisher(root)
    write(root, {"last.ckpt": "of tomorrow"}, age=-86_400)
    settle(ahead)
    publisher = place.publisher(tmp_path / "second")
    save(publisher, 1)
    assert place.complete() == ["last.ckpt"], "one version, and its digest is right"
    assert place.get("last.ckpt") == b"state 1"


def test_what_an_attempt_was_sending_when_it_was_killed_goes_and_what_is_needed_stays(
    place: Place, root: Path, tmp_path: Path
) -> None:
    killed = place.publisher(root, linger=60)
    for number in (1, 2):
        save(killed, number)
    (staged,) = place.target().listed(".bootstrap/new/")
    cut = f"{staged.key.rpartition('/')[0].replace('1.2.', '1.3.')}/last.ckpt"
    place.target().put(cut, b"cut")
    second = place.publisher(tmp_path / "second")
    third = place.publisher(tmp_path / "third")
    newer = f".bootstrap/new/3.1.node-0.{third.claim.run}/x.ckpt"
    place.target().put(newer, b"on its way")
    second.shelf.sweep()
    left = [entry.key for entry in place.target().listed(".bootstrap/new/")]
    assert sorted(left) == sorted([staged.key, newer])
    assert set(place.complete()) == {"last.ckpt"}


def test_documents_of_small_files_stay_few(place: Place, root: Path) -> None:
    publisher = place.publisher(root)
    write(root, {"once.txt": "stays"})
    for number in range(3 * MOST if place.url.startswith("/") else MOST + 3):
        write(root, {"metrics.json": f"{number}", f"names/{number}": "x"}, age=1000 - number)
        publisher.round(NEVER)
        documents = [entry.key for entry in place.target().listed(".bootstrap/runs/")]
        assert len(documents) <= 2 * MOST
    publisher.refresh()
    assert len(place.target().listed(".bootstrap/runs/")) <= MOST + 1
    told = place.contents().loose[0]
    assert {"once.txt", "metrics.json", *(f"names/{each}" for each in range(number + 1))} == set(told)
    assert place.get("metrics.json") == str(number).encode()
    assert told["metrics.json"].size == len(str(number))
    end(publisher)
    assert [entry.key for entry in place.target().listed(".bootstrap/runs/")] == [".bootstrap/runs/1/node-0.json"]
