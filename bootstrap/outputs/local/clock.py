"""When files were written, in the order of what happened, also where a clock was put back meanwhile.

A file's time is its file system's (a NAS has a clock of its own), and a machine's clock may be put back by an hour:
what is saved then would be older than what was saved before, and a next attempt would go on from the older one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ...storage.upload.walk import Item
from .scan import Signature, signature
from .snapshot import unnamed

_STEP = 1.0
"""Seconds from which a clock that is behind was put back; less is how it is kept right."""


class _PutBack(NamedTuple):
    before: frozenset[Signature | None]
    since: float
    by: float


class Clock:
    """That of the file system that ``root`` is in. :meth:`look` has to be called with each look at what is there."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._items: Mapping[str, Item] = {}
        self._at, self._offset = 0.0, 0.0
        self._put_back: list[_PutBack] = []
        self._early: dict[Signature, float] | None = None

    def look(self, items: Mapping[str, Item]) -> None:
        now = self._now()
        offset = now - time.monotonic()
        if self._early is None:
            self._early = _of_the_future(items, now)
        elif self._offset - offset > _STEP:
            later = (signature(item) for item in items.values() if item.found is not None and item.found.st_mtime > now)
            before = frozenset((*(signature(item) for item in self._items.values()), *later))
            by = self._offset - offset
            self._put_back.append(_PutBack(before, self._at - by, by))
        self._items, self._at, self._offset = items, now, offset

    def file_system_now(self) -> float:
        """As the times of files are now."""
        return self._now()

    def look_again(self) -> None:
        """What was there at the last look still is, and nothing else."""
        self.look(self._items)

    def now(self) -> float:
        """As :meth:`written` counts."""
        return self.of(self._now())

    def of(self, moment: float) -> float:
        """What a clock that was never put back would have shown at this moment, which is since the last look or so."""
        return moment + sum(each.by for each in self._put_back)

    def written(self, item: Item) -> float:
        """When the file was; later than whatever was there before."""
        if item.found is None:
            return 0.0
        mine, moment = signature(item), item.found.st_mtime
        if self._early and mine in self._early:
            return self._early[mine]
        for each in reversed(self._put_back):
            if moment >= each.since and mine not in each.before:
                moment += each.by
        return moment

    def _now(self) -> float:
        try:
            file = unnamed(self._root)
        except OSError:
            return time.time()
        try:
            os.write(file, b".")
            return os.fstat(file).st_mtime
        except OSError:  # a disk that is full
            return time.time()
        finally:
            os.close(file)


def _of_the_future(items: Mapping[str, Item], now: float) -> dict[Signature, float]:
    """What was there when we came, and is later than that: it comes before all that is written from now on."""
    future = [item.found for item in items.values() if item.found is not None and item.found.st_mtime > now + _STEP]
    future.sort(key=lambda found: found.st_mtime)
    return {
        (found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev): now - (len(future) - number) * 1e-3
        for number, found in enumerate(future)
    }
