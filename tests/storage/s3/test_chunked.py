"""Bodies in chunks, as some stores send listings: read over the fast path, or left to boto3 if anything is odd."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bootstrap.errors import StoreUnavailable
from bootstrap.storage.model.pipeline import NeedsFallback
from bootstrap.storage.s3.bucket import BucketStore
from bootstrap.storage.s3.fast.http1 import HttpConnection
from tests.lab.stores import Store
from tests.storage.conftest import Mover, stores_of, tree_of

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
NEXT = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext"


@contextmanager
def answering(*pieces: bytes) -> Iterator[HttpConnection]:
    """A connection on which these pieces come, one packet each."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                client.sendall(piece)

    thread = threading.Thread(target=serve)
    thread.start()
    connection = HttpConnection("127.0.0.1", listener.getsockname()[1], None)
    try:
        yield connection
    finally:
        connection.close()
        thread.join()
        listener.close()


def body_of(connection: HttpConnection) -> bytes:
    answer = connection.answer()
    return connection.body(answer.size)


def test_chunks_are_put_together_wherever_packets_begin_and_what_follows_is_the_next_answer() -> None:
    large = b"x" * 700_000  # more than the buffer holds
    chunks = b"3\r\nabc\r\n1;name=value\r\nd\r\n" + b"%X\r\n%b\r\n" % (len(large), large) + b"0\r\nLate: header\r\n\r\n"
    stream = HEAD + chunks + NEXT
    for cut in (*range(1, len(HEAD) + 30), len(stream) - len(NEXT) - 5, len(stream) - len(NEXT)):
        with answering(stream[:cut], stream[cut:]) as connection:
            assert body_of(connection) == b"abcd" + large
            assert body_of(connection) == b"next"


def test_an_empty_body_in_chunks_is_empty() -> None:
    with answering(HEAD, b"0\r\n\r\n", NEXT) as connection:
        assert body_of(connection) == b""
        assert body_of(connection) == b"next"


@pytest.mark.parametrize(
    "body",
    [b"xyz\r\nabc\r\n", b"\r\n", b"-3\r\nabc\r\n", b"2\r\nabc\r\n0\r\n\r\n"],
    ids=["no number", "nothing", "negative", "longer"],
)
def test_chunks_that_are_not_what_they_say_are_unusual(body: bytes) -> None:
    with answering(HEAD, body) as connection, pytest.raises(NeedsFallback):
        body_of(connection)


def test_a_chunk_without_end_is_refused_before_it_is_read() -> None:
    with answering(HEAD, b"7fffffff\r\nabc") as connection, pytest.raises(StoreUnavailable, match="no end"):
        body_of(connection)


def test_chunks_that_break_off_are_a_broken_connection() -> None:
    with answering(HEAD, b"3\r\nabc\r\n") as connection, pytest.raises(OSError, match="ended"):
        body_of(connection)


def test_a_store_that_lists_in_chunks_is_read_over_the_fast_path(
    rclone: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(self: BucketStore) -> None:
        raise AssertionError("boto3 was asked")

    monkeypatch.setattr(BucketStore, "boto", property(forbidden))
    bucket = rclone.make_bucket()
    # More than rclone's server sends without chunks.
    files = {f"{'long-' * 20}{number}": b"%d" % number for number in range(300)}
    bucket.put_tree("c/", files)
    Mover(stores_of(rclone)).fetch(bucket.url("c/"), tmp_path)
    assert tree_of(tmp_path / "c") == files
