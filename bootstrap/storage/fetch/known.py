"""What an earlier fetch has noted of each file, in columns, and found by the hash of its path."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from operator import eq, or_
from typing import Any, NamedTuple

from ..model.listing import Digests

_64_BITS = (1 << 64) - 1


class Noted(NamedTuple):
    """Of one file: the object it came from, and what the file was when it was whole."""

    etag: str
    size: int
    mtime: float
    """The object's, in seconds of the epoch."""
    mtime_ns: int
    """The file's."""
    digest: str
    """Of its bytes, where that is not the ETag."""


class Notes:
    """Rows in the order in which they were noted; what is noted of a path last is what holds.

    Memory: 0.1 kB a row, and no paths. That two paths have the same 64 bits (the key of Python's SipHash is new in each
    process) would need the same ETag, size and time, too, to be of any consequence.
    """

    def __init__(self) -> None:
        self._hashes = array("q")
        self.etags, self._digests = Digests(), Digests()
        self.sizes, self._mtimes, self.mtimes_ns = array("q"), array("d"), array("q")
        self._table = array("Q")  # the upper bits of a hash, and the row below them, in order
        self._low = 0
        self._once = False  # no path has two rows
        self._next = 0

    def __len__(self) -> int:
        return len(self._hashes)

    def extend(self, paths: Sequence[str], fields: Sequence[Sequence[Any]]) -> None:
        """Add rows. Raises ``TypeError``, ``ValueError`` or ``OverflowError`` for what no row can be."""
        etags, sizes, mtimes, mtimes_ns, digests = zip(*fields, strict=True)
        self._hashes.extend(map(hash, paths))
        self.etags.extend(etags)
        self.sizes.extend(sizes)
        self._mtimes.extend(mtimes)
        self.mtimes_ns.extend(mtimes_ns)
        self._digests.extend(digests)

    def sort(self) -> None:
        """All rows are here: make them be found."""
        self._low = (1 << len(self).bit_length()) - 1
        upper = _64_BITS - self._low
        self._table = array("Q", sorted(map(or_, map(upper.__and__, self._hashes), range(len(self)))))
        self._once = self.count() == len(self)

    def count(self) -> int:
        """How many paths there are."""
        upper = _64_BITS - self._low
        each, behind = map(upper.__and__, self._table), map(upper.__and__, self._table[1:])
        again: int = sum(map(eq, each, behind))
        return len(self) - again

    def row(self, path: str) -> int:
        """The last row of ``path``, or -1."""
        wanted = hash(path)
        if self._once and self._next < len(self._hashes) and self._hashes[self._next] == wanted:
            self._next += 1  # files are noted in the order of the listing, or nearly so
            return self._next - 1
        last = wanted & _64_BITS | self._low
        at = bisect_right(self._table, last) - 1
        while at >= 0 and self._table[at] >= last - self._low:
            row: int = self._table[at] & self._low
            if self._hashes[row] == wanted:
                self._next = row + 1
                return row
            at -= 1
        return -1

    def __getitem__(self, row: int) -> Noted:
        return Noted(self.etags[row], self.sizes[row], self._mtimes[row], self.mtimes_ns[row], self._digests[row])
