"""How much of an image is kept in memory: bounds that no image has ever met. A hostile one is told, and not read on.

What goes beyond one is a ``ValueError``, which :mod:`.sources` tells as an invalid archive.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import IO, Any

from ..ground.json_text import load_json

MOST_NAME = 4096
"""Characters of a path or of a link's target: Linux's PATH_MAX."""
MOST_LEVELS = 512
"""Directories above a file: each is an entry, even if the archive has none for it."""
MOST_ENTRIES = 4_000_000
"""Files of all layers together; the largest images have a million."""
MOST_KEPT = 1 << 29
"""Bytes of names and of the beginnings of programs, all together."""
MOST_HEADERS = 1 << 26
"""Bytes of further headers (extended attributes, times), which tarfile keeps with each file."""
MOST_LAYERS = 1000
"""Engines stop at 127. One layer named many times would be read as often."""
MOST_JSON = 16 << 20
"""Bytes of a description; registries take 4 MiB."""
MOST_TEXT = 16 << 20
"""Bytes of a file that is kept whole, as ``/etc/passwd``."""
MOST_INDEXES = 1000
"""Descriptions that an index leads to, each of which may be another index."""
DEEPEST_INDEX = 16
"""How many of them may stand one in the other."""


class Kept:
    """What has been kept so far, in files and bytes."""

    def __init__(self) -> None:
        self._entries = self._bytes = self._headers = 0

    def add(self, size: int, *, entries: int = 1, headers: int = 0) -> None:
        """Count ``entries`` of ``size`` bytes in all, with ``headers`` bytes. Raises ValueError beyond the bounds."""
        self._entries += entries
        self._bytes += size
        self._headers += headers
        if self._entries > MOST_ENTRIES:
            raise ValueError(f"it has more than {MOST_ENTRIES:,} files")
        if self._bytes > MOST_KEPT:
            raise ValueError(f"the names in it have more than {MOST_KEPT >> 20} MiB")
        if self._headers > MOST_HEADERS:
            raise ValueError(f"its further headers have more than {MOST_HEADERS >> 20} MiB")


def members(tar: tarfile.TarFile, kept: Kept) -> Iterator[tarfile.TarInfo]:
    """Of a tar, each counted before it is given. Raises ValueError, and what tarfile raises."""
    for member in tar:
        for name in (member.name, member.linkname):
            if len(name) > MOST_NAME:
                raise ValueError(f"a name in it has {len(name):,} characters, and Linux allows {MOST_NAME:,}")
        if member.name.count("/") > MOST_LEVELS:
            raise ValueError(f"a name in it has more than {MOST_LEVELS} levels")
        further = sum(len(name) + len(str(value)) for name, value in member.pax_headers.items())
        kept.add(len(member.name) + len(member.linkname), headers=further)
        yield member


def json_document(stream: IO[bytes], name: str) -> Any:
    """What ``stream`` holds. Raises ValueError for what is no JSON, too long, or nested deeper than Python can read."""
    text = stream.read(MOST_JSON + 1)
    if len(text) > MOST_JSON:
        raise ValueError(f"{name} has more than {MOST_JSON >> 20} MiB")
    return load_json(text)


def words(found: list[Any], what: str) -> list[str]:
    """``found`` if it is a list of words. Raises ValueError."""
    if not all(isinstance(word, str) for word in found):
        raise ValueError(f"its description has no usable {what}")
    return found
