"""What is in the store while a job runs, beside its log and heartbeat: the run record and the samples, as of now.

Both are delivered at the end; a container that vanishes has none. So each goes, whole and masked, whenever it has
changed, but seldom enough that it costs next to nothing: some 4 KiB a second, a few minutes apart when it has grown.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ..storage.model.light_writer import Inline
from .evidence import LARGEST, EvidenceFile, TooMuch, content

RATE = 4096
"""Bytes a second that sending a file again and again may cost."""
_INTERVALS = 3  # between two of one file, at least
_SLACK = 2.0  # seconds that a file system's clock may be behind ours


class LiveFiles:
    """Sends ``files`` (a path for each name) that were written since ``since`` (seconds of the epoch): an earlier run
    in the same container may have left its own. ``interval`` is the seconds between two calls of :meth:`send`.
    """

    def __init__(self, files: Mapping[str, Path], *, since: float, interval: float, mask: Callable[[str], str]) -> None:
        self._files, self._since, self._interval, self._mask = files, since - _SLACK, interval, mask
        self._sent: dict[str, tuple[tuple[int, int], float]] = {}

    @property
    def sent(self) -> list[str]:
        """The names that are in the store."""
        return list(self._sent)

    def send(self, put: Callable[[str, Inline], None], *, last: bool = False) -> None:
        """``put`` what has changed and is due, or is the ``last``. Raises what the store raises; a file that cannot be
        read is left for the next time.
        """
        for name, path in self._files.items():
            try:
                found = os.lstat(path)
                version = found.st_mtime_ns, found.st_size
                known, due_at = self._sent.get(name, (None, 0.0))
                if found.st_mtime < self._since or version == known or (time.monotonic() < due_at and not last):
                    continue
                data = content(EvidenceFile(path, name), LARGEST, self._mask)
            except (OSError, TooMuch):
                continue
            put(name, Inline(data))
            pause = max(_INTERVALS * self._interval, len(data) / RATE)
            self._sent[name] = version, time.monotonic() + pause
