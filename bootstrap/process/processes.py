"""What /proc says of our descendants: who they are, and how to end all of them."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple, cast

PR_SET_CHILD_SUBREAPER = 36
_SCANS = 4  # of /proc, at most, until two of them agree


class Process(NamedTuple):
    """One line of /proc/PID/stat. ``cpu`` is clock ticks used, its own reaped children included; ``started`` is clock
    ticks since the machine's boot, which tells two processes apart that had the same number.
    """

    pid: int
    name: str
    state: str
    parent: int
    group: int
    session: int
    cpu: int
    started: int

    def __str__(self) -> str:
        return f"{self.name} ({self.pid})"


def become_subreaper() -> bool:
    """Orphans among our descendants become our children, as they do for PID 1. Whether the kernel agreed."""
    if os.getpid() == 1:
        return True
    call = prctl()
    return call is not None and call(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


@functools.cache
def prctl() -> Callable[..., int] | None:
    """prctl(2), if this Python has ctypes and the libc has it."""
    try:
        import ctypes  # 3 ms that PID 1 need not spend

        return cast("Callable[..., int]", ctypes.CDLL(None).prctl)
    except (ImportError, OSError, AttributeError):
        return None


def strangers() -> frozenset[int]:
    """Children that are ours before any command is: a script that started one and became us leaves it so."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # the usual case, for which /proc need not be searched
        return frozenset()
    me = os.getpid()
    return frozenset(process.pid for process in everyone() if process.parent == me) if readable() else frozenset()


def ended() -> list[Process]:
    """Children of ours that have ended, and whose status nobody has taken yet."""
    me = os.getpid()
    return [each for each in everyone() if each.parent == me and each.state == "Z"] if readable() else []


def descendants(leader: int, strangers: frozenset[int] = frozenset()) -> list[Process]:
    """All living processes that the command ``leader`` left or has: in its session or group, or descended from us.

    Neither our own helpers (children of ours in our own process group) nor ``strangers`` and what descends from them
    are among them. Empty where /proc is absent or belongs to another PID namespace: its numbers would mislead.
    """
    if not readable():
        return []
    found = _descendants(leader, strangers)
    for _ in range(_SCANS):  # a scan is no snapshot: who forks and ends meanwhile hides a child that goes on
        seen, found = found, _descendants(leader, strangers)
        if len(found) == len(seen) and all(a.pid == b.pid for a, b in zip(found, seen, strict=True)):
            break
    return found


def _descendants(leader: int, strangers: frozenset[int]) -> list[Process]:
    by_pid = {process.pid: process for process in everyone()}
    me, group = os.getpid(), os.getpgrp()
    family: dict[int, bool] = {me: False, **dict.fromkeys(strangers, False)}

    def belongs(process: Process) -> bool:
        """Whether a walk up the parents meets a child of ours that is not a helper."""
        known = family.get(process.pid)
        if known is None:
            family[process.pid] = False  # a loop cannot be, but a scan is no snapshot
            if process.parent == me:
                known = process.group != group
            else:
                parent = by_pid.get(process.parent)
                known = parent is not None and belongs(parent)
            family[process.pid] = known
        return known

    return [
        process
        for process in by_pid.values()
        if process.state not in "ZX"
        and process.pid != me
        and (leader in (process.session, process.group) or belongs(process))
    ]


def readable() -> bool:
    """Whether /proc is there and shows our own PID namespace."""
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


def everyone() -> Iterator[Process]:
    for pid in numbers():
        process = read(pid)
        if process is not None:
            yield process


def numbers() -> Iterator[int]:
    """The numbers of all processes there are."""
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())


def read(pid: int) -> Process | None:
    """One process, or None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")  # the name may hold blanks and brackets
    fields = rest.split()
    return Process(
        pid=pid,
        name=name,
        state=fields[0],
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        cpu=sum(map(int, fields[11:15])),
        started=int(fields[19]),
    )


def signal_all(processes: list[Process], number: int) -> None:
    """Send ``number`` to each; one that has ended meanwhile, or is not ours to signal, is no reason to stop."""
    for process in processes:
        try:
            os.kill(process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass
