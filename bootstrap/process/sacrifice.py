"""When memory runs out the kernel kills one process, and that must be the command: we have yet to tell and to deliver.

The kernel takes the largest. In a container of some 100 MB that is us, with the object store's client in memory, and
then there is no log, no record and no reason. So the command is made to count as much more as we weigh, and not more:
on a machine full of other containers it should not be the first victim for our sake.

A process inherits the value. So we have the command's while it is started, and its very first worker has it too; the
kernel lets everybody return to the value they began with. Who may not write their own file (a user other than root who
is not dumpable) writes the command's a moment later.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

OURS = 96 << 20  # bytes that we may come to use, with room: 55 MB were seen
WHOLE = 1000  # oom_score_adj is in thousandths of the memory that may be used, see proc(5)
OWN = "/proc/self/oom_score_adj"


@contextmanager
def of_children(limit: int | None) -> Iterator[None]:
    """Who is started inside, and what they start, are killed before us. ``limit``: bytes for all of us, or None."""
    try:
        before = _read(OWN)
        _write(OWN, _more(before, limit))
    except (OSError, ValueError):
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):
            _write(OWN, before)


def prefer(pid: int, limit: int | None) -> None:
    """The same for a command that runs already, where it has not inherited it.

    Raising the value needs no privilege. Where it is refused all the same, nothing is lost but the preference.
    """
    path = f"/proc/{pid}/oom_score_adj"
    for _ in range(20):
        try:
            value = _more(_read(OWN), limit)
            if _read(path) < value:
                _write(path, value)
            return
        except PermissionError:  # for some milliseconds a child of a process that is not dumpable belongs to root
            time.sleep(0.005)
        except (OSError, ValueError):  # it has ended, or /proc is not the usual one
            return


def _more(score: int, limit: int | None) -> int:
    memory = limit or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(WHOLE, score + -(-WHOLE * OURS // memory))


def _read(path: str) -> int:
    with open(path) as file:
        return int(file.read())


def _write(path: str, value: int) -> None:
    with open(path, "w") as file:
        file.write(str(value))
