"""A command that neither writes nor computes any more: noticed, and described before it is ended.

What is written down: of each process and thread its state and where in the kernel it waits, its open files, and the
Python stacks where py-spy is to be had (on the command's PATH, or beside our own Python).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

from ..processes import Process

CHECKS = 4  # looks per silence limit
BUSY = 0.01  # of one core, averaged since the last look: less is what idle threads use
SHOWN_FILES = 40
PY_SPY_SECONDS = 5.0
PY_SPY_PROCESSES = 8


class Watch:
    """Notices when there was neither output nor work for ``limit`` seconds; asked again at ``next_at`` (monotonic).

    ``family`` lists the processes whose work counts.
    """

    def __init__(self, limit: float, family: Callable[[], list[Process]]) -> None:
        self._limit, self._family = limit, family
        self._ticks = os.sysconf("SC_CLK_TCK")
        self._bytes = self._cpu = 0
        self.begin_anew()

    def begin_anew(self) -> None:
        """The silence so far does not count: the command was stopped, and goes on."""
        self._active = self._looked = time.monotonic()
        self.next_at = self._looked + self._limit / CHECKS

    def stalled(self, written: int) -> bool:
        """Look, if it is time to; whether the limit is reached. ``written`` is how many bytes came so far."""
        now = time.monotonic()
        if now < self.next_at:
            return False
        cpu = sum(process.cpu for process in self._family())
        worked = abs(cpu - self._cpu) / self._ticks > BUSY * (now - self._looked)
        if worked or written != self._bytes:
            self._active = now
        self._bytes, self._cpu, self._looked = written, cpu, now
        self.next_at = now + self._limit / CHECKS
        return now - self._active >= self._limit


def describe(processes: list[Process], environ: Mapping[str, str], hurry: Callable[[], bool] = lambda: False) -> str:
    """What each of the processes does now, for a person to read. ``hurry`` ends the collection of stacks."""
    import shutil  # a command that goes on never needs it

    beside_us = os.path.dirname(sys.executable)
    py_spy = shutil.which("py-spy", path=environ.get("PATH")) or shutil.which("py-spy", path=beside_us)
    text, stacks = [], 0
    for process in processes:
        text.append(_facts(process))
        if py_spy and stacks < PY_SPY_PROCESSES and _is_python(process.pid) and not hurry():
            stacks += 1
            text.append(_stacks(py_spy, process.pid))
    if not py_spy:
        text.append("Python stacks: py-spy is not installed here (pip install py-spy)\n")
    return "\n".join(text)


def _facts(process: Process) -> str:
    pid = process.pid
    lines = [f"== {process}: {_text(f'/proc/{pid}/cmdline').replace(chr(0), ' ').strip()}"]
    lines.append(f"   parent {process.parent}, group {process.group}, state {process.state}, CPU {process.cpu} ticks")
    for thread in _names(f"/proc/{pid}/task"):
        name = _text(f"/proc/{pid}/task/{thread}/comm").strip()
        state = _text(f"/proc/{pid}/task/{thread}/stat").rpartition(")")[2].split()[:1]
        waits = _text(f"/proc/{pid}/task/{thread}/wchan").strip()
        waits_in = waits if waits not in ("", "0") else "?"
        lines.append(f"   thread {thread} {name}: state {''.join(state) or '?'}, waits in {waits_in}")
    files = _names(f"/proc/{pid}/fd")
    for fd in files[:SHOWN_FILES]:
        try:
            lines.append(f"   fd {fd} -> {os.readlink(f'/proc/{pid}/fd/{fd}')}")
        except OSError:
            continue
    if len(files) > SHOWN_FILES:
        lines.append(f"   ... and {len(files) - SHOWN_FILES} more")
    return "\n".join(lines) + "\n"


def _stacks(py_spy: str, pid: int) -> str:
    try:
        done = subprocess.run(
            [py_spy, "dump", "--nonblocking", "--pid", str(pid)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PY_SPY_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"   stacks: py-spy failed: {error}\n"
    return done.stdout.decode("utf-8", "replace")


def _is_python(pid: int) -> bool:
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")).startswith("python")
    except OSError:
        return False


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory), key=int)
    except OSError:
        return []
