"""The files of a fetch, each with the object that it comes from: rows of a listing, not yet made into objects."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress

from ..model.listing import Entries
from ..model.store import Entry

File = tuple[str, Entry]
"""A path below the root, and the object that belongs there."""


class Files:
    """Paths below a root, in the listing's order; ``rows`` says which of its objects they are.

    Memory: 4 bytes a file beside the listing.
    """

    __slots__ = ("_base", "_names", "_prefix", "listing", "rows")

    def __init__(
        self, listing: Entries, prefix: int, rows: Sequence[int], names: Mapping[int, str], base: str = ""
    ) -> None:
        """A path is the key without its first ``prefix`` characters and behind the ``base``, or what ``names`` has for
        the row. A range of ``rows`` is all there are.
        """
        self.listing, self.rows = listing, rows
        self._prefix, self._names, self._base = prefix, names, base

    @classmethod
    def of(cls, files: Iterable[File]) -> Files:
        """Those that somebody has put together."""
        each = list(files)
        names = dict(enumerate(path for path, _ in each))
        return cls(Entries.of(entry for _, entry in each), 0, range(len(each)), names)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[File]:
        return ((self.path(row), self.listing[row]) for row in self.rows)

    @property
    def paths(self) -> Iterator[str]:
        if not isinstance(self.rows, range) or self._names:
            return map(self.path, self.rows)
        return (self._base + key[self._prefix :] for key in self.listing.keys)

    @property
    def sizes(self) -> Iterator[int]:
        """Bytes of each."""
        return map(self.listing.sizes.__getitem__, self.rows)

    @property
    def etags(self) -> Iterator[str]:
        etags = self.listing.etags
        return iter(etags) if isinstance(self.rows, range) else map(etags.__getitem__, self.rows)

    def path(self, row: int) -> str:
        return self._names.get(row) or self._base + self.listing.keys[row][self._prefix :]

    def only(self, rows: Sequence[int]) -> Files:
        """Some of them."""
        return Files(self.listing, self._prefix, rows, self._names, self._base)

    def where(self, chosen: Iterable[bool]) -> Files:
        """Those that are ``chosen``, one word for each of them."""
        return self.only(array("I", compress(self.rows, chosen)))
