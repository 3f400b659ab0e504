"""The addresses of all nodes through a shared place (an object store, a mounted volume), where ports cannot be had.

Three kinds of notes at the place, each with a code made from the job's secret and the note's name:

- ``meeting``: node 0's nonce for this start of the job;
- ``info-<rank>``: what a node tells of itself, its own nonce, and the nonce of the meeting that it answers;
- ``table``: node 0's list of all members that answer *its* meeting.

SharedPlace of an earlier start may lie there still, since a job that is restarted finds its old place. None of them is
believed: what a node tells must answer the new meeting, and a table must hold the reader's own new nonce.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Protocol

from ..errors import PeersMissing
from ..ground.wait import Wait
from ..job import Cluster, Log, StopRequest
from ..values import asdict
from .messages import node_info_of
from .node_info import NodeInfo, named
from .protocol import Forged, nonce, parse, plain


class SharedPlace(Protocol):
    """A place that all nodes of the job can write to and read from. Writing replaces at once and whole."""

    def put(self, name: str, data: bytes) -> None: ...

    def get(self, name: str) -> bytes | None:
        """The note's bytes, or None if there is none."""


def meet_by_store(
    cluster: Cluster,
    info: NodeInfo,
    place: SharedPlace,
    *,
    secret: bytes,
    deadline_s: float,
    stop: StopRequest,
    log: Log,
) -> tuple[NodeInfo, ...]:
    """What every node tells of itself, in the order of ranks, within ``deadline_s`` seconds.

    Raises :class:`PeersMissing` naming who did not come, also when ``stop`` is set, and whatever the place raises.
    """
    notes = _Notes(place, secret)
    node = _Node0(notes, cluster, info) if cluster.node_rank == 0 else _Other(notes, cluster, info)
    wait = Wait("waiting at the shared place", deadline_s=deadline_s, stop=stop, log=log, longest=4.0)
    while (members := node.look()) is None:
        if not wait.again(awaited=node.awaited()):
            raise PeersMissing(
                f"not all nodes came to the shared place{wait.cause}",
                where=node.awaited(),
                why=f"after {wait.elapsed:.0f} s",
            )
    return members


class _Notes:
    """Sealed notes at the shared place."""

    def __init__(self, place: SharedPlace, secret: bytes) -> None:
        self._place, self._secret = place, secret

    def write(self, name: str, message: Mapping[str, object]) -> None:
        body = plain(message)
        self._place.put(name, self._code(name, body) + b" " + body)

    def read(self, name: str) -> dict[str, Any]:
        """The note, or an empty one: not there yet, half of one, or not one of ours."""
        code, _, body = (self._place.get(name) or b"").partition(b" ")
        try:
            return parse(body) if hmac.compare_digest(code, self._code(name, body)) else {}
        except Forged:
            return {}

    def _code(self, name: str, body: bytes) -> bytes:
        return hmac.new(self._secret, name.encode() + b" " + body, hashlib.sha256).hexdigest()[:32].encode()


class _Node0:
    def __init__(self, notes: _Notes, cluster: Cluster, info: NodeInfo) -> None:
        self._notes, self._cluster = notes, cluster
        self._nonce = nonce()
        self._members: dict[int, dict[str, Any]] = {0: {"info": asdict(info), "nonce": self._nonce}}
        notes.write("meeting", {"nonce": self._nonce})

    def look(self) -> tuple[NodeInfo, ...] | None:
        for rank in self._missing():
            note = self._notes.read(f"info-{rank}")
            if note.get("meeting") == self._nonce and (answered := _entry(note)) is not None:
                self._members[rank] = answered
        if self._missing():
            return None
        entries = [self._members[rank] for rank in range(self._cluster.size)]
        self._notes.write("table", {"entries": entries})
        return tuple(node_info_of(entry["info"]) for entry in entries)

    def awaited(self) -> str:
        return named(self._missing(), [node.host for node in self._cluster.nodes])

    def _missing(self) -> list[int]:
        return [rank for rank in range(self._cluster.size) if rank not in self._members]


class _Other:
    def __init__(self, notes: _Notes, cluster: Cluster, info: NodeInfo) -> None:
        self._notes, self._cluster, self._info = notes, cluster, info
        self._nonce = nonce()
        self._answered = ""

    def look(self) -> tuple[NodeInfo, ...] | None:
        meeting = str(self._notes.read("meeting").get("nonce", ""))
        if meeting and meeting != self._answered:
            answer = {"info": asdict(self._info), "nonce": self._nonce, "meeting": meeting}
            self._notes.write(f"info-{self._cluster.node_rank}", answer)
            self._answered = meeting
        told = self._notes.read("table").get("entries")
        entries = [entry for each in (told if isinstance(told, list) else []) if (entry := _entry(each)) is not None]
        if len(entries) != self._cluster.size or entries[self._cluster.node_rank]["nonce"] != self._nonce:
            return None
        return tuple(node_info_of(entry["info"]) for entry in entries)

    def awaited(self) -> str:
        if not self._answered:
            return named([0], [self._cluster.master.host])
        return "node 0's table: it waits for others itself"


def _entry(note: object) -> dict[str, Any] | None:
    """What a node tells, and its nonce, or None for a note that makes no sense: whoever wrote it may write it again."""
    if not isinstance(note, dict) or not isinstance(note.get("nonce"), str):
        return None
    try:
        return {"info": asdict(node_info_of(note.get("info"))), "nonce": note["nonce"]}
    except ValueError:
        return None
