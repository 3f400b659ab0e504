"""An object store as slow as a real one, in a way of your choice: to measure how clients use their connections.

    python benchmarks/shaped_server.py '{"think": 0.02}' '{"small": [600, 7500]}'      prints the port it listens on

One process, one loop, nothing stored: objects are slices of one block of random bytes, and what is written is counted
and forgotten. The trees are numbers of objects and their size in bytes. The requests of one connection are answered one
after the other, as stores do. A request costs some 50 us: a server that takes more than its clients tells nothing of
them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import re
import socket
import ssl
import sys
import urllib.parse
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

_BLOCK = 1 << 20
_PIECE = 256 << 10
_RECEIVED = 256 << 10  # bytes that the kernel takes for us: more would let an upload run ahead of a limit
_MODIFIED = b"Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nx-amz-request-id: shaped\r\n"
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_RANGE = re.compile(rb"(?i)\r\nrange: *bytes=(\d+)-(\d*)")
_SLACK = 0.002  # seconds that a limit may be ahead: a timer for each piece would be late by as much


@dataclass
class Shape:
    """Seconds and bytes a second; 0: no limit."""

    think: float = 0.0
    """What the server takes before each answer."""
    link: float = 0.0
    """What each request is late, whatever was sent ahead; a connection's first one twice, for the handshake."""
    per_request: float = 0.0
    per_connection: float = 0.0
    in_all: float = 0.0
    crowd: int = 0
    """Requests at once beyond which thinking takes longer than in proportion; 0: never."""
    certificate: str = ""
    """A PEM file with certificate and key, for TLS."""


class Limit:
    """So many bytes a second, for all who share it."""

    def __init__(self, rate: float) -> None:
        self._rate, self._free_at = rate, 0.0

    def spend(self, size: int, now: float) -> float:
        """When so many more are in the limit; the past if they are now."""
        if not self._rate:
            return 0.0
        self._free_at = max(now, self._free_at) + size / self._rate
        return self._free_at


@dataclass(slots=True)
class Request:
    method: str
    target: str
    range: tuple[int, int] | None
    size: int
    """Bytes of its body."""
    at: float = 0.0
    """When it was there, on the loop's clock."""


class Connection(asyncio.Protocol):
    """Reads requests as they come, and answers one after the other."""

    def __init__(self, server: Server) -> None:
        self._server, self._shape = server, server.shape
        self._loop = asyncio.get_running_loop()
        self._limit = Limit(self._shape.per_connection)
        self._came = bytearray()
        self._waiting: deque[Request] = deque()
        self._coming: Request | None = None  # its body is on its way
        self._left = 0
        self._own = Limit(0)
        self._answering = self._gone = False
        self._first = True
        self._writable: Callable[[], None] | None = None  # goes on when there is room again
        self._full = False

    # --- what the loop says ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self._writable is not None:
            go_on, self._writable = self._writable, None
            go_on()

    def data_received(self, data: bytes) -> None:
        if self._coming is not None:
            data = self._body(data)
        while data or self._came:
            self._came += data
            data = b""
            end = self._came.find(b"\r\n\r\n")
            if end < 0:
                return
            head, rest = bytes(self._came[: end + 2]), bytes(self._came[end + 4 :])
            self._came.clear()
            self._head(head)
            data = self._body(rest) if self._coming is not None else rest

    # --- requests ---

    def _head(self, head: bytes) -> None:
        method, target, _ = head.partition(b"\r\n")[0].decode().split(" ")
        length, wanted = _LENGTH.search(head), _RANGE.search(head)
        start_end = (int(wanted[1]), int(wanted[2] or -1)) if wanted else None
        request = Request(method, target, start_end, int(length[1]) if length else 0)
        if b"100-continue" in head:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if request.size:
            self._coming, self._left, self._own = request, request.size, Limit(self._shape.per_request)
        else:
            self._is_there(request)

    def _body(self, data: bytes) -> bytes:
        """Take what is of the body; returns what is behind it."""
        assert self._coming is not None
        mine = min(len(data), self._left)
        now = self._loop.time()
        until = max(limit.spend(mine, now) for limit in (self._own, self._limit, self._server.all))
        self._left -= mine
        if until > now + _SLACK:
            self._transport.pause_reading()
            self._loop.call_at(until, self._go_on_reading)
        if not self._left:
            request, self._coming = self._coming, None
            self._loop.call_at(until, self._is_there, request) if until > now + _SLACK else self._is_there(request)
        return data[mine:]

    def _go_on_reading(self) -> None:
        if not self._gone:
            self._transport.resume_reading()

    def _is_there(self, request: Request) -> None:
        request.at = self._loop.time() + self._shape.link * (2 if self._first else 1)
        self._first = False
        self._waiting.append(request)
        if not self._answering:
            self._next()

    # --- answers ---

    def _next(self) -> None:
        """Begin with the first that waits: it is there when the link has brought it, and then it is thought about."""
        self._answering = bool(self._waiting) and not self._gone
        if not self._answering:
            return
        late = self._waiting[0].at - self._loop.time()
        if late > 0:
            self._loop.call_later(late, self._think)
        else:
            self._think()

    def _think(self) -> None:
        shape, server = self._shape, self._server
        server.thinking += 1
        crowded = max(1.0, server.thinking / shape.crowd) ** 2 if shape.crowd else 1.0
        self._loop.call_later(shape.think * crowded, self._answer)

    def _answer(self) -> None:
        self._server.thinking -= 1
        if self._gone:
            return
        request = self._waiting.popleft()
        head, start, end = self._server.answer(request)
        own = Limit(self._shape.per_request)
        if end - start <= _PIECE and not (self._shape.per_request or self._shape.per_connection or self._shape.in_all):
            self._transport.write(head + self._server.slice(start, end))
            self._next()
        else:
            self._transport.write(head)
            self._send(own, start, end)

    def _send(self, own: Limit, start: int, end: int) -> None:
        """The rest of an answer, as fast as the limits and the client allow."""
        now = self._loop.time()
        while start < end and not self._gone:
            piece = self._server.slice(start, min(end, start + _PIECE))
            until = max(limit.spend(len(piece), now) for limit in (own, self._limit, self._server.all))
            start += len(piece)
            self._transport.write(piece)
            if until > now + _SLACK:
                self._loop.call_at(until, self._send, own, start, end)
                return
            if self._full:
                self._writable = partial(self._send, own, start, end)
                return
        self._next()


