"""Connections that are reset at any byte, of the requests and of the answers, heads and bodies alike."""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bootstrap.storage.schemes import parse
from bootstrap.storage.upload.multipart import LARGE
from tests.lab.stores import Bucket, Store
from tests.storage.conftest import Mover, make_tree, stores_of, tree_of


class Cutter:
    """A wire to a store on which each of the first connections is reset after a number of bytes of its own."""

    def __init__(self, target: str, cuts: list[int], upwards: bool) -> None:
        host, _, port = target.removeprefix("http://").partition(":")
        self._target = (host, int(port))
        self._cuts = iter(cuts)
        self._upwards = upwards
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.resets = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                cut = next(self._cuts, -1)
            server = socket.create_connection(self._target, 30)
            for source, sink, allowed in (
                (client, server, cut if self._upwards else -1),
                (server, client, -1 if self._upwards else cut),
            ):
                arguments = (source, sink, allowed, (client, server))
                threading.Thread(target=self._pass_on, args=arguments, daemon=True).start()

    def _pass_on(
        self, source: socket.socket, sink: socket.socket, allowed: int, both: tuple[socket.socket, socket.socket]
    ) -> None:
        try:
            while piece := source.recv(65536):
                if 0 <= allowed < len(piece):
                    sink.sendall(piece[:allowed])
                    with self._lock:
                        self.resets += 1
                    break
                allowed -= len(piece) if allowed >= 0 else 0
                sink.sendall(piece)
        except OSError:
            pass  # the other direction has ended it
        for end in both:
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
                end.close()
            except OSError:
                pass


@contextmanager
def cutting(target: str, cuts: list[int], *, upwards: bool) -> Iterator[Cutter]:
    cutter = Cutter(target, cuts, upwards)
    try:
        yield cutter
    finally:
        cutter.close()


def some_cuts(dice: random.Random, head: int) -> list[int]:
    """Every third connection holds, so that what is done one after the other gets on."""
    return [-1 if number % 3 == 2 else dice.randrange(dice.choice([head, 2000, 12_000])) for number in range(30)]


FILES = {f"d/{number}": random.Random(number).randbytes(number * 7) for number in range(60)}


def mover_through(cutter: Cutter, bucket: Bucket, way: str) -> Mover:
    mover = Mover(stores_of(bucket.store, url=cutter.endpoint))
    store = mover.stores.open(parse(bucket.url()))
    if way == "boto3":
        store.pipeline = None  # type: ignore[misc]
    return mover


@pytest.mark.parametrize("way", ["fast path", "boto3"])
@pytest.mark.parametrize("seed", range(3))
def test_answers_cut_at_any_byte_lose_nothing(way: str, seed: int, seaweedfs: Store, tmp_path: Path) -> None:
    bucket = seaweedfs.make_bucket()
    Mover(stores_of(seaweedfs)).deliver(make_tree(tmp_path / "up", FILES), bucket.url("o/"))
    dice = random.Random(seed)
    cuts = some_cuts(dice, 400)
    with cutting(seaweedfs.endpoint, cuts, upwards=False) as cutter:
        mover_through(cutter, bucket, way).fetch(bucket.url("o/"), tmp_path / "down", direct=True)
        assert cutter.resets >= 2
    assert tree_of(tmp_path / "down") == FILES


@pytest.mark.parametrize("way", ["fast path", "boto3"])
@pytest.mark.parametrize("seed", range(3))
def test_requests_cut_at_any_byte_lose_nothing(way: str, seed: int, seaweedfs: Store, tmp_path: Path) -> None:
    bucket = seaweedfs.make_bucket()
    make_tree(tmp_path, FILES)
    dice = random.Random(seed)
    cuts = some_cuts(dice, 600)
    with cutting(seaweedfs.endpoint, cuts, upwards=True) as cutter:
        report = mover_through(cutter, bucket, way).deliver(tmp_path, bucket.url("o/"))
        assert cutter.resets >= 2
    assert report.failed == ()
    assert bucket.tree("o/") == FILES


def test_large_uploads_cut_at_any_byte_lose_nothing(seaweedfs: Store, tmp_path: Path) -> None:
    bucket = seaweedfs.make_bucket()
    dice = random.Random(5)
    (tmp_path / "big").write_bytes(dice.randbytes(1 << 20) * (LARGE >> 20) + b"end")
    cuts = [dice.randrange(dice.choice([500, 100_000, 40 << 20])) for _ in range(12)]
    with cutting(seaweedfs.endpoint, cuts, upwards=True) as cutter:
        report = mover_through(cutter, bucket, "fast path").deliver(tmp_path, bucket.url("o/"))
        assert cutter.resets >= 3
    assert report.failed == ()
    assert bucket.get("o/big") == (tmp_path / "big").read_bytes()
    assert "Uploads" not in bucket.client.list_multipart_uploads(Bucket=bucket.name)
