"""Files held open while they are sent, so that they stay what they are when somebody renames another over them, or
removes them: ``last.ckpt`` every second, the oldest checkpoint after each new one.
"""

from __future__ import annotations

import os
from pathlib import Path

from ...storage.upload.walk import Item
from ...values import replace
from .open_files import OpenFiles
from .units import Unit

_MOST = 256
"""Files held at once: a process may have a thousand open, and the transfers need theirs."""


class Pins(OpenFiles):
    """Use it as a context manager: the files are let go at its end."""

    def pinned(self, unit: Unit) -> Unit:
        """The unit with paths that lead to its files as they are now; itself where they are too many."""
        if len(self._open) + len(unit.items) > _MOST:
            return unit
        return replace(unit, items=[self._pinned(item) for item in unit.items])

    def _pinned(self, item: Item) -> Item:
        if item.path is None or item.found is None:
            return item
        try:
            file = os.open(item.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # who sends it will say why
            return item
        self._open.append(file)
        held = Path(f"/proc/self/fd/{file}")
        found = os.fstat(file)
        # What has taken its place since the look is as good, if it is whole; that is seen a moment later.
        return replace(item, path=held, size=found.st_size, found=found) if held.exists() else item
