"""Streaming redaction: registered values never pass, whatever the chunks they come in. Mechanism only.

What is masked: each value in all its spellings (:mod:`.forms`), each of which is a needle here. The result is that of
one replacement, leftmost and longest first, over all bytes at once. To get there,
the end of what has come is held back while it is the beginning of a needle: less than one needle's length, and nothing
when no secret is near.

Held bytes are delivered after a short idle time if they are too few to tell anything (fewer than ``SHORTEST``: a prompt
that ends like a secret begins); should the rest of the secret follow, that is masked. A longer beginning of a secret
stays back until the next byte decides: programs that fill a buffer write the two halves of a secret minutes apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from heapq import heapify, heappop, heapreplace

from ..job import SecretValues
from .forms import BREAKS, forms, sorted_by_letters
from .registry import SHORTEST

MASK = b"***"
SAMPLE = 4096  # bytes of a piece, at least half as many of a long one, that tell which letters are rare
CHOOSE_SOON, CHOOSE_AGAIN = 1 << 16, 1 << 24  # bytes after which they are chosen again: soon at first, later seldom
RARE = 1 << 13  # bytes; a letter that is met more often than once in so many, for each of its needles, tells nothing


class Redactor:
    """One stream's redactor: ``feed`` bytes, ``idle`` when none came for a while, ``flush`` at the end.

    Follows ``secrets`` as it grows. ``refused`` counts the values that are too short to be masked, for a warning.
    """

    def __init__(self, secrets: SecretValues) -> None:
        self._secrets = secrets
        self._version: int | None = None
        self._needles: _Needles | None = None
        self._tail = b""
        self._shown = 0  # how many bytes of the tail an idle time has released
        self.refused = 0

    @property
    def held(self) -> bool:
        """Whether bytes wait here that an idle time would release."""
        return self._shown < len(self._tail) < SHORTEST

    def feed(self, data: bytes) -> bytes:
        """What may pass now."""
        if self._secrets.version != self._version:
            self._learn()
        if self._tail:
            data = self._tail + data
        return self._pass(data, self._needles.hold(data, 0) if self._needles is not None else len(data))

    def idle(self) -> bytes:
        """What an idle time releases. It is remembered: should a secret follow from it, the rest is masked."""
        if not self.held:
            return b""
        shown, self._shown = self._shown, len(self._tail)
        return self._tail[shown:]

    def flush(self) -> bytes:
        """What was held back, at the end."""
        return self._pass(self._tail, len(self._tail))

    def mask(self, text: str) -> str:
        """``text`` with every secret masked: for our own messages, records and reports."""
        if self._secrets.version != self._version:
            self._learn()
        if self._needles is None:
            return text
        data, done, start = text.encode("utf-8", "surrogateescape"), b"", 0
        for begin, end in self._needles.matches(data):
            done += data[start:begin] + MASK
            start = end
        return (done + data[start:]).decode("utf-8", "surrogateescape")

    def _pass(self, data: bytes, hold: int) -> bytes:
        """``data`` with needles replaced, up to ``hold``; the rest is held back, and what was shown is skipped."""
        start, needles = self._shown, self._needles
        done: list[bytes] = []
        if needles is not None:
            for begin, end in needles.matches(data):
                if begin >= hold:
                    break  # a longer needle may begin here, or before
                done += (data[start:begin], MASK)
                start = end
                if hold < start:
                    hold = needles.hold(data, start)
        self._tail = data[hold:]
        self._shown = max(0, start - hold)
        return b"".join((*done, data[start:hold])) if done else data[start:hold]

    def _learn(self) -> None:
        version = self._secrets.version
        values = [value for value in self._secrets.values() if value]
        long = [value for value in values if len(value.encode("utf-8", "surrogateescape")) >= SHORTEST]
        self.refused = len(values) - len(long)
        self._needles = _Needles({needle for value in long for needle in forms(value)}) if long else None
        self._version = version  # last: until then other threads find out for themselves


class _Needles:
    """What is looked for, prepared for a fast no: output is rarely like a secret.

    Every needle has a witness: one of its letters, the rarest in the output so far, and the letter behind it. Where a
    needle is, its witness is, and memchr(3) finds a rare letter twenty times faster than a needle is found. One letter
    witnesses for many needles, so a few such searches answer for all of them; each place where the letter is has the
    one behind it looked at, and then the needle. A letter that turns out to be everywhere tells nothing: its needles
    are searched for one by one.
    """

    def __init__(self, needles: Iterable[bytes]) -> None:
        self._all = sorted(needles, key=lambda needle: (-len(needle), needle))
        self._by_letters = sorted_by_letters(self._all)
        lasts = bytes(needle[-1] for needle in self._all)
        self._alphabet = bytes(sorted(set(b"".join((*self._by_letters, lasts, *BREAKS)))))
        self._firsts = {needle[:1] for needle in self._all}
        self._by_head: dict[bytes, list[bytes]] = {}
        for needle in self._all:
            self._by_head.setdefault(needle[:2], []).append(needle)
        self._seen = self._choose_at = 0  # bytes
        self._witnesses: list[_Witness] = []
        self._choose(b"")

    def matches(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Begin and end of what is to be masked: leftmost, then longest, without overlap."""
        ahead = [(data.find(needle), -len(needle), needle) for needle in self._occurring(data)]
        heapify(ahead)
        end = 0
        while ahead:
            begin, _, needle = ahead[0]
            if begin >= end:
                end = begin + len(needle)
                yield begin, end
            begin = data.find(needle, end)
            if begin < 0:
                heappop(ahead)
            else:
                heapreplace(ahead, (begin, -len(needle), needle))

    def _occurring(self, data: bytes) -> list[bytes]:
        """Those that are in ``data``."""
        if self._seen >= self._choose_at:  # what is rare in what a program says first may not stay so
            self._choose(data)
            self._choose_at = self._seen + min(self._seen + CHOOSE_SOON, CHOOSE_AGAIN)
        self._seen += len(data)
        return [needle for witness in self._witnesses for needle in witness.confirmed(data)]

    def _choose(self, data: bytes) -> None:
        """Few letters, rare in ``data``, of which every needle has one that is not its last."""
        counts = Counter(data[:: len(data) // SAMPLE + 1])
        left, witnesses = self._by_letters, []
        while left:
            having = {letter: sum(len(left[some]) for some in left if letter in some) for letter in self._alphabet}
            letter = max(having, key=lambda letter: having[letter] / (1 + counts[letter]))
            witnesses.append(_Witness(letter, [needle for some in left if letter in some for needle in left[some]]))
            left = {some: needles for some, needles in left.items() if letter not in some}
        self._witnesses = witnesses  # at once: several threads have their messages masked here

    def hold(self, data: bytes, start: int) -> int:
        """Where the end of ``data`` begins that may be the beginning of a needle; its length if nowhere."""
        near = data[max(start, len(data) - len(self._all[0]) + 1) :]
        near = near[len(near.rstrip(self._alphabet)) :]  # behind the last letter of another alphabet
        if not near:  # as a rule: the end of a line
            return len(data)
        first = len(near) - (near[-1:] in self._firsts)
        heads = self._by_head
        if len(near) < len(heads):  # the end of a word: what it has, rather than all that there might be
            pairs = dict.fromkeys(near[at : at + 2] for at in range(len(near) - 1))
            heads = {pair: heads[pair] for pair in pairs if pair in heads}
        for head, needles in heads.items():
            at = near.find(head)
            while 0 <= at < first:
                rest = near[at:]
                if any(len(needle) > len(rest) and needle.startswith(rest) for needle in needles):
                    first = at
                at = near.find(head, at + 1)
        return len(data) - len(near) + first


class _Witness:
    """A letter, and the needles it speaks for: all of them have it, and not as their last one."""

    def __init__(self, letter: int, needles: Sequence[bytes]) -> None:
        self._letter = letter
        self._needles = needles
        # By the letter and the one behind it, and then by where the needle begins and how: many begin alike.
        self._by_pair: dict[bytes, dict[tuple[bytes, int], list[bytes]]] = {}
        for needle in needles:
            at = needle.index(letter)
            beginning = needle[: max(at + 2, SHORTEST)], at
            self._by_pair.setdefault(needle[at : at + 2], {}).setdefault(beginning, []).append(needle)

    def confirmed(self, data: bytes) -> Iterable[bytes]:
        """Which of its needles are in ``data``."""
        found: set[bytes] = set()
        looks_left = len(self._needles) * (1 + len(data) // RARE)
        at = data.find(self._letter)
        while at >= 0:
            for (beginning, offset), needles in self._by_pair.get(data[at : at + 2], {}).items():
                if at >= offset and data.startswith(beginning, at - offset):
                    found.update(needle for needle in needles if data.startswith(needle, at - offset))
            looks_left -= 1
            if not looks_left:
                return [needle for needle in self._needles if needle in data]
            at = data.find(self._letter, at + 1)
        return found
