"""What is to be sent, in columns: each :class:`.walk.Item` is made when its turn comes, as there may be a million."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from ..model.listing import Texts
from .walk import Item

ENDLESS = 1 << 63
"""More bytes than any file has."""

_AT_ONCE = 1000


class Items:
    """In the order in which they were found.

    Memory: 16 bytes a file and its name, where the files lie in one tree as their keys do; others are kept as they are.
    """

    __slots__ = ("_base", "_names", "_others", "_root", "_rows", "_sizes")

    def __init__(self) -> None:
        self._root = self._base = ""  # what stands before a name in the file's path, and in its key
        self._names, self._sizes = Texts(), array("q")
        self._others: dict[int, Item] = {}
        self._rows: Sequence[int] = ()

    @classmethod
    def of(cls, items: Iterable[Item]) -> Items:
        made, source, row = cls(), iter(items), 0
        while some := list(islice(source, _AT_ONCE)):
            for item in some:
                if not made._is_plain(item):
                    made._others[row] = item
                row += 1
            made._names.extend([item.name for item in some])
            made._sizes.extend([item.size for item in some])
        made._rows = range(row)
        return made

    def of_size(self, least: int, below: int) -> Items:
        """Those of ``least`` bytes and more, but less than ``below``."""
        some = Items()
        some._root, some._base, some._names = self._root, self._base, self._names
        some._sizes, some._others = self._sizes, self._others
        some._rows = array("I", (row for row in self._rows if least <= self._sizes[row] < below))
        return some

    @property
    def names(self) -> Iterator[str]:
        return map(self._names.__getitem__, self._rows)

    @property
    def bytes(self) -> int:
        return sum(map(self._sizes.__getitem__, self._rows))

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Item]:
        return map(self._made, self._rows)

    def _made(self, row: int) -> Item:
        if row in self._others:
            return self._others[row]
        name = self._names[row]
        return Item(name, self._base + name, Path(self._root + name), self._sizes[row])

    def _is_plain(self, item: Item) -> bool:
        """Whether it can be made of its name and size."""
        path = "" if item.path is None else os.fspath(item.path)
        if not self._root and path.endswith(item.name) and item.key.endswith(item.name):
            self._root, self._base = path.removesuffix(item.name), item.key.removesuffix(item.name)
        return path == self._root + item.name and item.key == self._base + item.name and bool(path)
