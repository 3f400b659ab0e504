"""Local trees: few calls a small file, threads where each call is waited for, and the same promises."""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bootstrap.errors import DiskFull
from bootstrap.storage.fetch import copy_tree as module
from bootstrap.storage.local import staging
from bootstrap.storage.local.staging import Staging
from tests.storage.conftest import Mover, make_tree, tree_of

MANY = {f"{name}/{number}": f"{name}{number}".encode() for name in "abcd" for number in range(40)}


def copied(local: Mover, source: Path, to: Path) -> dict[str, bytes]:
    local.fetch(f"{source}/", to, direct=True)
    return tree_of(to)


@pytest.fixture
def mount(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """A file system on which looks and opening take 2 ms, and which remembers the threads that asked."""
    asked: dict[str, set[str]] = {"look": set(), "open": set()}

    def slow(what: str, call: Callable[..., object]) -> Callable[..., object]:
        def slowly(*words: object, **more: object) -> object:
            asked[what].add(threading.current_thread().name)
            time.sleep(0.002)
            return call(*words, **more)

        return slowly

    monkeypatch.setattr(module, "_item", slow("look", module._item))
    monkeypatch.setattr(module, "_unchanged", slow("look", module._unchanged))
    monkeypatch.setattr(module, "_copy_small", slow("open", module._copy_small))
    return asked


def test_where_files_are_waited_for_many_are_looked_at_and_copied_at_once(
    local: Mover, tmp_path: Path, mount: dict[str, set[str]]
) -> None:
    source = make_tree(tmp_path / "nas", MANY)
    assert copied(local, source, tmp_path / "to") == MANY
    assert len(mount["look"]) > 2 and len(mount["open"]) > 2
    mount["look"].clear()
    report = local.fetch(f"{source}/", tmp_path / "to", direct=True)
    assert (report.files, report.skipped) == (0, len(MANY)) and len(mount["look"]) > 2


def test_where_they_are_quick_one_thread_copies_them(
    local: Mover, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_QUICK", 10.0)  # whatever else the machine does
    monkeypatch.setattr(module, "_QUICK_LOOK", 10.0)
    monkeypatch.setattr(module, "_TRIAL", 100.0)
    threads, really = [], module._copy_small

    def seen(*words: object) -> bool:
        threads.append(threading.get_ident())
        return really(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_copy_small", seen)
    assert copied(local, make_tree(tmp_path / "nas", MANY), tmp_path / "to") == MANY
    assert len(threads) == len(MANY) and len(set(threads)) <= 2  # of the trial, and of the rest


def test_directories_take_turns() -> None:
    files = [module._Item(path, os.stat("/")) for path in sorted([*MANY, "top"])]
    batches = [[item.path for item in batch] for batch in module._batches(files, 16)]
    assert [batch[0][0] for batch in batches] == [*"abcdt", *"abcd", *"abcd"]
    assert sorted(path for batch in batches for path in batch) == sorted([*MANY, "top"])


def test_a_small_file_that_another_copy_has_swept_away_comes_all_the_same(
    local: Mover, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = Staging.publish
    swept: list[str] = []

    def publish(self: Staging, partial: str, final: str) -> None:
        if not swept:
            swept.append(final)
            os.unlink(partial)
        really(self, partial, final)

    monkeypatch.setattr(Staging, "publish", publish)
    report = local.fetch(f"{make_tree(tmp_path / 'nas', MANY)}/", tmp_path / "to", direct=True)
    assert swept and report.files == len(MANY) and tree_of(tmp_path / "to") == MANY


def test_small_files_cost_no_lock_and_large_ones_have_one(
    local: Mover, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed: list[int] = []
    monkeypatch.setattr(staging, "claim", lambda file: not claimed.append(file))
    tree = {**MANY, "large": b"l" * (65 << 10)}
    assert copied(local, make_tree(tmp_path / "nas", tree), tmp_path / "to") == tree
    assert len(claimed) == 1


@pytest.mark.parametrize("umask", [0o022, 0o077])
@pytest.mark.parametrize("size", [2000, 70000])
def test_modes_are_kept_whatever_the_umask_is(local: Mover, tmp_path: Path, umask: int, size: int) -> None:
    modes = {"plain": 0o644, "run": 0o755, "own": 0o600, "read": 0o444, "group": 0o664, "all": 0o666, "s": 0o4755}
    source = make_tree(tmp_path / "nas", {**{f"d/{name}": b"x" * size for name in modes}, "script": b"#!/bin/sh\n"})
    for name, mode in modes.items():
        (source / "d" / name).chmod(mode)
    (source / "script").chmod(0o640)
    (source / "d").chmod(0o775)
    os.utime(source / "d" / "run", ns=(1, 1_234_567_890_123_456_789))
    before = os.umask(umask)
    try:
        local.fetch(f"{source}/", tmp_path / "to", direct=True)
    finally:
        os.umask(before)
    for name, mode in modes.items():
        assert stat.S_IMODE((tmp_path / "to" / "d" / name).stat().st_mode) == mode, name
    assert stat.S_IMODE((tmp_path / "to" / "script").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "to" / "d").stat().st_mode) == 0o775
    assert (tmp_path / "to" / "d" / "run").stat().st_mtime_ns == 1_234_567_890_123_456_789


def test_a_small_file_that_comes_in_parts_is_whole(
    local: Mover, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, really = make_tree(tmp_path / "nas", {"a": b"a" * 5000}), os.read
    monkeypatch.setattr(os, "read", lambda file, size: really(file, min(size, 1000)))
    local.fetch(f"{source}/", tmp_path / "to", direct=True)
    monkeypatch.undo()
    assert tree_of(tmp_path / "to") == {"a": b"a" * 5000}


def test_a_small_file_of_holes_takes_no_room(local: Mover, tmp_path: Path) -> None:
    source = make_tree(tmp_path / "nas", {"a": b""})
    os.truncate(source / "a", 60_000)
    assert copied(local, source, tmp_path / "to") == {"a": bytes(60_000)}
    assert (tmp_path / "to" / "a").stat().st_blocks == 0


@pytest.mark.parametrize("answers", [[errno.EXDEV], [errno.EOPNOTSUPP], [0], [1000, errno.EINVAL], [1000, 0]])
def test_what_a_file_system_cannot_copy_itself_goes_through_the_kernel(
    local: Mover, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list[int]
) -> None:
    source, really, asked = make_tree(tmp_path / "nas", {"a": os.urandom(9 << 20)}), os.copy_file_range, list[int]()

    def some(origin: int, to: int, count: int, at: int, to_at: int) -> int:
        answer = answers[len(asked)]
        asked.append(answer)
        if answer in (errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL):
            raise OSError(answer, os.strerror(answer))
        return really(origin, to, answer, at, to_at) if answer else 0

    monkeypatch.setattr(os, "copy_file_range", some)
    assert copied(local, source, tmp_path / "to") == tree_of(source)
    assert asked == answers


def test_the_file_system_is_asked_to_copy_and_a_full_one_is_told(
    local: Mover, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, really, asked = make_tree(tmp_path / "nas", {"a": os.urandom(9 << 20)}), os.copy_file_range, list[int]()

    def counted(*words: int) -> int:
        asked.append(really(*words))
        return asked[-1]

    monkeypatch.setattr(os, "copy_file_range", counted)
    monkeypatch.setattr(os, "sendfile", None)
    assert copied(local, source, tmp_path / "to") == tree_of(source) and sum(asked) == 9 << 20

    def full(*words: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "copy_file_range", full)
    with pytest.raises(DiskFull):
        local.fetch(f"{source}/", tmp_path / "no", direct=True)
    assert os.listdir(tmp_path / "no") == []
