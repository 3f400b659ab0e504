"""What a fetch is going to write, settled and checked before the first byte: names, kinds, room."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from bootstrap.errors import DiskFull, NamesUnsafe, NothingThere
from bootstrap.storage.largefile import unfinished_names
from bootstrap.storage.local import existing, readable
from bootstrap.storage.store import Entry, Store
from bootstrap.storage.url import Location

_LONGEST_NAME = 255  # bytes of one path component, on every file system we meet
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """Directories and files below a root, in relative paths; each file with the object it comes from."""

    directories: tuple[str, ...]
    files: tuple[tuple[str, Entry], ...]

    @property
    def bytes(self) -> int:
        return sum(entry.size for _, entry in self.files)


def plan_tree(entries: Iterable[Entry], prefix: str, where: Location) -> Plan:
    """Lay the objects under ``prefix`` out as a tree.

    Raises :class:`NamesUnsafe`, with every bad name, when one would leave the directory or cannot be a file here.
    """
    files: dict[str, Entry] = {}
    directories: set[str] = set()
    refused: list[tuple[str, str]] = []
    places: dict[str, tuple[str, str]] = {}  # by what stands before a name: the path it is, and what is wrong with it
    for entry in entries:
        relative = entry.key[len(prefix) :]
        cut = relative.rfind("/") + 1
        above, name = relative[:cut], relative[cut:]
        if above not in places:
            places[above] = _place(above, directories)
        path, reason = places[above]
        if name:
            path += name
            reason = reason or _wrong_with(name)
            if not reason and path in files and files[path].key != entry.key:
                reason = f"the same file as {files[path].key}"
        if reason:
            refused.append((entry.key, reason))
        elif name:
            files[path] = entry
    refused += [
        (files[path].key, "a file where a directory stands: there are keys below it")
        for path in files.keys() & directories
    ]
    if refused:
        raise _refusal(refused, where)
    return Plan(tuple(sorted(directories)), tuple(files.items()))


def check_name(name: str, where: Location) -> None:
    """As :func:`plan_tree` for a single object that is to become the file ``name``."""
    reason = _wrong_with(name)
    if reason:
        raise _refusal([(name, reason)], where)


def check_room(plan: Plan, root: str) -> None:
    """Compare the plan with what the file system of ``root`` has left: bytes and inodes.

    Raises :class:`DiskFull` with the arithmetic. Files that stand there already, whole or in part, count for what they
    hold.
    """
    room = os.statvfs(existing(root))
    free = room.f_bavail * room.f_frsize
    block = room.f_frsize or 4096
    need = sum(-(-entry.size // block) * block for _, entry in plan.files)
    inodes = len(plan.files) + len(plan.directories)
    short_of_inodes = bool(room.f_files) and inodes > room.f_favail  # file systems without a fixed number say 0
    if need <= free and not short_of_inodes:
        return
    unfinished = unfinished_names(plan.files, root)
    for place in (*(os.path.join(root, path) for path, _ in plan.files), *unfinished):
        try:
            found = os.lstat(place)
        except OSError:
            continue
        need -= found.st_blocks * 512
        inodes -= 1
    if need > free:
        raise DiskFull(
            "what is to be fetched does not fit",
            where=root,
            why=f"{len(plan.files)} files need {readable(need)} more, {readable(free)} are free: "
            f"{readable(need - free)} too little",
        )
    if room.f_files and inodes > room.f_favail:
        raise DiskFull(
            "what is to be fetched has more files than fit",
            where=root,
            why=f"{inodes} new files and directories, {room.f_favail} inodes are free: "
            f"{inodes - room.f_favail} too few",
        )


def nothing_there(store: Store, source: Location) -> NothingThere:
    """The error for an empty prefix (a local one without its leading slash), with the nearest prefix that is not."""
    root = "" if source.is_remote else "/"
    # Without empty parts: prefix//code/ is the usual slip of who puts paths together.
    above, wanted = "/".join(part for part in source.path.split("/") if part), ""
    names: list[str] = []
    while above and not names:
        above, _, wanted = above.rpartition("/")
        above += "/" if above else ""
        names = store.children(above)
        above = above.rstrip("/")
    top = f"{above}/" if above else ""
    label = f"bucket {source.bucket} has no objects under" if source.is_remote else "there is nothing under"
    import difflib  # wanted for this one sentence only

    near = difflib.get_close_matches(wanted, [name.rstrip("/") for name in names], n=1, cutoff=0.5)
    if not source.path:
        why = "the bucket is empty"
    elif near:
        found = next(name for name in names if name.rstrip("/") == near[0])
        why = f"the nearest that exists is {root}{top}{found}"
    elif names:
        listed = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        why = f"{root + top or 'the bucket'} exists and holds {listed}"
    else:
        why = "the bucket is empty"
    what = f"{label} {root}{source.path}" if source.path else "nothing to fetch"
    return NothingThere(what, where=f"{root}{source}", why=why)


def _place(above: str, directories: set[str]) -> tuple[str, str]:
    """What the beginning of a name, up to its last slash, is as a path (put among ``directories``, with all that are
    above it), and why it cannot be one."""
    if above.startswith("/"):
        return "", "an absolute path"
    path = ""
    for part in above.split("/"):
        if part:
            reason = _wrong_with(part)
            if reason:
                return "", reason
            path += part
            directories.add(path)
            path += "/"
    return path, ""


def _wrong_with(name: str) -> str:
    """Why ``name`` cannot be that of a file or a directory, or an empty string."""
    if name in (".", ".."):
        return "leaves the directory" if name == ".." else "no name"
    if "\0" in name:
        return "a NUL byte"
    if len(name) > _LONGEST_NAME // 4 and len(os.fsencode(name)) > _LONGEST_NAME:
        return f"a name of more than {_LONGEST_NAME} bytes"
    return ""


def _refusal(refused: list[tuple[str, str]], where: Location) -> NamesUnsafe:
    listed = "; ".join(f"{key!r} ({reason})" for key, reason in refused[:_SHOWN])
    if len(refused) > _SHOWN:
        listed += f"; and {len(refused) - _SHOWN} more"
    return NamesUnsafe(
        f"{len(refused)} object name{'s' * (len(refused) != 1)} cannot be files here; nothing was written",
        where=str(where),
        why=listed,
        names=[key for key, _ in refused],
    )
