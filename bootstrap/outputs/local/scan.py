"""What an output directory holds, and which of it somebody is still writing to.

A look costs one walk of the tree (10,000 files: some 80 ms of CPU), and a fifth of that where nothing has changed since
the last one (:func:`mark`). ``/proc`` is read only when something has: a file that a process of the job has open for
writing, or mapped shared and writable, is not taken.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType

from ...job import StopRequest
from ...process.processes import descendants
from ...storage.common.recorded_links import LinkPolicy
from ...storage.common.workers import TransferStopped
from ...storage.model.url import Location
from ...storage.upload.walk import Item, Named, items_of
from ...values import dataclass, field

Signature = tuple[int, int, int, int]
"""Size, time of the last change in ns, inode and device: what tells one state of a file from the next."""

_MANIFESTS = (".bootstrap/checkpoints/", ".bootstrap/runs/", ".bootstrap/claims/", ".bootstrap/new/")

NOWHERE: Mapping[str, str] = MappingProxyType({})
_NOBODY = -1  # a leader that no process has: only what descends from us counts


def signature(item: Item) -> Signature | None:
    """None for what is no file: a directory's marker, a recorded link."""
    found = item.found
    return (found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev) if found is not None else None


def signature_of(path: Path) -> Signature | None:
    """That of a file as it is now; None if it is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev


@dataclass(frozen=True, slots=True)
class Look:
    """Everything in the directory by its name there; what cannot go (``failed``) or is not meant to (``left_out``)."""

    items: dict[str, Item]
    failed: Named = field(default_factory=list)
    left_out: Named = field(default_factory=list)


def look(
    root: Path,
    target: Location,
    links: LinkPolicy,
    elsewhere: Mapping[str, str] = NOWHERE,
    stop: StopRequest | None = None,
) -> Look:
    """``elsewhere``: what begins with one of these has failed, for the reason that is given, or is nothing of ours
    without one. Raises :class:`NothingThere` or :class:`PathUnusable` when the directory itself cannot be read, and
    :class:`TransferStopped`: on a disk that is slow a look may take longer than there is time.
    """
    failed: Named = []
    left_out: Named = []
    items: dict[str, Item] = {}
    for item in items_of(root, target, failed, left_out, links):
        items[item.name] = item
        if stop is not None and stop.is_set():
            raise TransferStopped
    ours = [".bootstrap/"]  # what an earlier fetch of the whole URL has brought along
    if not target.is_remote:
        below = os.path.relpath(os.path.abspath(target.path), os.path.abspath(root))
        if below != "." and not below.startswith("../") and below != "..":
            ours.append(f"{below}/")  # the target is in the directory: it is not to be sent into itself
    for name in [name for name in items if name.startswith((*ours, *elsewhere))]:
        del items[name]
        why = next((why for start, why in elsewhere.items() if name.startswith(start)), "")
        if name.startswith(".bootstrap/") and not name.startswith(_MANIFESTS):
            why = "a directory .bootstrap/ has its place at the URL for manifests: give yours another name"
        if why and not name.endswith("/"):
            failed.append((name, why))
    return Look(items, failed, left_out)


def mark(
    root: Path, links: LinkPolicy, elsewhere: Mapping[str, str] = NOWHERE, stop: StopRequest | None = None
) -> int | None:
    """A number that is another when anything has changed that a :func:`look` would see, without making anything of the
    files. None where that cannot be had so cheaply: links out of the tree are followed, or something cannot be read.
    Raises :class:`TransferStopped`.
    """
    found, pending = hash(tuple(elsewhere.items())), [os.fspath(root)]
    try:
        while pending:
            directory = pending.pop()
            found = hash((found, directory))
            with os.scandir(directory) as entries:
                for entry in entries:
                    if stop is not None and stop.is_set():
                        raise TransferStopped
                    is_link = entry.is_symlink()
                    if is_link and links == "all":
                        return None
                    text = os.readlink(entry.path) if is_link else ""
                    if entry.is_dir():
                        found = hash((found, entry.name, text))
                        if not is_link:  # what a link in the tree leads to is met elsewhere
                            pending.append(entry.path)
                        continue
                    is_there = not is_link or os.path.exists(entry.path)
                    at = entry.stat() if is_there else entry.stat(follow_symlinks=False)
                    found = hash(
                        (found, entry.name, text, at.st_size, at.st_mtime_ns, at.st_ino, at.st_dev, at.st_mode)
                    )
    except OSError:
        return None
    return found


def is_sparse(item: Item) -> bool:
    """Whether a file of some size has holes that make most of it."""
    found = item.found
    return found is not None and found.st_size > (1 << 20) and found.st_blocks * 512 < found.st_size // 2


def open_for_writing(files: Collection[tuple[int, int]]) -> set[tuple[int, int]]:
    """Which of ``files`` (inode, device) a process that descends from us may still write to.

    Processes that we may not look at (another user's) are not known to have any.
    """
    found: set[tuple[int, int]] = set()
    if files:
        for process in descendants(_NOBODY):
            found |= _written_by(process.pid, files)
    return found


def _written_by(pid: int, files: Collection[tuple[int, int]]) -> set[tuple[int, int]]:
    found = set()
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                # Pipes and sockets first, which are most: not even a look at what a link leads to.
                if not os.readlink(f"/proc/{pid}/fd/{fd}").startswith("/"):
                    continue
                there = os.stat(f"/proc/{pid}/fd/{fd}")
                if (there.st_ino, there.st_dev) in files and _writes(pid, fd):
                    found.add((there.st_ino, there.st_dev))
            except OSError:  # closed meanwhile
                continue
        with open(f"/proc/{pid}/maps", "rb") as maps:
            for line in maps:
                fields = line.split(None, 5)
                if len(fields) > 5 and fields[1][1:2] == b"w" and fields[1][3:4] == b"s" and fields[4] != b"0":
                    major, _, minor = fields[3].partition(b":")
                    there_ = (int(fields[4]), os.makedev(int(major, 16), int(minor, 16)))
                    if there_ in files:
                        found.add(there_)
    except OSError:  # it has ended, or is not ours to look at
        pass
    return found


def _writes(pid: int, fd: str) -> bool:
    with open(f"/proc/{pid}/fdinfo/{fd}") as info:
        for line in info:
            if line.startswith("flags:"):
                return int(line.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
    return True


def background() -> None:
    """Low priority for this thread, and for those that it starts, at the processors and at the disks.

    Not the lowest: a thread that holds the interpreter and is never run would hold up the job's own output.
    """
    import ctypes
    import threading

    try:
        mine = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, mine, max(10, os.getpriority(os.PRIO_PROCESS, mine)))
    except OSError:
        pass
    number = {"x86_64": 251, "aarch64": 30}.get(os.uname().machine)
    if number is not None:
        best_effort, lowest, this_thread = 2, 7, 1
        try:
            ctypes.CDLL(None).syscall(number, this_thread, 0, best_effort << 13 | lowest)
        except (OSError, AttributeError):
            pass
