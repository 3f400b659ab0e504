"""What an earlier run has left running: it was killed with KILL, and nobody watches its command any more.

A platform starts the boot command again in the same container, or a person does. A first writer beside the second one
would ruin what both write. The command's environment tells whose it is: who supervises it (:data:`SUPERVISOR`) and
where its run has its files.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence

from .. import processes
from ..processes import Process

SUPERVISOR = "BOOTSTRAP_SUPERVISOR"  # in the command's environment: our number, and when we were started
_TERM, _LOOK = 5.0, 0.05  # seconds that they have to end, and between two looks


def mark() -> str:
    """The value of :data:`SUPERVISOR` for a command of ours."""
    own = processes.read(os.getpid())
    return f"{os.getpid()}-{own.started}" if own is not None else ""


def left_over(work_dir: str, run_dir: str, inside: str) -> list[Process]:
    """Processes of a run that has no supervisor any more, and worked where we are about to: in ``work_dir``, or with
    the files of ``run_dir``, which the variable ``inside`` names. As PID 1 there is nobody before us.
    """
    if os.getpid() == 1 or not processes.readable():
        return []
    alive: dict[bytes, bool] = {}
    own = {mark().encode(), os.environ.get(SUPERVISOR, "").encode()}  # ours, and whose command we are
    found = []
    for pid in processes.numbers():
        environ = _environ(pid)
        supervisor = environ.get(SUPERVISOR.encode())
        if supervisor is None or supervisor in own:
            continue
        process = processes.read(pid)
        if process is None or process.state in "ZX":
            continue
        if supervisor not in alive:
            alive[supervisor] = _is_alive(supervisor)
        here = environ.get(inside.encode()) == os.fsencode(run_dir) or _works_in(process.pid, work_dir)
        if not alive[supervisor] and here:
            found.append(process)
    return found


def end(found: Sequence[Process]) -> list[Process]:
    """TERM to each, and KILL to those that are there some seconds later; returns who had to be killed."""
    processes.signal_all(list(found), signal.SIGTERM)
    until = time.monotonic() + _TERM
    left = list(found)
    while left and time.monotonic() < until:
        time.sleep(_LOOK)
        left = [one for one in left if _is_there(one)]
    processes.signal_all(left, signal.SIGKILL)
    return left


def _is_there(process: Process) -> bool:
    now = processes.read(process.pid)
    return now is not None and now.started == process.started and now.state not in "ZX"


def _is_alive(supervisor: bytes) -> bool:
    pid, _, started = supervisor.decode(errors="replace").partition("-")
    found = processes.read(int(pid)) if pid.isdigit() else None
    return found is not None and str(found.started) == started and found.state not in "ZX"


def _works_in(pid: int, directory: str) -> bool:
    try:
        return os.path.samefile(f"/proc/{pid}/cwd", directory)
    except OSError:
        return False


def _environ(pid: int) -> dict[bytes, bytes]:
    """The environment of a command of a bootstrap's; empty for all others."""
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            text = file.read()
    except OSError:  # another user's, or gone
        return {}
    if SUPERVISOR.encode() not in text:  # as nearly always, and a machine may have thousands of processes
        return {}
    return {name: value for name, _, value in (entry.partition(b"=") for entry in text.split(b"\0"))}
