"""Orphans come to us, as PID 1 or as the subreaper, and are reaped here."""

from __future__ import annotations

import os

from .. import processes


def reap_orphans(command: int) -> None:
    """Take the status of every orphan that has ended. The command's own is left, and that of children in our own group:
    helpers that somebody else of us waits for.
    """
    try:
        while True:
            # looked at first: it may be one of those
            info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if info is None or info.si_pid == command:
                return
            if _group(info.si_pid) == os.getpgrp():
                break
            os.waitpid(info.si_pid, os.WNOHANG)
        # The kernel goes on showing us that one: a stranger stays for as long as we do. There may be others behind.
        for process in processes.ended():
            if process.group != os.getpgrp() and process.pid != command:
                os.waitpid(process.pid, os.WNOHANG)
    except ChildProcessError:
        pass


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return -1
