"""The other end of a live log: what a log directory holds, of which nodes, and their bytes in order, from anywhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from ..errors import NothingThere
from ..ground import log_names
from ..ground.log_names import LogPart
from ..storage.common.small import read_small
from ..storage.model.store import Entry, Store
from ..values import dataclass, field
from .attempts import Attempt, attempts
from .heartbeat import LONGEST_BEAT, Heartbeat

_SILENT = 60.0
"""Seconds without a heartbeat (or six intervals) after which its writer is taken to be gone."""


@dataclass(frozen=True, slots=True)
class LogPiece:
    """Bytes of an object to be read, from ``start`` up to ``end`` if given. ``missing`` bytes before it are gone."""

    key: str
    start: int
    end: int | None
    mtime: float
    missing: int = 0


@dataclass
class NodeLog:
    """The log of one node's newest attempt, and how much of it has been read."""

    name: str
    node: int
    whole: Entry | None = None
    attempt: Attempt | None = None
    heartbeat: Heartbeat | None = None
    tails: list[tuple[LogPart, Entry]] = field(default_factory=list)
    """The log in a directory, with its segments, when it is beyond its limit."""

    read: int = 0
    _of: str = field(default="", repr=False)

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.attempt is None or self.is_whole or bool(self.heartbeat and self.heartbeat.phase == "ended")

    @property
    def is_whole(self) -> bool:
        """Whether the one object of the end is there, younger than all parts: what stayed beside it does not count."""
        parts = self.attempt.parts if self.attempt else []
        return bool(self.whole and parts and self.whole.mtime >= max(entry.mtime for _, entry in parts))

    @property
    def silent_for(self) -> float:
        """Seconds since the last sign of life, by the store's clock where it has one."""
        if self.attempt is None:
            return 0.0
        found = [entry.mtime for _, entry in self.attempt.parts]
        found += [self.attempt.heartbeat.mtime] if self.attempt.heartbeat else []
        return max(0.0, time.time() - max(found, default=0.0))

    @property
    def vanished(self) -> bool:
        """Whether it has been silent for so long that whoever wrote it is gone, or cut off from the store."""
        interval = self.heartbeat.interval if self.heartbeat else 0.0
        return not self.ended and self.silent_for > max(_SILENT, 6 * interval)

    def state(self) -> str:
        """One line for a person."""
        who = f"node {self.node}"
        if self.attempt is None or self.is_whole:
            return f"{who}: ended"
        who += f", attempt {self.attempt.number}"
        if self.heartbeat is None:
            return f"{who}: last seen {self.silent_for:.0f} s ago"
        beat = self.heartbeat
        seen = f"last seen {beat.last_seen} ({_ago(self.silent_for)} ago) in step {beat.phase}, on {beat.host}"
        if beat.phase == "ended":
            return f"{who}: ended, but its log was not delivered as a whole; {seen}"
        return f"{who}: {seen}" + ("; killed, or cut off from the store" if self.vanished else "")

    def pieces(self) -> list[LogPiece]:
        """What is there and has not been read, in order. :attr:`read` is moved on by who reads it."""
        parts = self.tails or (self.attempt.parts if self.attempt else [])
        if (
            self.whole is not None
            and not self.tails
            and (not parts or self.whole.mtime >= max(entry.mtime for _, entry in parts))
        ):
            return [LogPiece(self.whole.key, self.read, None, self.whole.mtime)] if self.whole.size > self.read else []
        found, at = [], self.read
        for part, entry in parts:
            if part.end > at:
                begin = max(at, part.start)
                found.append(LogPiece(entry.key, begin - part.start, part.size, entry.mtime, begin - at))
                at = part.end
        return found

    def became(self, newer: NodeLog) -> None:
        """Take over what a newer look has found. Another attempt is read from its beginning."""
        of = newer.attempt.directory if newer.attempt else ""
        if of and self._of and of != self._of:
            self.read = 0
        self._of = of or self._of
        self.whole, self.attempt, self.heartbeat = newer.whole, newer.attempt, newer.heartbeat
        self.tails = newer.tails


