"""Which files a listing becomes, and which names are refused: decided over values, before the first byte."""

from __future__ import annotations

import os
import random

import pytest

from bootstrap.errors import DiskFull, NamesUnsafe
from bootstrap.storage.fetch.plan import FetchPlan, check_name, check_room, plan_tree
from bootstrap.storage.model.store import Entry
from bootstrap.storage.schemes import parse
from tests.storage.conftest import SmallDisk

WHERE = parse("obs://bucket/code/")


def plan(*keys: str | tuple[str, int], prefix: str = "code/") -> FetchPlan:
    entries = [Entry(key, 3) if isinstance(key, str) else Entry(*key) for key in keys]
    return plan_tree(entries, prefix, WHERE)


def laid_out(*keys: str | tuple[str, int], prefix: str = "code/") -> tuple[list[str], list[str]]:
    made = plan(*keys, prefix=prefix)
    return list(made.directories), [path for path, _ in made.files]


@pytest.mark.parametrize(
    ("keys", "directories", "files"),
    [
        (["code/a", "code/b/c/d"], ["b", "b/c"], ["a", "b/c/d"]),
        (["code//a", "code/b//c"], ["b"], ["a", "b/c"]),  # empty parts of put-together prefixes
        ([("code/", 0), ("code/empty/", 0)], ["empty"], []),
        ([("code/b", 0), "code/b/c"], ["b"], ["b/c"]),  # a marker without its slash
        (["code/b", ("code/b/", 0)], [], ["b"]),  # an empty marker beside a file of that name
        (["code/b", ("code/b/c/", 0)], [], ["b"]),
        (["code/..a", "code/...", "code/a.."], [], ["..a", "...", "a.."]),
    ],
)
def test_a_listing_becomes_a_tree(keys: list[str | tuple[str, int]], directories: list[str], files: list[str]) -> None:
    assert laid_out(*keys) == (directories, files)


def test_a_store_may_list_in_any_order() -> None:
    keys: list[str | tuple[str, int]] = [f"code/d{n % 7}/f{n}" for n in range(50)]
    keys += [("code/d1", 0), ("code/d2/", 0), ("code/e/", 0), "code/g", ("code/g/h/", 0)]
    directories, files = laid_out(*sorted(keys, key=str))
    for seed in range(5):
        shuffled = random.Random(seed).sample(keys, len(keys))
        assert (laid_out(*shuffled)[0], sorted(laid_out(*shuffled)[1])) == (directories, sorted(files))
    assert directories == [*(f"d{n}" for n in range(7)), "e"] and "d1" not in files


def test_an_object_that_is_listed_twice_is_what_it_was_last() -> None:
    made = plan(("code/b", 1), ("code/a", 2), ("code/b", 3))
    assert [(path, entry.size) for path, entry in made.files] == [("a", 2), ("b", 3)]
    at_once = plan(("code/a", 1), ("code/b", 1), ("code/b", 3), ("code/c", 4))
    assert [(path, entry.size) for path, entry in at_once.files] == [("a", 1), ("b", 3), ("c", 4)]


def test_two_objects_for_one_file_are_refused_wherever_they_are_listed() -> None:
    with pytest.raises(NamesUnsafe) as raised:
        plan("code/x//a", "code/b", "code/x/a", "code/../c", "code/b/d", prefix="code/")
    assert raised.value.facts["names"] == ["code/x/a", "code/../c", "code/b"]


def test_bytes_are_those_of_all_files() -> None:
    assert plan("code/a", ("code/b", 4), ("code/c/", 0)).bytes == 7
    assert plan().bytes == 0


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        (["code/../a"], ["code/../a"]),
        (["code/a/../../b"], ["code/a/../../b"]),
        (["code/./a"], ["code/./a"]),
        (["code/a\0b"], ["code/a"]),
        (["code/" + "x" * 256], ["x" * 256]),
        (["code/" + "x" * 256 + "/a"], ["x" * 256]),
        (["code/" + "é" * 128], ["é" * 128]),
        (["code/b", "code/b/c"], ["code/b", "a file where a directory stands"]),
        (["code/a/b", "code/a//b"], ["the same file as code/a/b"]),
        ([("code/b/", 5)], ["its name is a directory's, and it has content"]),
        (["code/fine", "code/../one", "code/../two"], ["code/../one", "code/../two"]),
    ],
)
def test_what_cannot_be_a_file_here_is_refused_with_every_name(
    keys: list[str | tuple[str, int]], named: list[str]
) -> None:
    with pytest.raises(NamesUnsafe) as raised:
        plan(*keys)
    for name in named:
        assert name in str(raised.value)
    assert "fine" not in str(raised.value)


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "a b", "训练.py", ".hidden"])
def test_what_is_a_name_on_every_file_system_is_fine(name: str) -> None:
    check_name(name, WHERE)
    assert laid_out(f"code/{name}", f"code/d/{name}") == (["d"], [name, f"d/{name}"])


def test_without_a_prefix_a_slash_in_front_is_an_absolute_path() -> None:
    assert laid_out("a", "b/c", prefix="") == (["b"], ["a", "b/c"])
    with pytest.raises(NamesUnsafe, match="an absolute path"):
        plan("/etc/passwd", prefix="")


# --- room ------------------------------------------------------------------------------------------------------------


def test_the_last_inode_is_taken_and_what_is_there_already_needs_none(small_disk: SmallDisk) -> None:
    disk = small_disk(size=1 << 20, inodes=20)
    free = os.statvfs(disk).f_favail
    keys = [f"code/d/{number}" for number in range(free - 1)]
    check_room(plan(*keys), str(disk))
    with pytest.raises(DiskFull, match=f"{free + 2} new files and directories, {free} inodes are free: 2 too few"):
        check_room(plan(*keys, "code/d/x", "code/d/y"), str(disk))
    (disk / "d").mkdir()
    for number in range(free - 1):
        (disk / f"d/{number}").touch()
    assert os.statvfs(disk).f_favail == 0
    check_room(plan(*keys), str(disk))
    (disk / "d/0").rename(disk / "early")
    check_room(plan(*keys), str(disk), [str(disk / "early")])
    with pytest.raises(DiskFull, match="1 new files and directories, 0 inodes are free: 1 too few"):
        check_room(plan(*keys), str(disk))


def test_the_last_block_is_taken_and_a_file_takes_whole_ones(small_disk: SmallDisk) -> None:
    disk = small_disk(size=1 << 20)
    assert os.statvfs(disk).f_files == 0, "no number of inodes is no reason to refuse anything"
    room = os.statvfs(disk)
    blocks = room.f_bavail
    keys = [(f"code/{number}", 1) for number in range(blocks - 1)]
    check_room(plan(*keys, ("code/last", room.f_frsize)), str(disk))
    with pytest.raises(DiskFull, match=f"{blocks} files need "):
        check_room(plan(*keys, ("code/last", room.f_frsize + 1)), str(disk))
    (disk / "0").write_bytes(b"x")
    check_room(plan(*keys, ("code/last", room.f_frsize)), str(disk))
