"""Texts of which nothing is asked but whether one is among them."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable


class Hashes:
    """64 bits of each, so that it takes 8 bytes: Python's SipHash, whose key is new in each process.

    :meth:`add` and :meth:`copy` may be called from any thread, ``in`` is for who adds nothing meanwhile.
    """

    __slots__ = ("_hashes", "_in_order")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._hashes = array("q", map(hash, texts))
        self._in_order = False

    def add(self, text: str) -> None:
        self._hashes.append(hash(text))
        self._in_order = False

    def copy(self) -> Hashes:
        """Those that are here by now."""
        copied = Hashes()
        copied._hashes = self._hashes[:]
        return copied

    def __contains__(self, text: object) -> bool:
        if not self._in_order:
            self._hashes = array("q", sorted(self._hashes))
            self._in_order = True
        wanted = hash(text)
        at = bisect_left(self._hashes, wanted)
        return at < len(self._hashes) and self._hashes[at] == wanted
