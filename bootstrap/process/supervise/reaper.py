"""Orphans come to us, as PID 1 or as the subreaper, and are reaped here."""

from __future__ import annotations

import os
from typing import NamedTuple

from .. import processes


class Orphan(NamedTuple):
    """A process that came to us and has ended; ``code`` is its exit status, or minus the signal that ended it."""

    pid: int
    name: str
    code: int

    def __str__(self) -> str:
        return f"{self.name} ({self.pid})"


def reap_orphans(command: int) -> list[Orphan]:
    """Take the status of every orphan that has ended. The command's own is left, and that of children in our own group:
    helpers that somebody else of us waits for.
    """
    reaped: list[Orphan] = []
    try:
        while True:
            # looked at first: it may be one of those
            info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if info is None or info.si_pid == command:
                return reaped
            if _group(info.si_pid) == os.getpgrp():
                break
            reaped += _reap(info.si_pid)
        # The kernel goes on showing us that one: a stranger stays for as long as we do. There may be others behind.
        for process in processes.ended():
            if process.group != os.getpgrp() and process.pid != command:
                reaped += _reap(process.pid)
    except ChildProcessError:
        pass
    return reaped


def _reap(pid: int) -> list[Orphan]:
    dead = processes.read(pid)  # its name is there until its status is taken
    pid, status = os.waitpid(pid, os.WNOHANG)
    return [Orphan(pid, dead.name if dead else "?", os.waitstatus_to_exitcode(status))] if pid else []


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return -1
