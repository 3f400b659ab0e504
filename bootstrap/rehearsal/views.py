"""A node's own view of the person's directory: what the node writes into its outputs is its own, as on a machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def own_view(here: Path, place: Path, own: Sequence[str]) -> None:
    """Make ``place`` a directory of links to all that ``here`` holds, but for the relative paths ``own``, which begin
    empty: several nodes would write into one directory otherwise, and see there what the others have written.
    """
    place.mkdir(parents=True, exist_ok=True)
    apart: dict[str, list[str]] = {}
    for path in own:
        first, _, rest = path.partition("/")
        apart.setdefault(first, []).append(rest)
    for entry in os.scandir(here):
        link = place / entry.name
        if entry.name in apart:
            if all(apart[entry.name]) and entry.is_dir():
                own_view(Path(entry.path), link, apart[entry.name])
        elif not (os.path.lexists(link) or place.is_relative_to(entry.path)):
            link.symlink_to(entry.path)


def inside(directories: Sequence[str]) -> list[str]:
    """Those of the outputs' directories that are below the one that the person is in."""
    paths = (os.path.normpath(each) for each in directories)
    return [path for path in paths if not os.path.isabs(path) and path not in (".", "..") and path[:3] != "../"]
