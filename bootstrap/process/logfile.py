"""The log file as a sink: it never raises, and says in its own text what is missing."""

from __future__ import annotations

import os
import time

RETRY = 1.0


class LogFile:
    """Appends to ``path``. What the disk refuses is counted, not kept; when it accepts again, the log says so."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._missing = 0
        self._lost = 0
        self._cause = ""
        self._again = 0.0
        self._fd = -1
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            self._cause = error.strerror or str(error)

    def write(self, data: bytes) -> None:
        if self._missing and time.monotonic() < self._again:
            self._miss(len(data))
            return
        rest = memoryview(data)
        try:
            if self._missing:
                self._write_all(
                    memoryview(b"\n[bootstrap] %d bytes are missing here: %s\n" % (self._missing, self._cause.encode()))
                )
                self._missing = 0
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            self._cause = self._cause if self._fd < 0 else error.strerror or str(error)
            self._again = time.monotonic() + RETRY
            self._miss(len(rest))

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def notes(self) -> list[str]:
        if not self._lost:
            return []
        return [f"{self._lost} bytes of output are missing in {self._path} ({self._cause})"]

    def _write_all(self, rest: memoryview) -> None:
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def _miss(self, count: int) -> None:
        self._missing += count
        self._lost += count