def look(store: Store, base: str, number: int | None = None) -> list[NodeLog]:
    """The logs in the directory ``base`` (a key that ends in ``/``), by node; of the attempt ``number`` if given."""
    entries = list(store.entries(base))
    names = [(entry.key[len(base) :], entry) for entry in entries]
    wholes = {name: entry for name, entry in names if "/" not in _in_node(name)}
    newest: dict[tuple[str, int], Attempt] = {}
    last: dict[tuple[str, int], Attempt] = {}
    for attempt in attempts(entries, base):
        last[attempt.log, attempt.node] = attempt
        if number in (None, attempt.number):
            newest[attempt.log, attempt.node] = attempt
    logs: list[NodeLog] = []
    for (named, node), attempt in newest.items():
        whole = wholes.get(_of(named, number))
        if whole is None and attempt is last[named, node] and not attempt.parts:  # in a directory, where the log grows
            whole = wholes.get(named)
        logs.append(NodeLog(named, node, whole, attempt, _heartbeat(store, attempt)))
    known = {log for log, _ in newest}
    for name, entry in wholes.items():
        plain, attempt_number = log_names.attempt_of(name) or (name, None)
        if attempt_number == number and plain.endswith(".log") and plain not in known:
            logs.append(NodeLog(plain, log_names.node_of_log(plain), entry))
    for log in logs:
        log.tails = _tails(log, wholes, number)
    return sorted(logs, key=lambda log: (log.node, log.name))


def _of(name: str, number: int | None) -> str:
    return name if number is None else log_names.of_attempt(name, number)


def _in_node(name: str) -> str:
    """``name`` without the directory of the node that it is in, if it is in one."""
    inside = log_names.node_and_rest(name)
    return inside[1] if inside else name


def _tails(log: NodeLog, wholes: Mapping[str, Entry], number: int | None) -> list[tuple[LogPart, Entry]]:
    offsets = [(log_names.tail_offset(_of(log.name, number), name), entry) for name, entry in wholes.items()]
    found = [(offset, entry) for offset, entry in offsets if offset is not None]
    if log.whole is None or not found:
        return []
    tails = [(LogPart(start, start + entry.size), entry) for start, entry in sorted(found, key=lambda item: item[0])]
    return [(LogPart(0, log.whole.size), log.whole), *tails]


def read(store: Store, piece: LogPiece) -> Iterator[bytes]:
    """The bytes of ``piece``. Raises :class:`NothingThere` when it was merged into another object meanwhile."""
    yield from store.read(piece.key, start=piece.start, end=piece.end)


class Follower:
    """Several logs, read together."""

    def __init__(self, store: Store, base: str, node: int | None, number: int | None = None) -> None:
        """``node`` None: all of them."""
        self.logs: list[NodeLog] = []
        self._store, self._base = store, base
        self._node, self._number = node, number

    def look(self) -> None:
        """See what is there by now."""
        found = look(self._store, self._base, self._number)
        if self._node is not None:
            found = [log for log in found if log.node == self._node]
        known = {(log.name, log.node): log for log in self.logs}
        for log in found:
            mine = known.get((log.name, log.node))
            if mine is None and log.attempt is None:  # the whole log does not tell of which node it is
                mine = next((other for other in self.logs if other.name == log.name), None)
            if mine is None:
                mine = NodeLog(log.name, log.node)
                self.logs.append(mine)
            mine.became(log)

    def narrow(self, node: int) -> list[int]:
        """From here on only ``node``; returns the others that there are."""
        others = sorted({log.node for log in self.logs} - {node})
        self._node = node
        self.logs = [log for log in self.logs if log.node == node]
        return others

    @property
    def ended(self) -> bool:
        return bool(self.logs) and all(log.ended for log in self.logs)

    def new(self) -> Iterator[tuple[NodeLog, bytes]]:
        """What has come since, of all logs in the order in which it came to the store."""
        pieces = [(piece.mtime, number, piece) for number, log in enumerate(self.logs) for piece in log.pieces()]
        stale: set[int] = set()
        for _, number, piece in _merged(pieces):
            log = self.logs[number]
            if number in stale:
                continue
            try:
                if piece.missing:
                    log.read += piece.missing
                    yield log, b"\n[bootstrap] %d bytes are missing here\n" % piece.missing
                for data in read(self._store, piece):
                    log.read += len(data)
                    yield log, data
            except NothingThere:  # merged meanwhile: the next look finds the bytes elsewhere
                stale.add(number)


def _merged(pieces: Sequence[tuple[float, int, LogPiece]]) -> list[tuple[float, int, LogPiece]]:
    """By time over all logs, without changing the order within one: a merged part is younger than what follows it."""
    latest: dict[int, float] = {}
    timed = []
    for mtime, number, piece in pieces:
        latest[number] = max(mtime, latest.get(number, 0.0))
        timed.append((latest[number], number, piece))
    return sorted(timed, key=lambda item: item[0])


def _heartbeat(store: Store, attempt: Attempt) -> Heartbeat | None:
    if attempt.heartbeat is None:
        return None
    try:
        return Heartbeat.read(read_small(store, attempt.heartbeat.key, LONGEST_BEAT))
    except NothingThere:  # removed since it was listed: the end has come
        return None


def _ago(seconds: float) -> str:
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
