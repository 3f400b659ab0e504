"""When memory runs out the kernel kills one process, and that must be the command: we have yet to tell and to deliver.

The kernel takes the largest. In a container of some 100 MB that is us, with the object store's client in memory, and
then there is no log, no record and no reason. So the command is made to count as much more as we weigh, and not more:
on a machine full of other containers it should not be the first victim for our sake.
"""

from __future__ import annotations

import os
import time

OURS = 96 << 20  # bytes that we may come to use, with room: 55 MB were seen
WHOLE = 1000  # oom_score_adj is in thousandths of the memory that may be used, see proc(5)


def prefer(pid: int, limit: int | None) -> None:
    """Let the command ``pid``, and what it starts, be killed before us. ``limit``: bytes for all of us, or None.

    Raising the value needs no privilege. Where it is refused all the same, nothing is lost but the preference.
    """
    memory = limit or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    path = f"/proc/{pid}/oom_score_adj"
    for _ in range(20):
        try:
            with open(path, "r+") as file:
                value = min(WHOLE, int(file.read()) + -(-WHOLE * OURS // memory))
                file.seek(0)
                file.write(str(value))
            return
        except PermissionError:  # for some milliseconds a child of a process that is not dumpable belongs to root
            time.sleep(0.005)
        except (OSError, ValueError):  # it has ended, or /proc is not the usual one
            return
