"""An object store with as many small objects as you like, all of them from a rule: nothing is stored.

    python benchmarks/many_server.py 1000000 [THINK]      prints the port it listens on

The keys are ``t/d00000/f0000000`` and so on, a thousand a directory. An object's bytes are its number, its ETag is
their MD5. A listing's page has a thousand keys, and may begin after any key; what is written is digested and forgotten.
``THINK`` is for how many seconds the server thinks before each answer, on each connection one after the other.
``GET /requests`` tells how many requests of which kind there were.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sys
import urllib.parse
from bisect import bisect_left, bisect_right
from collections import Counter, deque

A_DIRECTORY = 1000
_PAGE = 1000
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


def key(number: int) -> str:
    return f"t/d{number // A_DIRECTORY:05d}/f{number:07d}"


def content(number: int) -> bytes:
    return b"%032d" % number


class Store:
    def __init__(self, count: int) -> None:
        self._numbers = range(count)
        self.requests: Counter[str] = Counter()

    def answer(self, method: str, target: str, body: bytes) -> bytes:
        """A request's whole answer."""
        path, _, query = target.partition("?")
        name = path.split("/", 2)[2] if path.count("/") > 1 else ""
        if path == "/requests":
            return _whole(json.dumps(self.requests).encode())
        kind = "LIST" if method == "GET" and not name else method
        self.requests[kind] += 1
        if kind == "LIST":
            return _whole(self._page(dict(urllib.parse.parse_qsl(query))))
        if method == "PUT":
            return _whole(b"", hashlib.md5(body).hexdigest())
        number = int(name[-7:]) if name[-7:].isdigit() else -1
        if number not in self._numbers or name != key(number):
            return b"HTTP/1.1 404 Not Found\r\nx-amz-request-id: many\r\nContent-Length: 0\r\n\r\n"
        data = content(number)
        return _whole(data, hashlib.md5(data).hexdigest(), head=method == "HEAD")

    def _page(self, query: dict[str, str]) -> bytes:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after = query.get("continuation-token") or query.get("start-after", "")
        end = bisect_left(self._numbers, prefix + "\U0010ffff", key=key)
        at = max(bisect_left(self._numbers, prefix, key=key), bisect_right(self._numbers, after, key=key))
        if after.endswith("/") and delimiter:  # a page that ended with a directory goes on behind it
            at = max(at, bisect_left(self._numbers, after[:-1] + "0", key=key))
        found: list[str] = []
        last = after
        while at < end and len(found) < int(query.get("max-keys", _PAGE)):
            last = key(at)
            below, slash, _ = last[len(prefix) :].partition("/") if delimiter else ("", "", "")
            if slash:
                last = f"{prefix}{below}/"
                found.append(f"<CommonPrefixes><Prefix>{last}</Prefix></CommonPrefixes>")
                at = bisect_left(self._numbers, last[:-1] + "0", key=key)
                continue
            data = content(at)
            found.append(
                f"<Contents><Key>{last}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                f"<ETag>&quot;{hashlib.md5(data).hexdigest()}&quot;</ETag><Size>{len(data)}</Size></Contents>"
            )
            at += 1
        token = f"<NextContinuationToken>{last}</NextContinuationToken>" if at < end else ""
        text = f"<IsTruncated>{'true' if token else 'false'}</IsTruncated>{token}{''.join(found)}"
        return f'<?xml version="1.0"?><ListBucketResult>{text}</ListBucketResult>'.encode()


def _whole(body: bytes, etag: str = "", *, head: bool = False) -> bytes:
    tag = f'ETag: "{etag}"\r\n' if etag else ""
    fields = f"Content-Length: {len(body)}\r\n{tag}Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
    return f"HTTP/1.1 200 OK\r\nx-amz-request-id: many\r\n{fields}\r\n".encode() + (b"" if head else body)


class Connection(asyncio.Protocol):
    """The requests of one connection are answered one after the other, as stores do."""

    def __init__(self, store: Store, think: float) -> None:
        self._store, self._think = store, think
        self._came = bytearray()
        self._answers: deque[bytes] = deque()
        self._thinking = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._came += data
        while (end := self._came.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._came[: end + 2])
            length = _LENGTH.search(head)
            until = end + 4 + (int(length[1]) if length else 0)
            if len(self._came) < until:
                return
            method, target, _ = head.partition(b"\r\n")[0].decode().split(" ")
            self._answers.append(self._store.answer(method, target, bytes(self._came[end + 4 : until])))
            del self._came[:until]
        if self._think and not self._thinking:
            self._later()
        elif not self._think:
            self._transport.write(b"".join(self._answers))
            self._answers.clear()

    def _later(self) -> None:
        self._thinking = bool(self._answers)
        if self._thinking:
            asyncio.get_running_loop().call_later(self._think, self._say)

    def _say(self) -> None:
        self._transport.write(self._answers.popleft())
        self._later()


async def serve(store: Store, think: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(store, think), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Store(int(sys.argv[1])), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0))
