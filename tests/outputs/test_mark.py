"""A look at a directory in which nothing has changed ends after a walk that makes nothing of its files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bootstrap.outputs.local import scan
from tests.outputs.conftest import NEVER, Place, write


@pytest.fixture
def tree(root: Path) -> Path:
    write(root, {"a.bin": "a", "d/b.bin": "b", "d/e/c.bin": "c", "step-1/part": "1", "step-2/part": "2"})
    (root / "latest").symlink_to("step-1")
    (root / "alias.bin").symlink_to("a.bin")
    (root / "nowhere").symlink_to("gone")
    return root


def rewritten_with_its_time(root: Path) -> None:
    found = (root / "a.bin").stat()
    (root / "new").write_bytes(b"A")
    os.utime(root / "new", ns=(found.st_atime_ns, found.st_mtime_ns))
    (root / "new").replace(root / "a.bin")


def retarget(root: Path) -> None:
    (root / "latest").unlink()
    (root / "latest").symlink_to("step-2")


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file more": lambda root: (root / "d/new").write_bytes(b""),
    "a file less": lambda root: (root / "d/e/c.bin").unlink(),
    "another size": lambda root: (root / "d/b.bin").write_bytes(b"bb"),
    "another time": lambda root: os.utime(root / "d/e/c.bin", (1, 1)),
    "another file of that size and time": rewritten_with_its_time,
    "another name": lambda root: (root / "d/b.bin").rename(root / "d/b2.bin"),
    "another directory": lambda root: (root / "d/b.bin").rename(root / "d/e/b.bin"),
    "a directory's name": lambda root: (root / "d/e").rename(root / "d/f"),
    "an empty directory": lambda root: (root / "d/g").mkdir(),
    "a link leads elsewhere": retarget,
    "what a link leads to": lambda root: os.utime(root / "a.bin", (2, 2)),
    "a link leads somewhere by now": lambda root: (root / "gone").write_bytes(b""),
    "other rights": lambda root: (root / "a.bin").chmod(0o700),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_mark_is_another_when_anything_has_changed(change: Callable[[Path], object], tree: Path) -> None:
    before = scan.mark(tree, "follow")
    assert before is not None
    assert scan.mark(tree, "follow") == before
    change(tree)
    assert scan.mark(tree, "follow") not in (before, None)


def test_there_is_none_where_a_walk_does_not_tell_all(tree: Path, tmp_path: Path) -> None:
    assert scan.mark(tree, "all") is None
    assert scan.mark(tmp_path / "nothing", "follow") is None
    assert scan.mark(tree / "a.bin", "follow") is None
    assert scan.mark(tree, "follow", {"d/": "another output's"}) != scan.mark(tree, "follow")


def test_a_round_without_a_change_makes_nothing_of_the_files(
    nas: Place, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = nas.publisher(tree)
    looks = []
    look = scan.look

    def counted(*arguments: object) -> scan.Look:
        looks.append(arguments)
        return look(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(scan, "look", counted)
    for _ in range(4):
        publisher.round(NEVER)
    quiet = len(looks)
    for _ in range(3):
        publisher.round(NEVER)
    assert len(looks) == quiet
    write(tree, {"d/b.bin": "changed"})
    publisher.round(NEVER)
    assert len(looks) == quiet + 1
    assert nas.get("d/b.bin") == b"changed"


def test_what_the_store_has_lost_goes_again_though_nothing_changed_here(nas: Place, tree: Path) -> None:
    publisher = nas.publisher(tree)
    for _ in range(4):
        publisher.round(NEVER)
    publisher._all_there = {}  # as when a target was emptied
    publisher.shelf.known.pop("a.bin")
    nas.target().delete(["a.bin"])
    publisher.round(NEVER)
    assert nas.get("a.bin") == b"a"
