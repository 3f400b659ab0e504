"""When memory runs out the kernel kills one process, and that must be the command: we have yet to tell and to deliver.

The kernel takes the largest. In a container of some 100 MB that is us, with the object store's client in memory, and
then there is no log, no record and no reason. So the command is made to count as much more as we weigh, and not more:
on a machine full of other containers it should not be the first victim for our sake.

A process inherits the value. So we have the command's while it is started, and its very first worker has it too; the
kernel lets everybody return to the value they began with.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

OURS = 96 << 20  # bytes that we may come to use, with room: 55 MB were seen
WHOLE = 1000  # oom_score_adj is in thousandths of the memory that may be used, see proc(5)


class OomScore:
    """Our own ``oom_score_adj``, to be opened while we may.

    A process that is not dumpable and not root's may not open its own file any more; the kernel asks at no other time
    (raising the value, and returning, need no privilege). Where there is no such file, nothing is lost but the
    preference.
    """

    def __init__(self) -> None:
        try:
            self._file = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            self._file = -1

    @contextmanager
    def of_children(self, limit: int | None) -> Iterator[None]:
        """Who is started inside, and what they start, are killed before us. ``limit``: bytes for all of us, or None."""
        try:
            before = int(os.pread(self._file, 16, 0))
            self._write(_more(before, limit))
        except (OSError, ValueError):
            yield
            return
        try:
            yield
        finally:
            with suppress(OSError):
                self._write(before)

    def _write(self, value: int) -> None:
        os.pwrite(self._file, str(value).encode(), 0)


def _more(score: int, limit: int | None) -> int:
    memory = limit or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(WHOLE, score + -(-WHOLE * OURS // memory))
