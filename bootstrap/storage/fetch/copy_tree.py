"""A local tree copied beside itself, as it is: modes, times, empty directories, symbolic links."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ...errors import PathUnusable, SourceChanging
from ...job import StopRequest
from ..common.choice import EVERYTHING, Choice
from ..common.file_errors import explain
from ..common.progress import Progress
from ..common.sparse import stretches
from ..common.workers import TransferStopped, in_parallel
from ..local.staging import Staging, executable_if_script, is_unfinished, sweep
from ..model.store import Entry
from .index import Extra, remove_extra
from .plan import FetchPlan, check_room, has_room

_WIDTH = 16
"""Threads where files are waited for: a mount over the network."""
_LARGE = 1 << 20  # bytes of a file that is worth a thread: the kernel copies it
_QUICK = 0.0005  # seconds a small file, below which threads only take the interpreter from each other
_TRIED = 32  # small files by which that is found out
_TOGETHER = 16  # small files that a thread is given at once
_CHUNK = 1 << 20


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
    items = list(_walk(source, target))
    if not choice.is_everything:
        items = _chosen(items, choice)
    directories = [item.path for item in items if stat.S_ISDIR(item.found.st_mode)]
    left_out = [(item.path, "neither a file nor a directory nor a link") for item in items if _special(item)]
    files = [item for item in items if stat.S_ISREG(item.found.st_mode)]
    others = [item for item in items if not stat.S_ISREG(item.found.st_mode)]
    if not has_room((item.found.st_size for item in files), len(files), os.fspath(target)):
        check_room(FetchPlan.of(*((item.path, Entry("", item.found.st_size)) for item in files)), os.fspath(target))
    wanted = len(files)
    source_place, target_place = _places(source), _places(target)
    if os.path.lexists(target):
        files = [item for item in files if not _unchanged(item, target_place(item.path))]
    if choice.rehearse((item.path, item.found.st_size) for item in files):
        return wanted - len(files), left_out
    progress.expect(len(files), sum(item.found.st_size for item in files))
    staging = Staging()

    def beat() -> None:
        if stop.is_set():
            raise TransferStopped
        progress.beat()

    def copy(some: Sequence[_Item]) -> None:
        for item in some:
            if stop.is_set():
                raise TransferStopped
            _copy_file(source_place(item.path), target_place(item.path), staging, progress, stop)

    try:
        os.makedirs(target if source.is_dir() else target.parent, exist_ok=True)
        for item in others:
            place = target_place(item.path)
            if stat.S_ISDIR(item.found.st_mode):
                if os.path.islink(place):  # of an earlier copy: its target is not what this is
                    os.unlink(place)
                os.makedirs(place, exist_ok=True)
            elif stat.S_ISLNK(item.found.st_mode):
                _copy_link(source, item, place)
        if source.is_dir():
            sweep(os.fspath(target), ("", *directories))
        else:
            sweep(os.fspath(target.parent), ("",))
        large = [[item] for item in files if item.found.st_size >= _LARGE]
        small = [item for item in files if item.found.st_size < _LARGE]
        tried, rest = small[:_TRIED], small[_TRIED:]
        began = time.monotonic()
        for first in in_parallel([tried] if rest else [], copy, width=1, beat=beat):
            first.value()
        quick = time.monotonic() - began < _QUICK * len(tried)
        tasks: list[Sequence[_Item]] = [*large, *_batches(rest or tried)]
        width = min(_WIDTH, len(large) + 1) if quick else _WIDTH
        for done in in_parallel(tasks, copy, width=width, beat=beat):
            done.value()
        if extra == "delete" and source.is_dir():
            wanted_names = {item.path for item in items} - set(directories)
            removed = remove_extra(os.fspath(target), wanted_names, set(directories))
            progress.tell("removed what the source does not have", files=removed)
        for item in reversed(others):  # when nothing more is written into them: a mode may forbid it
            if stat.S_ISDIR(item.found.st_mode):
                os.chmod(target_place(item.path), stat.S_IMODE(item.found.st_mode) | stat.S_IRWXU)
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


def _batches(files: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for first in range(0, len(files), _TOGETHER):
        yield files[first : first + _TOGETHER]


def _walk(source: Path, target: Path) -> Iterator[_Item]:
    """Everything in the tree, parents first, without the target itself should it lie inside."""
    avoid = os.path.realpath(target)
    try:
        found = source.stat()
        if not stat.S_ISDIR(found.st_mode):
            yield _Item("", found)
            return
        pending = [""]
        while pending:
            below = pending.pop()
            with os.scandir(os.path.join(source, below)) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    path = os.path.join(below, entry.name)
                    is_directory = entry.is_dir(follow_symlinks=False)
                    if is_unfinished(entry.name) or (is_directory and os.path.realpath(entry.path) == avoid):
                        continue
                    found = entry.stat(follow_symlinks=False)
                    yield _Item(path, found, os.readlink(entry.path) if entry.is_symlink() else "")
                    if is_directory:
                        pending.append(path)
    except OSError as error:
        raise explain(error, error.filename or source, "cannot read what is to be copied") from error


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
        try:
            at, holes = 0, before.st_blocks * 512 < before.st_size
            parts = stretches(origin, 0, before.st_size) if holes else [(0, before.st_size, True)]
            for at, end, is_data in parts:
                if at:
                    os.lseek(file, at, os.SEEK_SET)
                while at < end:
                    sent = os.sendfile(file, origin, at, min(end - at, _CHUNK)) if is_data else end - at
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
            os.fchmod(file, stat.S_IMODE(before.st_mode))
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
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
