"""The command's processes: how many, the CPU time they have used, the memory they have.

All processes are listed once and each costs one read, so that a node with hundreds of data loaders takes a few
milliseconds. psutil asks twenty times as much of each.
"""

from __future__ import annotations

import os
import resource
from typing import Any

from ..process.processes import readable

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LONGEST = 1024  # bytes of /proc/PID/stat


class CommandFamily:
    """Everything that descends from us but our own helpers, which stay in our process group."""

    def __init__(self) -> None:
        self._me, self._group = os.getpid(), os.getpgrp()
        self._there = readable()

    def read(self) -> dict[str, Any]:
        """``cpu_s``: CPU seconds so far, of those that have ended too; ``rss``: bytes, what is shared counted often."""
        if not self._there:
            return {}
        found = _everyone()
        ours: dict[int, bool] = {self._me: False}
        count = ticks = pages = 0
        for pid in found:
            if self._belongs(pid, found, ours):
                _, _, cpu, resident = found[pid]
                count, ticks, pages = count + 1, ticks + cpu, pages + resident
        # Who has ended is in the times of who took its status, us in the end.
        reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = ticks / _TICKS + reaped.ru_utime + reaped.ru_stime
        return {"cpu_s": round(seconds, 2), "processes": count, "rss": pages * _PAGE}

    def _belongs(self, pid: int, found: dict[int, tuple[int, int, int, int]], ours: dict[int, bool]) -> bool:
        """Whether the walk up the parents ends with a child of ours that is no helper."""
        way = []
        while pid not in ours:
            way.append(pid)
            if pid not in found:
                ours[pid] = False
                break
            parent, group, _, _ = found[pid]
            if parent == self._me:
                ours[pid] = group != self._group
                break
            ours[pid] = False  # should the list, which is no snapshot, hold a circle
            pid = parent
        answer = ours[pid]
        for each in way:
            ours[each] = answer
        return answer


def _everyone() -> dict[int, tuple[int, int, int, int]]:
    """Parent, group, clock ticks with those of reaped children, and resident pages of each process, by its number."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            file = os.open(f"/proc/{name}/stat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            line = os.read(file, _LONGEST)
        except OSError:  # it has ended since
            continue
        finally:
            os.close(file)
        fields = line[line.rfind(b")") + 2 :].split(None, 22)  # the name may hold blanks and brackets
        if len(fields) > 21 and fields[0] not in b"ZX":
            ticks = int(fields[11]) + int(fields[12]) + int(fields[13]) + int(fields[14])
            found[int(name)] = (int(fields[1]), int(fields[2]), ticks, int(fields[21]))
    return found
