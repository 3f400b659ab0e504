"""A fetch that several nodes make: each brings its share from the store, and the rest from the others.

A share is made of blocks: the pieces of large objects, and groups of small ones. Whose a block is follows from its name
and place, which all nodes find alike, so that nothing has to be agreed on. Our own come from the store first, while the
others' arrive from their owners; what an owner does not give comes from the store, too.
"""

from __future__ import annotations

import hashlib
import json
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, cast
from zlib import crc32

from ...ground.json_text import load_json
from ...values import astuple
from ..local.digests import PIECE
from ..model.listing import Entries
from ..model.pipeline import Answer, Connection, Destination, NeedsFallback, Several
from ..model.share import Pour, Share
from ..model.store import ENCRYPTED, Entry
from .download import Download, Piece, Whole
from .large_file import LargeFile

GROUP = 8 << 20
"""Bytes of small objects that are one block, if they are not more than :data:`MOST`."""

MOST = 512
"""Objects of a group: the line that tells their digests stays short."""

_ROWS = 4096  # of a listing, told together
_MOST_ROWS = 64 << 20  # bytes of so many: a key has 1 KiB


def listed_once(share: Share, source: str, entries: Callable[[], Entries]) -> Entries:
    """The objects of a source as one node has listed them: a store answers so many listings a second for all nodes."""
    made = share.once(f"list {_digest(source)}", lambda: b"".join(_packed(entries())))
    try:
        return Entries.of(_unpacked(made))
    except (ValueError, TypeError, OverflowError, zlib.error):  # of another version of ours
        return entries()


def _packed(listing: Entries) -> Iterator[bytes]:
    """Some objects at a time, compressed, each time behind the number of bytes: a million are never held as text."""
    source = iter(listing)
    while some := list(islice(source, _ROWS)):
        packed = zlib.compress(json.dumps([astuple(entry) for entry in some]).encode(), 1)
        yield len(packed).to_bytes(4, "big") + packed


def _unpacked(packed: bytes) -> Iterator[Entry]:
    at = 0
    while at < len(packed):
        start, at = at + 4, at + 4 + int.from_bytes(packed[at : at + 4], "big")
        unpacked = zlib.decompressobj()
        text = unpacked.decompress(packed[start:at], _MOST_ROWS)
        if not unpacked.eof:
            raise ValueError("more rows than are told together, or a part of them")
        for row in _list_of(load_json(text)):
            yield _entry(*row)


def bring_shared(
    share: Share,
    source: str,
    download: Download,
    parts: Several[Whole | Piece],
    from_store: Callable[[Several[Whole | Piece]], None],
    beat: Callable[[], None],
) -> None:
    """A :data:`.download.Way`, for the nodes that ``share`` the fetch of this ``source``."""
    fetch = _digest(source)
    wholes = sorted((part for part in parts if isinstance(part, Whole)), key=lambda whole: whole.entry.key)
    size = sum(large.entry.size for large in download.large) + sum(whole.entry.size for whole in wholes)
    if size < share.least:
        share.begin(fetch, ())  # others may lack more than we do, and are told at once that nothing comes from us
        share.end(fetch)
        from_store(parts)
        return
    ours: list[Whole | Piece] = []
    theirs: list[_TheirPiece | _TheirGroup] = []
    own_groups: list[list[Whole]] = []
    for number, group in enumerate(_grouped(wholes)):
        if number % share.nodes == share.place:
            own_groups.append(group)
            ours += group
        else:
            theirs.append(_TheirGroup(group, number % share.nodes))
    missing = {(part.large.entry.key, part.start): part for part in parts if isinstance(part, Piece)}
    present: list[tuple[LargeFile, int, int]] = []
    names = [_name_of_group(group) for group in own_groups]
    for large in download.large:
        for start, end in large.places():
            owner, piece = _owner(large.entry, start, share.nodes), missing.get((large.entry.key, start))
            if owner != share.place:
                theirs += [_TheirPiece(piece, owner)] if piece is not None else []
                continue
            names.append(_name(large.entry, start))
            if piece is None:  # it is here by an earlier fetch
                present.append((large, start, end))
            else:
                piece.offer = lambda one: _offer(share, fetch, one.large, one.start, one.end)
                ours.append(piece)
    share.begin(fetch, names)
    for large, start, end in present:
        _offer(share, fetch, large, start, end)
    download.arrived = _Groups(share, fetch, own_groups).arrived if own_groups else None
    pull = share.pull(fetch, theirs)
    began, before = download.progress.seconds, download.progress.bytes
    try:
        from_store(sorted(ours, key=lambda part: isinstance(part, Whole)))  # the large ones take longest
        moved = download.progress.bytes - before - share.pulled
        rate = max(0, moved) / max(0.001, download.progress.seconds - began)
        while back := cast("Sequence[_TheirPiece | _TheirGroup]", pull.given_back(rate, beat)):
            from_store([part for block in back for part in block.left()])
    finally:
        pull.close()
        share.end(fetch)


