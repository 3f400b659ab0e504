"""What a store has listed, in columns: a hundred bytes an object, where a million of :class:`Entry` take half a GB."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice, pairwise

from .store import Entry

_MOST = (1 << 63) - 1  # bytes; what says that it has more fits nowhere either
_AT_ONCE = 1000


class Texts:
    """Texts that are only added to, as UTF-8 in one piece."""

    __slots__ = ("_ends", "_utf8")

    def __init__(self) -> None:
        self._utf8 = bytearray()
        self._ends = array("Q", (0,))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, at: int) -> str:
        return self._utf8[self._ends[at] : self._ends[at + 1]].decode(errors="surrogatepass")

    def __iter__(self) -> Iterator[str]:
        """All of them, some at a time: it takes a third of the time."""
        for first in range(0, len(self), _AT_ONCE):
            ends = self._ends[first : first + _AT_ONCE + 1]
            start = ends[0]
            some = self._utf8[start : ends[-1]].decode(errors="surrogatepass")
            if len(some) == ends[-1] - start:  # a character a byte
                yield from [some[one - start : two - start] for one, two in pairwise(ends)]
            else:
                yield from map(self.__getitem__, range(first, first + len(ends) - 1))

    def extend(self, texts: Iterable[str]) -> None:
        each = [text.encode(errors="surrogatepass") for text in texts]
        ends = accumulate(map(len, each), initial=self._ends.pop())
        self._ends.extend(ends)
        self._utf8 += b"".join(each)

    def add(self, other: Texts, end: int) -> None:
        """Add the first texts of another one, up to ``end``."""
        self._ends.extend(map(self._ends[-1].__add__, other._ends[1 : end + 1]))
        self._utf8 += other._utf8[: other._ends[end]]


class Digests:
    """ETags and digests: what is written in small hexadecimal digits, as nearly all are, takes half of them."""

    __slots__ = ("_bytes", "_ends")

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("Q", (0,))  # twice where each ends, and one more for what is kept as text

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, at: int) -> str:
        end = self._ends[at + 1]
        found = self._bytes[self._ends[at] >> 1 : end >> 1]
        return found.decode(errors="surrogatepass") if end & 1 else found.hex()

    def __iter__(self) -> Iterator[str]:
        """All of them, some at a time: it takes a third of the time."""
        for first in range(0, len(self), _AT_ONCE):
            ends = self._ends[first : first + _AT_ONCE + 1]
            start = ends[0] & ~1
            if sum(map((1).__and__, ends[1:])):  # texts among them
                yield from map(self.__getitem__, range(first, first + len(ends) - 1))
            else:
                some = self._bytes[start >> 1 : ends[-1] >> 1].hex()
                ends[0] = start
                yield from [some[one - start : two - start] for one, two in pairwise(ends)]

    def extend(self, texts: Sequence[str]) -> None:
        lengths = set(map(len, texts))
        length = lengths.pop() if len(lengths) == 1 else 1
        together = None if length % 2 else _number("".join(texts))
        if together is not None:
            end = 2 * len(self._bytes)
            ends = range(end + length, end + length * len(texts) + 1, length) if length else [end] * len(texts)
            self._ends.extend(ends)
            self._bytes += together
            return
        for text in texts:
            number = _number(text)
            self._bytes += text.encode(errors="surrogatepass") if number is None else number
            self._ends.append(2 * len(self._bytes) + (number is None))

    def add(self, other: Digests, end: int) -> None:
        """Add the first of another one, up to ``end``."""
        self._ends.extend(map((2 * len(self._bytes)).__add__, other._ends[1 : end + 1]))
        self._bytes += other._bytes[: other._ends[end] >> 1]


class Entries:
    """Objects in the order in which they were listed. Each :class:`Entry` is made when it is asked for."""

    def __init__(self) -> None:
        self.keys = Texts()
        self.sizes = array("q")
        self.etags = Digests()
        self.mtimes = array("d")
        self._sha256: dict[int, str] = {}

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Entries:
        """The same objects; a listing itself as it is."""
        if isinstance(entries, Entries):
            return entries
        made, source = cls(), iter(entries)
        while some := list(islice(source, _AT_ONCE)):
            made._sha256.update((at, entry.sha256) for at, entry in enumerate(some, len(made)) if entry.sha256)
            sizes = [min(entry.size, _MOST) for entry in some]
            etags, mtimes = [entry.etag for entry in some], [entry.mtime for entry in some]
            made.extend([entry.key for entry in some], sizes, etags, mtimes)
        return made

    def extend(self, keys: Sequence[str], sizes: Sequence[int], etags: Sequence[str], mtimes: Sequence[float]) -> None:
        """Add objects, each with its place in all four. Raises ``OverflowError`` for a size that no disk has."""
        self.sizes.extend(sizes)
        self.keys.extend(keys)
        self.etags.extend(etags)
        self.mtimes.extend(mtimes)

    def add(self, other: Entries, end: int) -> None:
        """Add the first objects of another listing, up to ``end``."""
        self._sha256.update((len(self) + at, sha256) for at, sha256 in other._sha256.items() if at < end)
        self.keys.add(other.keys, end)
        self.etags.add(other.etags, end)
        self.sizes.extend(other.sizes[:end])
        self.mtimes.extend(other.mtimes[:end])

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[Entry]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, at: int) -> Entry:
        return Entry(self.keys[at], self.sizes[at], self.etags[at], self.mtimes[at], self._sha256.get(at, ""))


def _number(text: str) -> bytes | None:
    """The bytes that ``text`` stands for in small hexadecimal digits, or None if it is something else."""
    try:
        number = bytes.fromhex(text)
    except ValueError:
        return None
    return number if number.hex() == text else None
