"""Threads that serve many connections each: what one of them goes through is nothing to the others."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server, socket

import pytest

from bootstrap.storage.common.rate_limit import RateLimit
from bootstrap.storage.common.workers import TransferStopped
from bootstrap.storage.model.pipeline import Answer, Connection, Exchange
from bootstrap.storage.model.store import RetryWindow
from bootstrap.storage.s3.fast import http1
from bootstrap.storage.s3.fast.http1 import HttpConnection, Meter
from bootstrap.storage.s3.fast.pipeline import Memory, run
from tests.lab.tls import Authority
from tests.lab.waiting import until

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
Serve = Callable[[socket, int], None]
"""What a server does with one connection, of that number."""


def answer_all(connection: socket, think: float = 0.01) -> None:
    while came := connection.recv(1 << 16):
        for _ in range(came.count(b"\r\n\r\n")):
            time.sleep(think)
            connection.sendall(_ANSWER)


@contextmanager
def server(serve: Serve, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server of ours; yields its port."""
    listener = create_server(("127.0.0.1", 0), backlog=512)

    def one(connection: socket, number: int) -> None:
        try:
            with connection if tls is None else tls.wrap_socket(connection, server_side=True) as served:
                serve(served, number)
        except OSError:
            pass

    def accept() -> None:
        for number in range(10_000):
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(connection, number), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with listener:
        yield listener.getsockname()[1]


class Asking(HttpConnection):
    """A connection that asks in the plainest way."""

    def get(self, key: str, start: int = 0, end: int = 0) -> None:
        self.send(f"GET /{key} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    def put(self, key: str, size: int, sha256: str, *, upload: str = "", part: int = 0) -> None:
        raise AssertionError("nothing is sent here")


class OneAtATime(Exchange):
    def __init__(self, taken: list[str], key: str) -> None:
        super().__init__()
        self._taken, self.key = taken, key

    def send(self, connection: Connection) -> None:
        connection.get(self.key)

    def take(self, connection: Connection, answer: Answer) -> None:
        assert connection.body(answer.size) == b"hi"
        self._taken.append(self.key)


class Asker:
    """A client that knows that the store thinks, so that one thread has many connections from the beginning."""

    def __init__(self, port: int) -> None:
        self.memory = Memory(connections=16, thinks=0.05)
        self.retry_window = RetryWindow(5)
        self._port = port

    def connect(self, meter: Meter | None = None, beside: Connection | None = None) -> Asking:
        other = beside if isinstance(beside, Asking) else None
        return Asking("127.0.0.1", self._port, None, meter, other)

    def accepted(self) -> None:
        pass

    def processes(self) -> None:
        """None."""


def fetch(port: int, count: int = 60, stop: threading.Event | None = None) -> tuple[list[str], list[str]]:
    """The keys that came, and those that were left for the client of record."""
    taken: list[str] = []
    exchanges = [OneAtATime(taken, f"k{number}") for number in range(count)]
    halt = stop or threading.Event()
    left = run(Asker(port), exchanges, heavy=0, budget=RateLimit(), stop=halt, beat=lambda: None)
    return sorted(taken), sorted(each.key for each in left)


KEYS = sorted(f"k{number}" for number in range(60))


def test_a_server_that_takes_few_connections_is_asked_on_those() -> None:
    hung_up = []

    def serve(connection: socket, number: int) -> None:
        if number < 4:
            answer_all(connection)
        hung_up.append(number)

    with server(serve) as port:
        taken, left = fetch(port)
    assert (sorted(taken + left), set(taken) & set(left)) == (KEYS, set())
    assert taken
    assert len(hung_up) < 3 * len(KEYS), "it is not asked again and again"


def test_a_connection_that_drips_its_head_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "SILENCE", 1.0)
    came, dripping = threading.Event(), threading.Event()

    def serve(connection: socket, number: int) -> None:
        if number != 3:
            return answer_all(connection)
        connection.recv(1 << 16)
        for byte in _ANSWER:
            dripping.set()
            connection.sendall(bytes([byte]))
            if came.wait(0.3):
                return None
        return None

    with server(serve) as port:
        taken, left = fetch(port)
        came.set()
    assert dripping.is_set()
    assert (taken, left) == (KEYS, []), "what it did not answer was asked of another"


class Long(OneAtATime):
    """A piece of a large object."""

    weight, reads = 16, True


def test_who_reads_much_waits_no_longer_for_a_silent_store_than_who_reads_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A minute's patience is for who sends: who reads has lost nothing, and asks on another connection."""
    monkeypatch.setattr(http1, "SILENCE", 1.0)
    over = threading.Event()

    def serve(connection: socket, number: int) -> None:
        if number < 2:
            connection.recv(1 << 16)
            over.wait(http1.LONG_SILENCE)
        else:
            answer_all(connection)

    taken: list[str] = []
    exchanges = [Long(taken, f"k{number}") for number in range(8)]
    began = time.monotonic()
    with server(serve) as port:
        left = run(Asker(port), exchanges, heavy=8, budget=RateLimit(), stop=threading.Event(), beat=lambda: None)
        took = time.monotonic() - began
        over.set()
    assert (sorted(taken), list(left)) == (sorted(one.key for one in exchanges), [])
    assert took < http1.LONG_SILENCE / 2


def test_a_stop_is_seen_while_all_connections_are_waited_for() -> None:
    asked, stop = threading.Event(), threading.Event()

    def serve(connection: socket, number: int) -> None:
        connection.recv(1 << 16)
        asked.set()
        stop.wait(60)
        time.sleep(60)

    raised: list[BaseException] = []

    def ask() -> None:
        try:
            fetch(port, stop=stop)
        except TransferStopped as error:
            raised.append(error)

    with server(serve) as port:
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        assert asked.wait(60)
        stop.set()
        until(lambda: not asking.is_alive(), limit=30)
    assert raised


def test_a_tls_session_is_taken_up_by_the_connections_that_follow(tmp_path: Path) -> None:
    import trustme

    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority._ca.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA).configure_cert(context)
    trusting = ssl.create_default_context(cafile=str(authority.bundle))
    with server(lambda connection, _: answer_all(connection), context) as port:
        first = Asking("127.0.0.1", port, trusting)
        first.get("k")
        assert first.body(first.answer().size) == b"hi"
        second = Asking("127.0.0.1", port, trusting, beside=first, session=first.session)
        until(second.opened, limit=30)
        second.get("k")
        assert second.body(second.answer().size) == b"hi"
        assert second._socket.session_reused  # type: ignore[attr-defined]
        first.close()
        second.close()
