"""What is still there when the command has ended by itself, and is ended then: told, for it may have been at work.

A script that starts its ranks with ``&`` and does not ``wait`` for them ends at once, and well. Its ranks have written
nothing by then. A server (TensorBoard, an agent) is left over just so, and means nothing: it listens on a socket.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from ...values import dataclass
from ..processes import Process

_SHOWN = 8
_LISTENING = "0A"  # the state in /proc/net/tcp
_ACCEPTS = 0x10000  # the flag in /proc/net/unix of a socket that listens


def named(processes: Sequence[object]) -> str:
    """The first of them by name and number."""
    return ", ".join(map(str, processes[:_SHOWN])) + (", ..." if len(processes) > _SHOWN else "")


@dataclass(frozen=True)
class Leftovers:
    """Processes that outlived the command: who may have been at work, and who only served others."""

    workers: tuple[Process, ...] = ()
    servers: tuple[Process, ...] = ()

    @staticmethod
    def of(processes: Iterable[Process]) -> Leftovers:
        found = list(processes)
        sockets = _listening_sockets() if found else frozenset()
        servers = tuple(one for one in found if sockets & _sockets_of(one.pid))
        return Leftovers(tuple(one for one in found if one not in servers), servers)

    @property
    def everybody(self) -> list[Process]:
        return [*self.workers, *self.servers]

    @property
    def cut_short(self) -> tuple[str, ...]:
        """Who may have lost work, by name and number."""
        return tuple(map(str, self.workers))

    def notes(self) -> list[str]:
        notes = []
        if self.workers:
            were = "1 process was" if len(self.workers) == 1 else f"{len(self.workers)} processes were"
            notes.append(
                f"{were} still at work when the command had ended, and cut short: {named(self.workers)}. What to do:"
                " `wait` in the script for what it starts with `&`, or set --wait-for-output"
            )
        if self.servers:
            notes.append(f"ended with the command, since they only serve (on a socket): {named(self.servers)}")
        return notes


def _listening_sockets() -> frozenset[str]:
    """The inodes of all sockets that somebody listens on."""
    found = set()
    for name in ("tcp", "tcp6"):
        for fields in _lines(f"/proc/net/{name}"):
            if len(fields) > 9 and fields[3] == _LISTENING:
                found.add(fields[9])
    for fields in _lines("/proc/net/unix"):
        if len(fields) > 6 and int(fields[3], 16) & _ACCEPTS:
            found.add(fields[6])
    return frozenset(found)


def _lines(path: str) -> list[list[str]]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return [line.split() for line in file.readlines()[1:]]
    except OSError:
        return []


def _sockets_of(pid: int) -> frozenset[str]:
    found = set()
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
            if target.startswith("socket:["):
                found.add(target[8:-1])
    except OSError:  # it ends just now, or is another user's
        pass
    return frozenset(found)
