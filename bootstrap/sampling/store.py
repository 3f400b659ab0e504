"""The file of the samples: a line each, and never more than :data:`MOST` bytes."""

from __future__ import annotations

import json
import os
from typing import Any

from ..ground.safe_files import open_own, replace_own
from ..ground.writes import write_all

SCHEMA = 1

MOST = 4 << 20
"""Bytes: ten thousand samples and more, which is a day at 10 s. Beyond it the older half of the lines is thinned to
every second one, again and again: the last hours stay whole, and of the first days the shape is left."""


class SampleFile:
    """Made with the first line. A disk that takes nothing costs the lines it does not take."""

    def __init__(self, path: str, most: int = MOST) -> None:
        self._path, self._most = path, most
        self._fd = -1
        self._size = 0

    def __enter__(self) -> SampleFile:
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def write(self, line: dict[str, Any]) -> None:
        data = json.dumps(line, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"
        try:
            if self._fd < 0:
                self._open()
            if self._size + len(data) > self._most:
                self._thin()
            write_all(self._fd, data)
            self._size += len(data)
        except OSError:
            pass

    def _open(self) -> None:
        self._fd = open_own(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self._size = os.fstat(self._fd).st_size

    def _thin(self) -> None:
        first, *lines = os.pread(self._fd, self._size, 0).splitlines(keepends=True)
        middle = len(lines) // 2
        replace_own(self._path, b"".join([first, *lines[:middle:2], *lines[middle:]]))
        os.close(self._fd)
        self._fd = -1
        self._open()
