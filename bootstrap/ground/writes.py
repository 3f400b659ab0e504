"""Bytes to a file descriptor, all of them: the kernel may take fewer than it is given, and says so only by a number."""

from __future__ import annotations

import os


def write_all(file: int, data: bytes | memoryview) -> None:
    """Write all of ``data``, where the descriptor stands. Raises ``OSError``; some of it may be written then."""
    written = os.write(file, data)
    while written < len(data):
        written += os.write(file, memoryview(data)[written:])


def write_all_at(file: int, data: bytes | memoryview, at: int) -> None:
    """Write all of ``data`` at the offset ``at`` in bytes. Raises ``OSError``."""
    written = os.pwrite(file, data, at)
    while written < len(data):
        written += os.pwrite(file, memoryview(data)[written:], at + written)
