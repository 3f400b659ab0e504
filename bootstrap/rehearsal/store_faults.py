"""A store that fails on demand: a proxy in front of the one that the job has, for as long as a rehearsal lasts.

It passes requests on as they are, with the Host that was signed, so that it needs no keys. For stores that take the
bucket in the path.
"""

from __future__ import annotations

import http.client
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from ..values import dataclass

KINDS = {
    "down": "takes no connection",
    "slow": "takes and gives 100 kB a second on each connection",
    "503": "answers every second request with 503 SlowDown",
    "reset": "resets the connection in the middle of every second request",
    "corrupt": "gives one wrong bit in every object that is read",
    "expired": "says that the keys have ended",
    "full": "takes nothing more, since the bucket is at its limit",
}
_RATE = 100_000
_CHUNK = 16 << 10
_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER of no time: close() sends RST
_OBJECT = re.compile(r"/[^/?]+/[^?]+(?:\?x-id=GetObject)?")
"""Where the object of a bucket in the path is read; else it is listed, or parts of an upload are."""

_ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{}</Code><Message>rehearsed</Message></Error>'


@dataclass(frozen=True, slots=True)
class StoreFault:
    """One of :data:`KINDS`, from ``start`` seconds after the beginning on, for ``seconds``."""

    kind: str
    start: float
    seconds: float


@contextmanager
def failing_store(endpoint: str, faults: Sequence[StoreFault], seed: int) -> Iterator[str]:
    """The endpoint to use in the place of ``endpoint``. The clock of the faults begins now."""
    server = _Server(endpoint if "//" in endpoint else f"http://{endpoint}", faults, seed)
    threading.Thread(target=server.serve_forever, name="failing-store", daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, endpoint: str, faults: Sequence[StoreFault], seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.store = urlsplit(endpoint)
        self._seed, self._asked, self._counting = seed, Counter[str](), threading.Lock()
        self._faults, self._began = faults, time.monotonic()

    def fault(self) -> str:
        """What is wrong now, "" if nothing is."""
        now = time.monotonic() - self._began
        return next((one.kind for one in self._faults if one.start <= now < one.start + one.seconds), "")

    def chance(self, request: str) -> random.Random:
        """What meets the n-th request of this kind, whatever others are asked between: connections are not in step."""
        with self._counting:
            self._asked[request] += 1
            return random.Random(f"{self._seed} {request} {self._asked[request]}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:  # whichever side has gone
            self.close_connection = True

    def _serve(self) -> None:
        kind = self.server.fault()
        chance = self.server.chance(f"{self.command} {self.path.partition('?')[0]}")
        half = chance.random() < 0.5
        size = int(self.headers.get("Content-Length") or 0)
        if kind == "down" or (kind == "reset" and half):
            self.rfile.read(size // 2)
            self._reset()
            return
        body = self._read(size, slow=kind == "slow")
        if kind == "expired":
            self._answer(400, "ExpiredToken")
        elif kind == "full" and self.command in ("PUT", "POST"):
            self._answer(403, "InsufficientStorageSpace")
        elif kind == "503" and half:
            self._answer(503, "SlowDown")
        else:
            self._pass_on(body, kind, chance)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve

    def _read(self, size: int, *, slow: bool) -> bytes:
        body = bytearray()
        while len(body) < size:
            piece = self.rfile.read(min(_CHUNK, size - len(body)))
            if not piece:
                raise ConnectionResetError
            body += piece
            if slow:
                time.sleep(len(piece) / _RATE)
        return bytes(body)

    def _pass_on(self, body: bytes, kind: str, chance: random.Random) -> None:
        https = self.server.store.scheme == "https"
        connect = http.client.HTTPSConnection if https else http.client.HTTPConnection
        connection = connect(self.server.store.netloc, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "expect"):
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if kind == "corrupt" and data and self.command == "GET" and _OBJECT.fullmatch(self.path):
            at = chance.randrange(len(data))
            data = data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        for at in range(0, len(data), _CHUNK):
            self.wfile.write(data[at : at + _CHUNK])
            if kind == "slow":
                time.sleep(len(data[at : at + _CHUNK]) / _RATE)

    def _answer(self, status: int, code: str) -> None:
        text = _ERROR.format(code).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        self.connection.close()

    def log_message(self, format: str, *words: object) -> None:
        """The nodes tell what they see of it."""