class _TheirPiece:
    """A piece of a large object that another node owns."""

    def __init__(self, piece: Piece, owner: int) -> None:
        self._piece, self.owner = piece, owner
        self.size = piece.end - piece.start

    @property
    def name(self) -> str:
        return _name(self._piece.large.entry, self._piece.start)

    def left(self) -> list[Whole | Piece]:
        return [self._piece]

    def receive(self, told: Mapping[str, object], pour: Pour) -> None:
        etag = self._piece.large.entry.etag.removesuffix(ENCRYPTED)
        etag += ENCRYPTED if told.get("no_md5") is True else ""
        _receive(self._piece, _FromNode(pour, etag, "sha256", told.get("sha256")))


class _TheirGroup:
    """Small objects that another node brings; each is finished when its own bytes have come."""

    def __init__(self, wholes: list[Whole], owner: int) -> None:
        self._wholes, self.owner = wholes, owner
        self.name = _name_of_group(wholes)
        self._done = 0

    @property
    def size(self) -> int:
        return sum(whole.entry.size for whole in self._wholes[self._done :])

    def left(self) -> list[Whole | Piece]:
        return list(self._wholes[self._done :])

    def receive(self, told: Mapping[str, object], pour: Pour) -> None:
        digests = told.get("md5")
        if not isinstance(digests, list) or len(digests) != len(self._wholes):
            raise ValueError("other objects than the group's")
        for whole, digest in zip(self._wholes, digests, strict=True):
            _receive(whole, _FromNode(pour, whole.entry.etag, "md5", digest))
            self._done += 1


class _FromNode:
    """Another node's bytes, as an exchange takes a store's: an answer's head and its connection in one. They are
    compared with the digest that was told.
    """

    is_last, status = False, 200

    def __init__(self, pour: Pour, etag: str, kind: str, digest: object) -> None:
        self.etag, self._pour, self._kind, self._digest = etag, pour, kind, digest

    def expect(self, status: int, size: int = -1) -> None:
        """The block's name says what it is."""

    def pour(self, size: int, take: Callable[[memoryview], None]) -> None:
        summed = hashlib.new(self._kind, usedforsecurity=False)

        def summing(data: memoryview) -> None:
            summed.update(data)
            take(data)

        self._pour(size, summing)
        if summed.hexdigest() != self._digest:
            raise NeedsFallback("other bytes than were told")

    def save(self, size: int, place: Destination) -> None:
        self.pour(size, place.take)

    def body(self, size: int) -> bytes:
        gathered = bytearray()
        self.pour(size, gathered.extend)
        return bytes(gathered)


def _receive(part: Whole | Piece, source: _FromNode) -> None:
    try:
        part.take(cast(Connection, source), cast(Answer, source))
    except NeedsFallback as error:
        raise ValueError(str(error)) from None


class _Groups:
    """Offers a group of ours when all of it is here."""

    def __init__(self, share: Share, fetch: str, groups: Iterable[list[Whole]]) -> None:
        self._share, self._fetch = share, fetch
        self._lock = threading.Lock()
        self._of: dict[str, tuple[list[Whole], dict[str, str]]] = {}  # by key: its group, and the MD5s that are known
        for group in groups:
            md5s: dict[str, str] = {}
            self._of.update((whole.entry.key, (group, md5s)) for whole in group)

    def arrived(self, whole: Whole, md5: str) -> None:
        with self._lock:
            group, md5s = self._of.get(whole.entry.key, ([], {}))
            md5s[whole.entry.key] = md5
            complete = bool(group) and len(md5s) == len(group) and all(md5s.values())
        if complete:
            files = [(one.final, one.entry.size, md5s[one.entry.key]) for one in group]
            self._share.offer_files(self._fetch, _name_of_group(group), files)


def _grouped(wholes: Iterable[Whole]) -> Iterator[list[Whole]]:
    group: list[Whole] = []
    size = 0
    for whole in wholes:
        group.append(whole)
        size += whole.entry.size
        if size >= GROUP or len(group) >= MOST:
            yield group
            group, size = [], 0
    if group:
        yield group


def _list_of(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("no list")
    return value


def _entry(key: object, size: Any, etag: object, mtime: Any, sha256: object) -> Entry:
    if int(size) < 0:
        raise ValueError("an object of less than no bytes")
    return Entry(str(key), int(size), str(etag), float(mtime), str(sha256))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _name(entry: Entry, start: int) -> str:
    return _digest(f"{entry.key}\n{entry.etag}\n{entry.size}\n{start}")


def _name_of_group(group: Iterable[Whole]) -> str:
    return _digest("\n".join(f"{one.entry.key}\n{one.entry.etag}\n{one.entry.size}" for one in group))


def _owner(entry: Entry, start: int, nodes: int) -> int:
    """Pieces in turn, beginning somewhere: objects of few pieces are not all the first nodes'."""
    return (crc32(entry.key.encode("utf-8", "surrogateescape")) + start // PIECE) % nodes


def _offer(share: Share, fetch: str, large: LargeFile, start: int, end: int) -> None:
    with large.file() as file:
        share.offer(fetch, _name(large.entry, start), file, start, end - start, no_md5=large.no_md5)
