"""The files of a commit and its submodules, with symbolic links followed as far as they stay in the repository."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping

from ...values import dataclass

_MOST_LINKS = 8
"""Links to directories on the way to a file, as for what is delivered."""


@dataclass(frozen=True, slots=True)
class Blob:
    """``name`` is its id in git, ``module`` the path of the submodule that it is in. ``lfs`` is the SHA-256 of contents
    that git-lfs keeps, whose size is ``size`` then.
    """

    name: str
    size: int
    module: str = ""
    lfs: str = ""


Left = Callable[[str, str, str], None]
"""Told of a link that is left out, why, and where it leads inside the repository's bounds."""


class Tree:
    """Made of what ``git ls-tree -r -l -z`` prints of commits. ``read`` gives a link's target."""

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self._read = read
        self._files: dict[str, Blob] = {}
        self._links: dict[str, str] = {}
        self._below: dict[str, list[str]] = {"": []}

    def add(self, listing: bytes, at: str = "") -> tuple[dict[str, Blob], dict[str, str]]:
        """Put a commit into the directory ``at``; returns its files and the commits of its submodules, by path."""
        files: dict[str, Blob] = {}
        submodules: dict[str, str] = {}
        for line in listing.split(b"\0"):
            if not line:
                continue
            head, _, raw = line.partition(b"\t")
            mode, kind, name, size = head.split()
            path = posixpath.join(at, raw.decode(errors="surrogateescape"))
            if kind == b"commit":
                submodules[path] = name.decode()
                continue
            if mode == b"120000":
                self._links[path] = self._read(name.decode()).decode(errors="surrogateescape")
            else:
                files[path] = Blob(name.decode(), int(size), at)
            self._add(path)
        self._files |= files
        return files, submodules

    def replace(self, files: Mapping[str, Blob]) -> None:
        """Take these for what was there under their paths."""
        self._files |= files

    def files(self, left: Left) -> Iterator[tuple[str, Blob]]:
        """Each file under each path that leads to it."""
        return self._walk("", "", ("",), 0, left)

    def _add(self, path: str) -> None:
        while path:
            above = posixpath.dirname(path)
            known = above in self._below
            self._below.setdefault(above, []).append(path)
            if known:
                return
            path = above

    def _walk(
        self, real: str, shown: str, trail: tuple[str, ...], followed: int, left: Left
    ) -> Iterator[tuple[str, Blob]]:
        for path in self._below[real]:
            name = posixpath.join(shown, posixpath.basename(path))
            if path in self._files:
                yield name, self._files[path]
            elif path not in self._links:
                yield from self._walk(path, name, (*trail, path), followed, left)
            else:
                target = self._resolve(path, _MOST_LINKS)
                if target in self._files:
                    yield name, self._files[target]
                elif target is None or target not in self._below:
                    left(
                        name,
                        f"a link that leads out of the repository or to nothing, {self._links[path]}",
                        target or "",
                    )
                elif followed == _MOST_LINKS or any(_holds(target, passed) for passed in trail):
                    left(name, "a link that leads back to a directory above it", "")
                else:
                    yield from self._walk(target, name, (*trail, target), followed + 1, left)

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
