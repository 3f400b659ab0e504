"""A fetch that several nodes share: real sockets, a real store whose bytes are counted, nodes that fail each other."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from bootstrap.job import Credentials, Endpoint
from bootstrap.peers.client import PeerClient, Refused
from bootstrap.peers.node_info import NodeInfo
from bootstrap.sharing import pull, server
from bootstrap.sharing.share import Offer, Sharing, listen
from bootstrap.storage.fetch import large_file, shared
from bootstrap.storage.local import digests
from bootstrap.storage.model.share import Share
from bootstrap.storage.model.store import Entry
from bootstrap.storage.open import Stores
from bootstrap.storage.report import Report
from bootstrap.storage.schemes import parse
from bootstrap.storage.transfer import TransferStopped, fetch
from tests.lab.faulty_proxy import FaultyProxy, slow
from tests.lab.stores import Bucket
from tests.lab.trees import files_below
from tests.lab.waiting import until
from tests.storage.conftest import MemoryLog, credentials_of

SECRET = b"the job's"
PIECE = 1 << 20  # in place of 16 MiB
PIECES = 24


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (digests, large_file, shared):
        monkeypatch.setattr(module, "PIECE", PIECE)


@pytest.fixture
def bucket(seaweedfs: object, faulty: FaultyProxy) -> Bucket:
    return seaweedfs.make_bucket()  # type: ignore[attr-defined,no-any-return]


@pytest.fixture
def content(bucket: Bucket) -> bytes:
    """An object of many pieces, the last of them short; and a small file beside it."""
    made = os.urandom((PIECES - 1) * PIECE + 12_345)
    bucket.put("data/model.bin", made)
    bucket.put("data/small.txt", b"small")
    return made


def brought(faulty: FaultyProxy) -> int:
    """Bytes of the large object that were asked of the store."""
    total = 0
    for request in faulty.seen:
        asked = request.headers.get("Range", "")
        if request.method == "GET" and request.key.endswith("model.bin") and asked:
            first, last = asked.removeprefix("bytes=").split("-")
            total += int(last) - int(first) + 1
    return total


class Nodes:
    """Each fetches in a thread of its own, into a directory of its own."""

    def __init__(self, count: int, bucket: Bucket, faulty: FaultyProxy, directory: Path) -> None:
        self.url = bucket.url("data/")
        self.bucket, self.faulty, self.directory = bucket, faulty, directory
        self.offers = [self.offer() for _ in range(count)]
        self.members = [NodeInfo(f"host-{n}", "127.0.0.1", "lo", offer.told) for n, offer in enumerate(self.offers)]
        self.logs = [MemoryLog() for _ in range(count)]
        self.stop = threading.Event()
        self.shares: list[Sharing | None] = []

    def offer(self, *urls: str) -> Offer:
        made = listen("127.0.0.1", SECRET, urls or [self.url], least=1)
        assert made is not None
        return made

    def meet(self) -> None:
        self.shares = [offer.among(self.members, rank) for rank, offer in enumerate(self.offers)]

    def stores(self) -> Stores:
        store = self.bucket.store
        return Stores(Endpoint(self.faulty.endpoint, store.region), lambda: credentials_of(store), MemoryLog())

    def fetch(self, rank: int) -> Report:
        return fetch(
            self.stores(),
            parse(self.url),
            self.directory / f"node-{rank}",
            direct=True,
            share=self.shares[rank],
            stop=self.stop,
            log=self.logs[rank],
        )

    def fetch_all(self, ranks: list[int] | None = None) -> list[Report]:
        ranks = list(range(len(self.offers))) if ranks is None else ranks
        with ThreadPoolExecutor(len(ranks)) as pool:
            return list(pool.map(self.fetch, ranks))

    def check(self, content: bytes, ranks: list[int] | None = None) -> None:
        for rank in range(len(self.offers)) if ranks is None else ranks:
            found = (self.directory / f"node-{rank}/model.bin").read_bytes()
            assert hashlib.sha256(found).digest() == hashlib.sha256(content).digest(), f"node {rank}"
            assert (self.directory / f"node-{rank}/small.txt").read_bytes() == b"small"

    def close(self) -> None:
        self.stop.set()
        for offer in self.offers:
            offer.close()


Making = Callable[[int], Nodes]


@pytest.fixture
def nodes(bucket: Bucket, faulty: FaultyProxy, tmp_path: Path) -> Iterator[Making]:
    made: list[Nodes] = []

    def make(count: int) -> Nodes:
        made.append(Nodes(count, bucket, faulty, tmp_path))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_store_gives_each_byte_once(nodes: Making, content: bytes, faulty: FaultyProxy, count: int) -> None:
    job = nodes(count)
    job.meet()
    reports = job.fetch_all()
    job.check(content)
    assert brought(faulty) == len(content)
    assert [report.bytes for report in reports] == [len(content) + 5] * count
    pulled = [share.pulled for share in job.shares if share is not None]
    assert sum(pulled) == (count - 1) * (len(content) + 5)


def test_a_second_fetch_is_a_listing(nodes: Making, content: bytes, faulty: FaultyProxy) -> None:
    job = nodes(2)
    job.meet()
    job.fetch_all()
    faulty.seen.clear()
    pulled = [share.pulled for share in job.shares if share is not None]
    assert [report.files for report in job.fetch_all()] == [0, 0]
    assert faulty.seen
    assert all(one.method == "GET" and ("list-type", "2") in one.parameters for one in faulty.seen)
    assert [share.pulled for share in job.shares if share is not None] == pulled


def test_what_one_node_has_already_comes_to_the_others_from_the_store(
    nodes: Making, content: bytes, faulty: FaultyProxy
) -> None:
    job = nodes(2)
    job.shares = [None, None]
    job.fetch(0)
    faulty.seen.clear()
    job.meet()
    job.fetch_all()
    job.check(content)
    assert brought(faulty) == len(content)


def test_pieces_of_a_killed_fetch_are_given_to_the_others(nodes: Making, content: bytes, faulty: FaultyProxy) -> None:
    job = nodes(2)
    job.shares = [None, None]
    held = faulty.inject(slow(PIECE), key="*model.bin", times=None)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(job.fetch, 0)
        held.fired.wait(30)
        until(lambda: brought(faulty) > 0)
        time.sleep(0.5)
        job.stop.set()
        with pytest.raises(TransferStopped):
            first.result()
    faulty.clear()
    job.stop.clear()
    job.meet()
    job.fetch_all()
    job.check(content)


# --- nodes that are no help ----------------------------------------------------------------------------------------


def test_a_node_that_fetches_something_else_is_not_asked(nodes: Making, content: bytes) -> None:
    job = nodes(3)
    job.offers[1].close()
    job.offers[1] = job.offer("obs://another/thing/")
    job.members[1] = replace(job.members[1], share=job.offers[1].told)
    job.meet()
    assert job.shares[1] is None
    assert [share.nodes for share in job.shares if share is not None] == [2, 2]
    job.fetch_all()
    job.check(content)


def test_a_node_that_died_costs_its_share_and_no_more(nodes: Making, content: bytes, faulty: FaultyProxy) -> None:
    job = nodes(3)
    job.meet()
    job.offers[2].close()
    began = time.monotonic()
    job.fetch_all([0, 1])
    job.check(content, [0, 1])
    assert time.monotonic() - began < server.SILENCE, "nobody waited for it"
    assert brought(faulty) <= len(content) + (PIECES // 3 + 1) * PIECE, "of the two that are left, each brings it"


def test_a_node_that_dies_while_it_is_asked(nodes: Making, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    job = nodes(3)
    job.meet()
    asked = threading.Event()
    send = server.Server._send_file

    def die(self: server.Server, connection: socket.socket, file: int, start: int, size: int) -> None:
        if job.offers[2]._server is self:
            connection.sendall(b"half of it")
            asked.set()
            self.close()
        else:
            send(self, connection, file, start, size)

    monkeypatch.setattr(server.Server, "_send_file", die)
    job.fetch_all()
    assert asked.is_set()
    job.check(content)


def test_changed_bytes_are_noticed_and_come_from_the_store(
    nodes: Making, content: bytes, faulty: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flipped between the nodes: a fault of the network, or somebody on it."""
    job = nodes(2)
    job.meet()
    flipped = []

    def flip(self: server.Server, connection: socket.socket, file: int, start: int, size: int) -> None:
        data = bytearray(os.pread(file, size, start))
        data[len(data) // 2] ^= 1
        flipped.append(size)
        connection.sendall(data)

    monkeypatch.setattr(server.Server, "_send_file", flip)
    job.fetch_all()
    assert flipped
    job.check(content)
    assert brought(faulty) == 2 * len(content)


def test_a_node_that_never_begins_is_given_up(nodes: Making, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "LATE", 3.0)
    job = nodes(2)
    job.meet()
    job.fetch(0)
    job.check(content, [0])


def test_a_node_whose_store_hangs_is_overtaken(nodes: Making, content: bytes, faulty: FaultyProxy) -> None:
    """Its share is taken over by those who have brought theirs."""
    job = nodes(2)
    job.meet()
    share = job.shares[1]
    assert share is not None
    source = job.url
    name = hashlib.sha256(source.encode()).hexdigest()[:32]
    share._server.begin(name, _names_of(job, content))  # it has begun, and brings nothing
    job.fetch(0)
    job.check(content, [0])
    assert brought(faulty) == len(content)


# --- small objects -------------------------------------------------------------------------------------------------


def small_asked(faulty: FaultyProxy) -> list[str]:
    return [one.key for one in faulty.seen if one.method == "GET" and "small/" in one.key and not one.parameters]


def listings(faulty: FaultyProxy) -> int:
    return sum(("list-type", "2") in one.parameters and ("prefix", "small/") in one.parameters for one in faulty.seen)


@pytest.fixture
def tree(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Small objects, in groups of a few; some too large for one read, one empty, one a script."""
    monkeypatch.setattr(shared, "GROUP", 300_000)
    monkeypatch.setattr(shared, "MOST", 7)
    made = {f"small/{n:02}/f": os.urandom(n * 13_000 % 400_000) for n in range(40)}
    made["small/run.sh"] = b"#!/bin/sh\n"
    for key, content in made.items():
        bucket.put(key, content)
    return made


@pytest.fixture
def small(nodes: Making, bucket: Bucket, tree: dict[str, bytes]) -> Making:
    def make(count: int) -> Nodes:
        job = nodes(count)
        job.url = bucket.url("small/")
        for offer in job.offers:
            offer.close()
        job.offers = [job.offer() for _ in range(count)]
        job.members = [replace(info, share=offer.told) for info, offer in zip(job.members, job.offers, strict=True)]
        return job

    return make


def check_tree(job: Nodes, tree: dict[str, bytes], ranks: Iterable[int]) -> None:
    for rank in ranks:
        root = job.directory / f"node-{rank}"
        found = {f"small/{path}": content for path, content in files_below(root).items()}
        assert {key: found[key] for key in tree} == tree, f"node {rank}"
        assert os.access(root / "run.sh", os.X_OK)


@pytest.mark.parametrize("count", [2, 4])
def test_small_objects_are_listed_and_brought_once(
    small: Making, tree: dict[str, bytes], faulty: FaultyProxy, count: int
) -> None:
    job = small(count)
    job.meet()
    job.fetch_all()
    check_tree(job, tree, range(count))
    assert sorted(small_asked(faulty)) == sorted(f"{job.bucket.name}/{key}" for key in tree)
    assert listings(faulty) <= 1 + count, "one, and a look of each node at what the URL is"
    faulty.seen.clear()
    assert [report.skipped for report in job.fetch_all()] == [len(tree)] * count
    assert small_asked(faulty) == []


def test_small_objects_of_a_node_that_died(small: Making, tree: dict[str, bytes]) -> None:
    job = small(3)
    job.meet()
    job.offers[0].close()  # who would have listed, too
    job.fetch_all([1, 2])
    check_tree(job, tree, [1, 2])


def rows(text: bytes) -> bytes:
    """As a node tells them."""
    packed = zlib.compress(text)
    return len(packed).to_bytes(4, "big") + packed


@pytest.mark.parametrize(
    "given",
    [
        b"nonsense",
        zlib.compress(b"[[1]]"),
        rows(b"{}"),
        rows(b"[[1]]"),
        rows(b"[" * 100_000),
        rows(b"[" + b" " * (65 << 20) + b"]"),
        rows(b'[["c/x", 1e400, "", 0, ""]]'),
        rows(b'[["c/x", -5, "", 0, ""]]'),
        rows(b'[["c/x", 1, "", 0, ""]]')[:-4],
    ],
    ids=range(9),
)
def test_a_listing_that_makes_no_sense_is_made_anew(given: bytes) -> None:
    class Odd:
        def once(self, name: str, make: object) -> bytes:
            return given

    assert shared.listed_once(cast(Share, Odd()), "obs://b/c/", lambda: [Entry("c/x", 1)]) == [Entry("c/x", 1)]


def test_a_small_file_that_its_owner_has_changed_by_now_comes_from_the_store(
    small: Making, tree: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner's command has begun, and writes into what it got."""
    job = small(2)
    job.meet()
    offered = server.Server.offer_files

    def spoil(self: server.Server, name: str, block: str, files: Sequence[tuple[str, int, str]]) -> None:
        path, size, _ = max(files, key=lambda file: file[1])
        content = tree["small/" + "/".join(Path(path).parts[-2:])]
        Path(path).write_bytes(b"x" * size)
        spoiled.append((path, content))
        offered(self, name, block, files)

    spoiled: list[tuple[str, bytes]] = []
    monkeypatch.setattr(server.Server, "offer_files", spoil)
    job.fetch_all()
    assert spoiled
    for path, content in spoiled:
        Path(path).write_bytes(content)
    check_tree(job, tree, [0, 1])


def _names_of(job: Nodes, content: bytes) -> list[str]:
    store = job.stores().open(parse(job.url))
    (entry,) = [entry for entry in store.entries("data/") if entry.key.endswith("model.bin")]
    return [shared._name(entry, start) for start in range(0, len(content), PIECE)]


def test_a_node_that_sends_slowly_is_overtaken(nodes: Making, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    job = nodes(2)
    job.meet()
    send = server.Server._send_file

    def drip(self: server.Server, connection: socket.socket, file: int, start: int, size: int) -> None:
        if job.offers[1]._server is not self:
            send(self, connection, file, start, size)
            return
        for at in range(0, size, 4096):
            connection.sendall(os.pread(file, min(4096, size - at), start + at))
            time.sleep(0.5)

    monkeypatch.setattr(server.Server, "_send_file", drip)
    began = time.monotonic()
    job.fetch_all()
    job.check(content)
    assert time.monotonic() - began < 60, "a piece at this rate takes 128 s"


def test_of_a_node_at_a_tenth_of_the_stores_rate_pieces_are_stolen(
    nodes: Making, content: bytes, faulty: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without that it would send for as long again as ten fetches take."""
    faulty.inject(slow(8 * PIECE), key="*model.bin", times=None)
    job = nodes(2)
    job.meet()
    send = server.Server._send_file
    sent: list[int] = []

    def crawl(self: server.Server, connection: socket.socket, file: int, start: int, size: int) -> None:
        if job.offers[1]._server is not self:
            send(self, connection, file, start, size)
            return
        sent.append(size)
        step = size // 40
        for at in range(0, size, step):
            connection.sendall(os.pread(file, min(step, size - at), start + at))
            time.sleep(0.05)

    monkeypatch.setattr(server.Server, "_send_file", crawl)
    job.fetch_all()
    job.check(content)
    stolen = brought(faulty) - len(content)
    assert stolen > 0
    assert sent, "what it had under way, or was faster with, it gave"
    assert sum(sent) < len(content) // 2


# --- strangers -----------------------------------------------------------------------------------------------------


@contextmanager
def connected(job: Nodes, secret: bytes) -> Iterator[PeerClient]:
    with closing(PeerClient("127.0.0.1", int(job.offers[0].told.split()[0]), secret, 10.0)) as line:
        yield line


def test_who_does_not_know_the_secret_is_given_nothing(nodes: Making, content: bytes) -> None:
    job = nodes(2)
    job.meet()
    with connected(job, b"a stranger's") as line:
        line.say({"place": 1})
        line.say({"fetch": "x", "want": "y"})
        with pytest.raises((OSError, ValueError, Refused)):
            line.hear()


def test_strangers_hold_no_place_for_ever(nodes: Making, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SILENCE", 1.0)
    job = nodes(2)
    job.meet()
    port = int(job.offers[0].told.split()[0])
    strangers = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(40)]
    try:
        until(lambda: not job.offers[0]._server._connections)
        job.fetch_all()
        job.check(content)
    finally:
        for stranger in strangers:
            stranger.close()


def test_files_are_let_go_when_nobody_needs_them(nodes: Making, content: bytes) -> None:
    job = nodes(2)
    job.meet()
    job.fetch_all()

    def open_files() -> list[str]:
        links = [os.path.join("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
        found = [os.readlink(link) for link in links if os.path.lexists(link)]
        return [name for name in found if name.startswith(str(job.directory))]

    until(lambda: not open_files(), open_files)


def test_a_branch_that_may_move_between_two_nodes_is_not_shared(tmp_path: Path) -> None:
    class Never:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"a source without ETags was shared: {name}")

    source = tmp_path / "source"
    source.mkdir()
    (source / "a.txt").write_text("a")
    git = ["git", "-C", str(source), "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True)

    def no_keys() -> Credentials:
        raise AssertionError("a repository needs no keys")

    stores = Stores(Endpoint(""), no_keys, MemoryLog())
    where = parse(f"git+file://{source}@main")
    fetch(stores, where, tmp_path / "t", share=cast(Share, Never()), stop=threading.Event(), log=MemoryLog())
    assert [path.read_text() for path in (tmp_path / "t").rglob("a.txt")] == ["a"]
