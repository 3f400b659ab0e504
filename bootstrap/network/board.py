"""The addresses of all nodes through a shared place (an object store, a mounted volume), where ports cannot be had.

Three kinds of notes on the board, each with a code made from the job's secret and the note's name:

- ``meeting``: node 0's nonce for this start of the job;
- ``card-<rank>``: what a node tells of itself, its own nonce, and the nonce of the meeting that it answers;
- ``table``: node 0's list of all cards that answer *its* meeting.

Notes of an earlier start may lie there still, since a job that is restarted finds its old place. None of them is
believed: a card must answer the new meeting, and a table must hold the reader's own new nonce.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol

from ..errors import PeersMissing
from ..job import Cluster, Log, StopRequest
from ..wait import Wait
from .cards import Card, named
from .wire import Forged, nonce, parse, plain


class Board(Protocol):
    """A place that all nodes of the job can write to and read from. Writing replaces at once and whole."""

    def put(self, name: str, data: bytes) -> None: ...

    def get(self, name: str) -> bytes | None:
        """The note's bytes, or None if there is none."""


def meet_by_board(
    cluster: Cluster, card: Card, board: Board, *, secret: bytes, deadline_s: float, stop: StopRequest, log: Log
) -> tuple[Card, ...]:
    """Every node's card, in the order of ranks, within ``deadline_s`` seconds.

    Raises :class:`PeersMissing` naming who did not come, also when ``stop`` is set, and whatever the board raises.
    """
    notes = _Notes(board, secret)
    node = _Node0(notes, cluster, card) if cluster.node_rank == 0 else _Other(notes, cluster, card)
    wait = Wait("waiting at the shared place", deadline_s=deadline_s, stop=stop, log=log, longest=4.0)
    while (cards := node.look()) is None:
        if not wait.again(awaited=node.awaited()):
            raise PeersMissing(
                f"Not all nodes came to the shared place{wait.cause}",
                where=node.awaited(),
                why=f"after {wait.elapsed:.0f} s",
            )
    return cards


class _Notes:
    """Sealed notes on a board."""

    def __init__(self, board: Board, secret: bytes) -> None:
        self._board, self._secret = board, secret

    def write(self, name: str, message: Mapping[str, object]) -> None:
        body = plain(message)
        self._board.put(name, self._code(name, body) + b" " + body)

    def read(self, name: str) -> dict[str, Any]:
        """The note, or an empty one: not there yet, half of one, or not one of ours."""
        code, _, body = (self._board.get(name) or b"").partition(b" ")
        try:
            return parse(body) if hmac.compare_digest(code, self._code(name, body)) else {}
        except Forged:
            return {}

    def _code(self, name: str, body: bytes) -> bytes:
        return hmac.new(self._secret, name.encode() + b" " + body, hashlib.sha256).hexdigest()[:32].encode()


class _Node0:
    def __init__(self, notes: _Notes, cluster: Cluster, card: Card) -> None:
        self._notes, self._cluster = notes, cluster
        self._nonce = nonce()
        self._cards: dict[int, dict[str, Any]] = {0: {"card": asdict(card), "nonce": self._nonce}}
        notes.write("meeting", {"nonce": self._nonce})

    def look(self) -> tuple[Card, ...] | None:
        for rank in self._missing():
            note = self._notes.read(f"card-{rank}")
            if note.get("meeting") == self._nonce:
                self._cards[rank] = {"card": note["card"], "nonce": note["nonce"]}
        if self._missing():
            return None
        entries = [self._cards[rank] for rank in range(self._cluster.size)]
        self._notes.write("table", {"entries": entries})
        return tuple(Card(**entry["card"]) for entry in entries)

    def awaited(self) -> str:
        return named(self._missing(), [node.host for node in self._cluster.nodes])

    def _missing(self) -> list[int]:
        return [rank for rank in range(self._cluster.size) if rank not in self._cards]


class _Other:
    def __init__(self, notes: _Notes, cluster: Cluster, card: Card) -> None:
        self._notes, self._cluster, self._card = notes, cluster, card
        self._nonce = nonce()
        self._answered = ""

    def look(self) -> tuple[Card, ...] | None:
        meeting = self._notes.read("meeting").get("nonce", "")
        if meeting and meeting != self._answered:
            answer = {"card": asdict(self._card), "nonce": self._nonce, "meeting": meeting}
            self._notes.write(f"card-{self._cluster.node_rank}", answer)
            self._answered = meeting
        entries = self._notes.read("table").get("entries", [])
        mine = self._cluster.node_rank
        if len(entries) != self._cluster.size or entries[mine]["nonce"] != self._nonce:
            return None
        return tuple(Card(**entry["card"]) for entry in entries)

    def awaited(self) -> str:
        if not self._answered:
            return named([0], [self._cluster.master.host])
        return "node 0's table: it waits for others itself"
