"""Addresses through a shared place: here a directory, in a job an object store."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bootstrap.errors import PeersMissing
from bootstrap.job import Cluster, Node
from bootstrap.network.board import meet_by_board
from bootstrap.network.cards import Card
from tests.network.heard import Heard


class Directory:
    """A board on a disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, name: str, data: bytes) -> None:
        draft = self.path / f".{name}.{threading.get_ident()}"
        draft.write_bytes(data)
        draft.rename(self.path / name)

    def get(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None


def join(board: Directory, rank: int, size: int = 3, start: str = "", deadline_s: float = 60) -> tuple[Card, ...]:
    return meet_by_board(
        Cluster(tuple(Node(i, f"h{i}") for i in range(size)), rank),
        Card(f"host-{rank}{start}", f"10.88.0.{rank + 1}", "ib0"),
        board,
        secret=b"s",
        deadline_s=deadline_s,
        stop=threading.Event(),
        log=Heard(),
    )


def all_of(board: Directory, size: int = 3, start: str = "") -> list[tuple[Card, ...]]:
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(lambda rank: join(board, rank, size, start), reversed(range(size))))


def test_every_node_learns_every_address(tmp_path: Path) -> None:
    tables = all_of(Directory(tmp_path))
    assert [card.address for card in tables[0]] == ["10.88.0.1", "10.88.0.2", "10.88.0.3"]
    assert tables[0] == tables[1] == tables[2]


def test_notes_of_an_earlier_start_are_not_believed(tmp_path: Path) -> None:
    board = Directory(tmp_path)
    all_of(board, start="-old")
    for table in all_of(board, start="-new"):
        assert [card.host for card in table] == ["host-0-new", "host-1-new", "host-2-new"]


def test_forged_and_broken_notes_are_not_believed(tmp_path: Path) -> None:
    board = Directory(tmp_path)
    board.put("meeting", b'00000000000000000000000000000000 {"nonce":"theirs"}')
    board.put("card-1", b"half of")
    board.put("card-2", b"\xff\xfe")
    board.put("table", b"")
    assert len(all_of(board)[0]) == 3


def test_who_did_not_come_is_named(tmp_path: Path) -> None:
    with pytest.raises(PeersMissing) as caught:
        join(Directory(tmp_path), 0, deadline_s=0.5)
    assert caught.value.where == "node 1 (h1), node 2 (h2)"
    with pytest.raises(PeersMissing, match=r"node 0 \(h0\)"):
        join(Directory(tmp_path / "empty"), 1, deadline_s=0.5)
