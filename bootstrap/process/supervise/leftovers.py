"""What is still there when the command has ended by itself, and is ended then: told, for it may have been at work.

A script that starts its ranks with ``&`` and does not ``wait`` for them ends at once, and well. Its ranks have written
nothing by then. A server (TensorBoard, an agent) is left over just so, and means nothing: it listens on a socket. But a
rank listens, too, for the other ranks; so who has a rank's variables or options, or computes, is at work all the same.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping, Sequence

from ...ground.patterns import pattern
from ...values import dataclass, replace
from ..processes import Process
from ..stop.tree import RANK_VARIABLES
from .reaper import Orphan

_SHOWN = 8
_LISTENING = "0A"  # the state in /proc/net/tcp
_ACCEPTS = 0x10000  # the flag in /proc/net/unix of a socket that listens
_INTERNAL = "/pymp-"  # in the name of a socket of Python's multiprocessing: its own processes talk over it
_AT_WORK = "RD"  # states of /proc/PID/stat: it has something to compute, be it given a processor or not; or a disk does
_AT_REST = 0.1  # of a core: who computes more than that is no server at rest

# "RANK" is a node's on some platforms: what counts is that the command's own environment has another one, or none.
_RANK_NAMES = RANK_VARIABLES | {"RANK", "TF_CONFIG"}
_RANK_OPTION = pattern(rb"(?:^|\0)--?(?:(?:local|global|node|device)[-_])?(?:rank|task[-_]index|rank[-_]id)[=\0]")
_PARAMETER_SERVER = pattern(rb"job[-_]name[=\0]ps|\"type\": *\"ps\"")  # TensorFlow's, which does serve


def named(processes: Sequence[object]) -> str:
    """The first of them by name and number."""
    return ", ".join(map(str, processes[:_SHOWN])) + (", ..." if len(processes) > _SHOWN else "")


@dataclass(frozen=True)
class Leftovers:
    """Processes that outlived the command: who may have been at work, and who only served others. ``waited``: who held
    its output has been waited for, so that these did not; ``hung_up``: whom the end of its terminal ended.
    """

    workers: tuple[Process, ...] = ()
    servers: tuple[Process, ...] = ()
    waited: bool = False
    hung_up: tuple[Orphan, ...] = ()

    @staticmethod
    def of(
        processes: Iterable[Process],
        environ: Mapping[str, str],
        before: Mapping[int, int],
        seconds: float,
        *,
        waited: bool = False,
    ) -> Leftovers:
        """``environ`` is the command's; ``before`` what each had computed (clock ticks) ``seconds`` ago."""
        found = list(processes)
        sockets = _listening_sockets() if found else frozenset()
        most = _AT_REST * seconds * os.sysconf("SC_CLK_TCK")
        servers = tuple(
            one
            for one in found
            if sockets & _sockets_of(one.pid)
            and not _is_rank(one.pid, environ)
            and one.state not in _AT_WORK
            and one.cpu - before.get(one.pid, one.cpu) <= most
        )
        return Leftovers(tuple(one for one in found if one not in servers), servers, waited)

    def with_hung_up(self, orphans: Iterable[Orphan]) -> Leftovers:
        """And whom the kernel has ended, since the command was the leader of its terminal's session."""
        hung_up = tuple(one for one in orphans if one.code == -signal.SIGHUP)
        return replace(self, hung_up=hung_up)

    @property
    def everybody(self) -> list[Process]:
        return [*self.workers, *self.servers]

    @property
    def cut_short(self) -> tuple[str, ...]:
        """Who may have lost work, by name and number."""
        return tuple(map(str, (*self.workers, *self.hung_up)))

    def notes(self) -> list[str]:
        notes = []
        if cut := self.cut_short:
            were = "1 process was" if len(cut) == 1 else f"{len(cut)} processes were"
            remedy = " (their output goes elsewhere, so that --wait-for-output does not wait for them)"
            notes.append(
                f"{were} still at work when the command had ended, and cut short: {named(cut)}. What to do:"
                " `wait` in the script for what it starts with `&`"
                + (remedy if self.waited else ", or set --wait-for-output")
            )
        if self.servers:
            notes.append(
                f"ended with the command, since they only serve (on a socket): {named(self.servers)}. If they were at"
                " work: `wait` for them in the script"
            )
        return notes


def worst(orphans: Sequence[Orphan]) -> int:
    """How a job ended whose last processes were ended by a stop: as the first that a signal ended, else that failed."""
    codes = [one.code for one in orphans if one.code]
    return next((code for code in codes if code < 0), codes[0] if codes else 0)


def _is_rank(pid: int, environ: Mapping[str, str]) -> bool:
    words = _bytes(f"/proc/{pid}/cmdline")
    variables = _bytes(f"/proc/{pid}/environ")
    if _PARAMETER_SERVER.search(words) or _PARAMETER_SERVER.search(variables):
        return False
    for entry in variables.split(b"\0"):
        name, _, value = os.fsdecode(entry).partition("=")
        if name in _RANK_NAMES and environ.get(name) != value:
            return True
    return _RANK_OPTION.search(words) is not None


def _listening_sockets() -> frozenset[str]:
    """The inodes of all sockets that somebody listens on."""
    found = set()
    for name in ("tcp", "tcp6"):
        for fields in _lines(f"/proc/net/{name}"):
            if len(fields) > 9 and fields[3] == _LISTENING:
                found.add(fields[9])
    for fields in _lines("/proc/net/unix"):
        if len(fields) > 6 and int(fields[3], 16) & _ACCEPTS and _INTERNAL not in fields[-1]:
            found.add(fields[6])
    return frozenset(found)


def _lines(path: str) -> list[list[str]]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return [line.split() for line in file.readlines()[1:]]
    except OSError:
        return []


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:  # it ends just now, or is another user's
        return b""


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