class Server:
    def __init__(self, shape: Shape, trees: dict[str, tuple[int, int]]) -> None:
        self.shape = shape
        self.all = Limit(shape.in_all)
        self.thinking = 0
        self._block = memoryview(random.Random(7).randbytes(_BLOCK))
        self._sizes = {f"{tree}/f{n:06d}": size for tree, (count, size) in trees.items() for n in range(count)}
        self._keys = sorted(self._sizes)
        self._etags: dict[int, str] = {}
        self._written: dict[str, int] = {}
        self._parts: dict[str, int] = {}  # bytes of an upload

    def slice(self, start: int, end: int) -> memoryview:
        at = start % _BLOCK
        return self._block[at : at + end - start]

    def answer(self, request: Request) -> tuple[bytes, int, int]:
        """The head, with all of a body that is no object's, and which bytes of an object come behind it."""
        path, _, search = request.target.partition("?")
        key = urllib.parse.unquote(path).lstrip("/").partition("/")[2]
        query = urllib.parse.parse_qs(search, keep_blank_values=True)
        if request.method == "GET" and not key:
            return self._page(query), 0, 0
        if request.method in ("PUT", "POST"):
            return self._write(key, request, query), 0, 0
        if request.method == "DELETE":
            return b"HTTP/1.1 204 No Content\r\n\r\n", 0, 0
        size = self._sizes.get(key, -1)
        if key in self._written:
            size, etag = self._written[key], self._made_up(self._written[key])
        elif size >= 0:
            etag = self._etag(size)
        else:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nx-amz-request-id: shaped\r\n\r\n", 0, 0
        start, end, status, more = 0, size, b"200 OK", b""
        if request.range is not None:
            start = request.range[0]
            end = min(size, request.range[1] + 1) if request.range[1] >= 0 else size
            status, more = b"206 Partial Content", b"Content-Range: bytes %d-%d/%d\r\n" % (start, end - 1, size)
        more += b'ETag: "%s"\r\nAccept-Ranges: bytes\r\n' % etag.encode()
        head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s%s\r\n" % (status, end - start, _MODIFIED, more)
        return (head, 0, 0) if request.method == "HEAD" else (head, start, end)

    def _write(self, key: str, request: Request, query: dict[str, list[str]]) -> bytes:
        """Nothing of a body is digested, so no ETag is an MD5: as where a store encrypts with keys of its own."""
        if "uploads" in query:
            upload = f"upload-{len(self._parts)}"
            self._parts[upload] = 0
            return _xml(f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>")
        if "uploadId" in query:
            upload = query["uploadId"][0]
            if request.method == "PUT":
                self._parts[upload] += request.size
                return _wrote(self._made_up(request.size))
            self._written[key] = size = self._parts.pop(upload)
            made = f"<Key>{key}</Key><ETag>&quot;{self._made_up(size)}&quot;</ETag>"
            return _xml(f"<CompleteMultipartUploadResult>{made}</CompleteMultipartUploadResult>")
        self._written[key] = request.size
        return _wrote(self._made_up(request.size))

    @staticmethod
    def _made_up(size: int) -> str:
        return f"{size:x}-1"

    def _etag(self, size: int) -> str:
        """The MD5 of small objects, and of large ones what an upload in parts leaves."""
        if size not in self._etags:
            md5 = hashlib.md5(self._block[:size]).hexdigest()
            self._etags[size] = md5 if size <= _BLOCK else f"{md5}-{-(-size // (8 << 20))}"
        return self._etags[size]

    def _page(self, query: dict[str, list[str]]) -> bytes:
        prefix, after = query.get("prefix", [""])[0], query.get("continuation-token", [""])[0]
        most = int(query.get("max-keys", ["1000"])[0])
        keys = [key for key in self._keys if key.startswith(prefix) and key > after]
        token = f"<NextContinuationToken>{keys[most - 1]}</NextContinuationToken>" if len(keys) > most else ""
        contents = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;{self._etag(self._sizes[key])}&quot;</ETag><Size>{self._sizes[key]}</Size></Contents>"
            for key in keys[:most]
        )
        text = f"<IsTruncated>{'true' if token else 'false'}</IsTruncated>{token}{contents}"
        return _xml(f"<ListBucketResult>{text}</ListBucketResult>")


def _xml(text: str) -> bytes:
    body = f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n%s\r\n"
    return head % (len(body), _MODIFIED) + body


def _wrote(etag: str) -> bytes:
    return b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: "%s"\r\n%s\r\n' % (etag.encode(), _MODIFIED)


async def serve(server: Server) -> None:
    tls = None
    if server.shape.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(server.shape.certificate)
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVED)
    own.bind(("127.0.0.1", 0))
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Connection(server), sock=own, ssl=tls, backlog=1024)
    print(own.getsockname()[1], flush=True)
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Server(Shape(**json.loads(sys.argv[1])), json.loads(sys.argv[2]))))
