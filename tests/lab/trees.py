"""What a directory holds, while others may be writing to it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def files_below(root: Path) -> dict[str, bytes]:
    """The files below ``root`` by their relative paths, without those that vanish while we look."""
    found: dict[str, bytes] = {}
    for path in root.rglob("*"):
        with suppress(FileNotFoundError):
            if path.is_file():
                found[path.relative_to(root).as_posix()] = path.read_bytes()
    return found
