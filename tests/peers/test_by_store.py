"""Addresses through a shared place: here a directory, in a job an object store."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bootstrap.errors import PeersMissing
from bootstrap.job import Cluster, Node
from bootstrap.peers.by_store import meet_by_store
from bootstrap.peers.node_info import NodeInfo
from tests.lab.heard import Heard


class Directory:
    """A place on a disk."""

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


def join(place: Directory, rank: int, size: int = 3, start: str = "", deadline_s: float = 60) -> tuple[NodeInfo, ...]:
    return meet_by_store(
        Cluster(tuple(Node(i, f"h{i}") for i in range(size)), rank),
        NodeInfo(f"host-{rank}{start}", f"10.88.0.{rank + 1}", "ib0"),
        place,
        secret=b"s",
        deadline_s=deadline_s,
        stop=threading.Event(),
        log=Heard(),
    )


def all_of(place: Directory, size: int = 3, start: str = "") -> list[tuple[NodeInfo, ...]]:
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(lambda rank: join(place, rank, size, start), reversed(range(size))))


def test_every_node_learns_every_address(tmp_path: Path) -> None:
    tables = all_of(Directory(tmp_path))
    assert [info.address for info in tables[0]] == ["10.88.0.1", "10.88.0.2", "10.88.0.3"]
    assert tables[0] == tables[1] == tables[2]


def test_notes_of_an_earlier_start_are_not_believed(tmp_path: Path) -> None:
    place = Directory(tmp_path)
    all_of(place, start="-old")
    for table in all_of(place, start="-new"):
        assert [info.host for info in table] == ["host-0-new", "host-1-new", "host-2-new"]


def test_forged_and_broken_notes_are_not_believed(tmp_path: Path) -> None:
    place = Directory(tmp_path)
    place.put("meeting", b'00000000000000000000000000000000 {"nonce":"theirs"}')
    place.put("info-1", b"half of")
    place.put("info-2", b"\xff\xfe")
    place.put("table", b"")
    assert len(all_of(place)[0]) == 3


def test_who_did_not_come_is_named(tmp_path: Path) -> None:
    with pytest.raises(PeersMissing) as caught:
        join(Directory(tmp_path), 0, deadline_s=0.5)
    assert caught.value.where == "node 1 (h1), node 2 (h2)"
    with pytest.raises(PeersMissing, match=r"node 0 \(h0\)"):
        join(Directory(tmp_path / "empty"), 1, deadline_s=0.5)
