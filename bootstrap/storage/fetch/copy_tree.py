"""A local tree copied beside itself, as it is: modes, times, empty directories, symbolic links."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple, TypeVar

from ...errors import PathUnusable, SourceChanging
from ...ground.writes import write_all
from ...job import StopRequest
from ..common.choice import EVERYTHING, Choice
from ..common.file_errors import explain
from ..common.progress import Progress
from ..common.sparse import stretches
from ..common.workers import TransferStopped, in_parallel
from ..local.attributes import set_mode, set_times
from ..local.staging import Staging, executable, executable_if_script, is_unfinished, sweep
from ..model.store import Entry
from .index import Extra, remove_extra
from .plan import FetchPlan, check_room, has_room

_WIDTH = 16
"""Threads where files are waited for: a mount over the network."""
_LARGE = 1 << 20  # bytes of a file that is worth a thread: the kernel copies it
_SMALL = 64 << 10  # bytes of a file that is read and written at once
_QUICK = 0.0005  # seconds a small file, below which threads only take the interpreter from each other
_QUICK_LOOK = 0.0002  # seconds a look at one
_TRIED = 32  # small files by which that is found out,
_TRIAL = 0.05  # or those of so many seconds
_TOGETHER = 16  # small files that a thread is given at once,
_AT_ONCE = 64  # where there is one thread,
_FEW = 4  # and where there are not enough of them to find out
_CHUNK = 4 << 20  # bytes between two looks at whether we are to stop; a server is asked for each
_PAGE = 4096

T = TypeVar("T")
R = TypeVar("R")


class _Item(NamedTuple):
    path: str  # relative to the tree, empty for a single file
    found: os.stat_result
    link: str = ""


def copy_tree(
    source: Path,
    target: Path,
    *,
    extra: Extra = "keep",
    choice: Choice = EVERYTHING,
    progress: Progress,
    stop: StopRequest,
) -> tuple[int, list[tuple[str, str]]]:
    """Copy the file or directory ``source`` to ``target``; returns how many files an earlier copy had brought, and what
    was left out, with reasons. ``extra`` is what becomes of files in the target that the source does not have.

    Raises :class:`PathUnusable`, :class:`DiskFull`, :class:`SourceChanging` or :class:`TransferStopped`.
    """
    if extra == "delete" and os.path.realpath(source).startswith(os.path.join(os.path.realpath(target), "")):
        why = f"it lies in {target}, where all is to be deleted that it does not have"
        raise PathUnusable("the source would delete itself", where=os.fspath(source), why=why)

    def beat() -> None:
        if stop.is_set():
            raise TransferStopped
        progress.beat()

    items = _found(source, target, beat)
    if not choice.is_everything:
        items = _chosen(items, choice)
    directories = [item for item in items if stat.S_ISDIR(item.found.st_mode)]
    links = [item for item in items if stat.S_ISLNK(item.found.st_mode)]
    files = [item for item in items if stat.S_ISREG(item.found.st_mode)]
    left_out = [(item.path, "neither a file nor a directory nor a link") for item in items if _special(item)]
    if not has_room((item.found.st_size for item in files), len(files), os.fspath(target)):
        check_room(FetchPlan.of(*((item.path, Entry("", item.found.st_size)) for item in files)), os.fspath(target))
    wanted = len(files)
    source_place, target_place = _places(source), _places(target)
    if os.path.lexists(target):
        unchanged = _of_each(lambda item: _unchanged(item, target_place(item.path)), files, _QUICK_LOOK, beat)
        files = [item for item, same in zip(files, unchanged, strict=True) if not same]
    if choice.rehearse((item.path, item.found.st_size) for item in files):
        return wanted - len(files), left_out
    progress.expect(len(files), sum(item.found.st_size for item in files))
    staging = Staging()

    def copy(some: Iterable[_Item]) -> None:
        for item in some:
            if stop.is_set():
                raise TransferStopped
            origin, place = source_place(item.path), target_place(item.path)
            if item.found.st_size > _SMALL or not _copy_small(origin, place, staging, progress):
                _copy_file(origin, place, staging, progress, stop)

    try:
        swept = [""] if os.path.lexists(target) or not source.is_dir() else []
        os.makedirs(target if source.is_dir() else target.parent, exist_ok=True)
        swept += [item.path for item in directories if not _make_directory(target_place(item.path), item.found)]
        for item in links:
            _copy_link(source, item, target_place(item.path))
        sweep(os.fspath(target if source.is_dir() else target.parent), swept)
        large = [[item] for item in files if item.found.st_size >= _LARGE]
        small = [item for item in files if item.found.st_size < _LARGE]
        began, tried = time.monotonic(), 0

        def trial() -> Iterator[_Item]:
            nonlocal tried
            while tried < _TRIED and time.monotonic() - began < _TRIAL:
                yield small[tried]
                tried += 1

        for first in in_parallel([trial()] if len(small) > _TRIED else [], copy, width=1, beat=beat):
            first.value()
        quick = time.monotonic() - began < _QUICK * tried
        tasks: list[Sequence[_Item]] = [
            *large,
            *_batches(small[tried:], _AT_ONCE if quick else _TOGETHER if tried else _FEW),
        ]
        width = min(_WIDTH, len(large) + 1) if quick else _WIDTH
        for done in in_parallel(tasks, copy, width=width, beat=beat):
            done.value()
        if extra == "delete" and source.is_dir():
            kept = {item.path for item in directories}
            removed = remove_extra(os.fspath(target), {item.path for item in items} - kept, kept)
            progress.tell("removed what the source does not have", files=removed)
    except OSError as error:
        raise explain(error, error.filename2 or error.filename or target, "cannot copy") from error
    finally:
        staging.close()
    return wanted - len(files), left_out


def _places(root: Path) -> Callable[[str], str]:
    """Where a path of the tree is; an empty one is the root itself."""
    whole = os.fspath(root)
    above = os.path.join(whole, "")
    return lambda path: above + path if path else whole


def _batches(files: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    """Some at a time, of one directory each, and of another one than those before: the kernel makes and renames one
    file of a directory at a time, which is waited for on a mount over the network.
    """
    of_directory: dict[str, list[_Item]] = {}
    for item in files:
        of_directory.setdefault(os.path.dirname(item.path), []).append(item)
    rows = [[some[first : first + size] for first in range(0, len(some), size)] for some in of_directory.values()]
    return (batch for row in zip_longest(*rows) for batch in row if batch)


def _of_each(work: Callable[[T], R], things: Sequence[T], quick: float, beat: Callable[[], None]) -> list[R]:
    """What ``work`` gives of each: one after the other where that takes less than ``quick`` seconds each, else by
    threads. Raises what it raises.
    """
    results: list[R] = []
    began = time.monotonic()
    for number, thing in enumerate(things, start=1):
        results.append(work(thing))
        if number % _TRIED == 0:
            beat()
            if time.monotonic() - began > quick * number:
                break
    rest = range(len(results), len(things), _TOGETHER)
    if not rest:
        return results
    given = {
        done.task: done.value()
        for done in in_parallel(
            rest, lambda first: [work(thing) for thing in things[first : first + _TOGETHER]], width=_WIDTH, beat=beat
        )
    }
    return [*results, *(one for first in rest for one in given[first])]


def _found(source: Path, target: Path, beat: Callable[[], None]) -> list[_Item]:
    """Everything in the tree, parents first, without the target itself should it lie inside."""
    inside = os.path.relpath(os.path.realpath(target), os.path.realpath(source))
    try:
        found = source.stat()
        if not stat.S_ISDIR(found.st_mode):
            return [_Item("", found)]
        entries: list[tuple[str, os.DirEntry[str]]] = []
        pending = [""]
        while pending:
            beat()
            below = pending.pop()
            with os.scandir(os.path.join(source, below)) as there:
                base = below and f"{below}/"
                for entry in sorted(there, key=_name):
                    path = base + entry.name
                    if is_unfinished(entry.name) or path == inside:
                        continue
                    entries.append((path, entry))
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(path)
        return _of_each(_item, entries, _QUICK_LOOK, beat)
    except OSError as error:
        raise explain(error, error.filename or source, "cannot read what is to be copied") from error


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _item(found: tuple[str, os.DirEntry[str]]) -> _Item:
    path, entry = found
    return _Item(path, entry.stat(follow_symlinks=False), os.readlink(entry.path) if entry.is_symlink() else "")


def _chosen(items: list[_Item], choice: Choice) -> list[_Item]:
    """The files of the choice, and the directories that they are in."""
    taken = {item.path for item in items if not stat.S_ISDIR(item.found.st_mode) and choice.takes(item.path)}
    above = {parent for path in taken for parent in _above(path)}
    return [item for item in items if item.path in taken or item.path in above]


def _above(path: str) -> Iterator[str]:
    while path := os.path.dirname(path):
        yield path


def _unchanged(item: _Item, place: str) -> bool:
    """Whether an earlier copy of this file is still there: copies keep the time of what they were made from."""
    try:
        found = os.lstat(place)
    except OSError:
        return False
    same = found.st_size == item.found.st_size and found.st_mtime_ns == item.found.st_mtime_ns
    return same and stat.S_ISREG(found.st_mode)


def _special(item: _Item) -> bool:
    mode = item.found.st_mode
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))


def _copy_link(source: Path, item: _Item, place: str) -> None:
    """The same link, unless it is relative and leads out of the tree: then it still means what it meant."""
    link = item.link
    meant = os.path.normpath(os.path.join(source, os.path.dirname(item.path), link))
    if not os.path.isabs(link) and os.path.commonpath((meant, source)) != os.fspath(source):
        link = meant
    if os.path.lexists(place):
        if os.path.islink(place) and os.readlink(place) == link:
            return
        if os.path.isdir(place) and not os.path.islink(place):
            raise PathUnusable("a directory stands where a link is to go", where=place)
        os.unlink(place)
    os.symlink(link, place)


def _make_directory(place: str, like: os.stat_result) -> bool:
    """Whether it is new. Whatever its mode is to be, we may write into it."""
    mode = stat.S_IMODE(like.st_mode) | stat.S_IRWXU
    try:
        os.mkdir(place, mode)
        new, made = True, stat.S_IMODE(os.stat(place).st_mode)
    except FileExistsError:
        new, made = False, -1
        if os.path.islink(place):  # of an earlier copy: its target is not what this is
            os.unlink(place)
        os.makedirs(place, exist_ok=True)
    if made != mode:
        set_mode(place, mode)
    return new


def _copy_small(source: str, target: str, staging: Staging, progress: Progress) -> bool:
    """Copy a file with as few calls as that takes, each of which is waited for on a mount over the network. False for
    one that is to be copied with more care: it has holes, changes at this moment, or comes in parts.
    """
    try:
        origin = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        before = os.fstat(origin)
        size = before.st_size
        if not stat.S_ISREG(before.st_mode) or size > _SMALL or before.st_blocks * 512 + _PAGE < size:
            return False
        content = os.read(origin, size)
    finally:
        os.close(origin)
    if len(content) < size:
        return False
    mode = stat.S_IMODE(before.st_mode)
    if content[:2] == b"#!":
        mode |= executable(mode)
    file, partial = staging.create(target, mode=mode & 0o777 | 0o600, claimed=False)
    try:
        made = os.fstat(file).st_mode
        write_all(file, content)
        if stat.S_IMODE(made) != mode:
            set_mode(file, mode)
        set_times(file, before)
    finally:
        os.close(file)  # which may tell that there was no room on the server
    try:
        staging.publish(partial, target)
    except IsADirectoryError as error:
        raise PathUnusable("a directory stands where a file is to go", where=target) from error
    except FileNotFoundError:  # somebody who copies to the same place took it for a leftover: claimed it is safe
        staging.discard(partial)
        return False
    progress.add(size)
    progress.finish()
    return True


class _Move:
    """The kernel's ways to copy from one open file into another: the same blocks for both (XFS, Btrfs), or the server
    does it itself (NFS 4.2), where they are of one file system that can; else through its own memory.
    """

    def __init__(self) -> None:
        self._shares = hasattr(os, "copy_file_range")  # until it does not

    def __call__(self, to: int, origin: int, at: int, most: int) -> int:
        """How many bytes, up to ``most``, were copied from offset ``at`` to the same; 0 behind the end."""
        if self._shares:
            try:
                if moved := os.copy_file_range(origin, to, most, at, at):
                    return moved
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise
            self._shares = False  # of two file systems, or one that says so or that there is nothing
        os.lseek(to, at, os.SEEK_SET)
        return os.sendfile(to, origin, at, most)


def _copy_file(source: str, target: str, staging: Staging, progress: Progress, stop: StopRequest) -> None:
    try:
        origin = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise SourceChanging("a file was there, and gone when it was read", where=source) from error
    except OSError as error:
        raise explain(error, source, "cannot read what is to be copied") from error
    try:
        before = os.fstat(origin)
        file, partial = staging.create(target)
        move = _Move()
        try:
            at, holes = 0, before.st_blocks * 512 < before.st_size
            parts = stretches(origin, 0, before.st_size) if holes else [(0, before.st_size, True)]
            for at, end, is_data in parts:
                while at < end:
                    sent = move(file, origin, at, min(end - at, _CHUNK)) if is_data else end - at
                    if not sent:
                        break
                    at += sent
                    progress.add(sent)
                    if stop.is_set():
                        raise TransferStopped
                if at < end:
                    break
            if at < before.st_size:
                raise SourceChanging("a file became shorter while it was copied", where=source)
            if holes:
                os.ftruncate(file, before.st_size)  # one at the end
            set_mode(file, stat.S_IMODE(before.st_mode))
            set_times(file, before)
            executable_if_script(file)
            try:
                staging.publish(partial, target)
            except IsADirectoryError as error:
                raise PathUnusable("a directory stands where a file is to go", where=target) from error
            progress.finish()
        finally:
            os.close(file)
    finally:
        os.close(origin)
