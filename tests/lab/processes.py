"""Ending what a test has started, with all that holds its pipes."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from typing import Any

import psutil


def end(process: subprocess.Popen[Any], limit: float = 30.0) -> None:
    """KILL it and its descendants, and close its pipes; does nothing to one that has ended.

    A wrapper that is killed alone (``faketime``, ``unshare``) leaves its child behind, which holds our pipes open: who
    reads them to their end waits for ever. ``limit``: seconds for those that we cannot see.
    """
    if process.poll() is not None:
        return
    for one in _stopped(process.pid):
        with suppress(psutil.NoSuchProcess):
            one.kill()
    try:
        process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        process.wait(limit)


def _stopped(pid: int) -> set[psutil.Process]:
    """It and its descendants, none of which can start another any more."""
    family: set[psutil.Process] = set()
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        fresh = {root}
        while fresh:
            for one in fresh:
                with suppress(psutil.NoSuchProcess):
                    one.suspend()
            family |= fresh
            fresh = set(root.children(recursive=True)) - family
    return family
