"""The files of one commit, with its symbolic links followed as far as they stay in the repository."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator

from ...values import dataclass

_MOST_LINKS = 8
"""Links to directories on the way to a file, as for what is delivered."""


@dataclass(frozen=True, slots=True)
class Blob:
    """``name`` is its id in git. ``lfs`` is the SHA-256 of contents that git-lfs keeps, whose size is ``size`` then."""

    name: str
    size: int
    lfs: str = ""


Left = Callable[[str, str], None]
"""Told what is left out, and why."""


class Tree:
    """Made of what ``git ls-tree -r -l -z`` prints. ``read`` gives a link's target; ``left`` is told of what is left
    out.
    """

    def __init__(self, listing: bytes, read: Callable[[str], bytes], left: Left) -> None:
        self._files: dict[str, Blob] = {}
        self._links: dict[str, str] = {}
        self._below: dict[str, list[str]] = {"": []}
        for line in listing.split(b"\0"):
            if not line:
                continue
            head, _, raw = line.partition(b"\t")
            mode, kind, name, size = head.split()
            path = raw.decode(errors="surrogateescape")
            if kind == b"commit":
                left(path, "a submodule, which is not fetched")
                continue
            if mode == b"120000":
                self._links[path] = read(name.decode()).decode(errors="surrogateescape")
            else:
                self._files[path] = Blob(name.decode(), int(size))
            self._add(path)
        self._left = left

    def files(self) -> Iterator[tuple[str, Blob]]:
        """Each file under each path that leads to it."""
        return self._walk("", "", ("",), 0)

    def _add(self, path: str) -> None:
        while path:
            above = posixpath.dirname(path)
            known = above in self._below
            self._below.setdefault(above, []).append(path)
            if known:
                return
            path = above

    def _walk(self, real: str, shown: str, trail: tuple[str, ...], followed: int) -> Iterator[tuple[str, Blob]]:
        for path in self._below[real]:
            name = posixpath.join(shown, posixpath.basename(path))
            if path in self._files:
                yield name, self._files[path]
            elif path not in self._links:
                yield from self._walk(path, name, (*trail, path), followed)
            else:
                target = self._resolve(path, _MOST_LINKS)
                if target in self._files:
                    yield name, self._files[target]
                elif target is None or target not in self._below:
                    self._left(name, f"a link that leads out of the repository or to nothing, {self._links[path]}")
                elif followed == _MOST_LINKS or any(_holds(target, passed) for passed in trail):
                    self._left(name, "a link that leads back to a directory above it")
                else:
                    yield from self._walk(target, name, (*trail, target), followed + 1)

    def _resolve(self, path: str, most: int) -> str | None:
        """What ``path`` is without links on the way; None for what leads out, and for rings."""
        found = ""
        for part in path.split("/"):
            if part == "..":
                if not found:
                    return None
                found = posixpath.dirname(found)
            elif part not in ("", "."):
                found = posixpath.join(found, part)
            if found in self._links:
                target = self._links[found]
                if target.startswith("/") or not most:
                    return None
                to = self._resolve(posixpath.join(posixpath.dirname(found), target), most - 1)
                if to is None:
                    return None
                found = to
        return found


def _holds(directory: str, path: str) -> bool:
    return path == directory or not directory or path.startswith(f"{directory}/")
