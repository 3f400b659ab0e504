"""What the laboratory's proxies share: a threaded HTTP/1.1 server that streams bodies to a store and back."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NoReturn
from urllib.parse import parse_qsl, unquote, urlsplit

CHUNK = 64 * 1024
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "expect", "proxy-connection"}
EMPTY_ANSWERS = {204, 304}
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER of no time: close() sends RST


@dataclass
class Request:
    """One request as it came: ``path`` is still percent-encoded, ``headers`` know no case."""

    method: str
    path: str
    query: str
    headers: Message

    @property
    def host(self) -> str:
        """The name the client spoke to, without the port."""
        return (self.headers.get("Host") or "").rsplit(":", 1)[0].lower()

    @property
    def target(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def parameters(self) -> list[tuple[str, str]]:
        return parse_qsl(self.query, keep_blank_values=True)

    @property
    def key(self) -> str:
        """Everything behind the first slash, decoded: the key for virtual hosts, ``bucket/key`` for paths."""
        return unquote(self.path[1:])


class Answered(Exception):
    """The request has its answer already; nothing else may be sent for it."""


class Handler(BaseHTTPRequestHandler):
    """One connection of a client, with its own kept-alive connection to the store behind."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server
    upstream: http.client.HTTPConnection | None = None
    expects_100 = False
    body: Iterator[bytes]  # of the request, as it comes, chunked transfer undone

    def handle_any(self) -> None:
        # http.server folds leading slashes out of self.path; a key may begin with one, so read the line itself.
        target = self.requestline.split(" ")[1]
        path, _, query = target.partition("?")
        if "://" in path:
            path = urlsplit(target).path
        request = Request(self.command, path, query, self.headers)
        self.body = self._body()
        with contextlib.suppress(Answered):
            self.server.proxy.serve(self, request)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_OPTIONS = handle_any

    def handle_expect_100(self) -> bool:
        self.expects_100 = True  # the permission is given when the body is really read, not before the checks
        return True

    def log_message(self, format: str, *args: object) -> None:
        """Silent: the tests read ``proxy.seen`` instead."""

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        if self.upstream:
            self.upstream.close()

    # --- the client's side

    def _body(self) -> Iterator[bytes]:
        if self.expects_100:
            self.expects_100 = False
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if (self.headers.get("Transfer-Encoding") or "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield from self._exactly(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass  # trailers
        else:
            yield from self._exactly(int(self.headers.get("Content-Length") or 0))

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            piece = self.rfile.read1(min(size, CHUNK))
            if not piece:
                raise ConnectionError("the client went away within the body")
            size -= len(piece)
            yield piece

    def answer(self, status: int, headers: Iterable[tuple[str, str]], body: bytes = b"") -> None:
        """A complete answer of our own. What is left of the request's body is read first, or a reset would follow."""
        if self.expects_100:
            self.close_connection = True  # never permitted, so it may or may not come
        else:
            for _ in self.body:
                pass
        lines = [*headers, ("Content-Length", str(len(body)))]
        self.send_head(status, lines, b"" if self.command == "HEAD" else body)

    def send_head(self, status: int, headers: Iterable[tuple[str, str]], first: bytes = b"") -> None:
        reason = http.client.responses.get(status, "")
        lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
        if self.close_connection:
            lines.append("Connection: close")
        self.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1") + first)

    def reset(self) -> NoReturn:
        """Ends the connection with RST, as a firewall or a crashed balancer does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        self.hang_up()

    def hang_up(self) -> NoReturn:
        self.close_connection = True
        # Not only close(): rfile and wfile hold the descriptor too, and only the last one would really end it.
        raw = self.connection
        with contextlib.suppress(OSError):
            self.wfile.flush()
        self.rfile.close()
        raw.close()
        self.skip()

    def skip(self) -> NoReturn:
        """The request is done with; nothing is passed on or answered any more."""
        raise Answered

    # --- the store's side

    def forward(
        self, method: str, target: str, headers: Iterable[tuple[str, str]], body: Iterable[bytes] | None
    ) -> http.client.HTTPResponse:
        """Sends the request to the store; the caller reads the answer to its end."""
        host, port = self.server.proxy.behind
        for attempt in (1, 2):
            fresh = self.upstream is None
            if self.upstream is None:
                self.upstream = http.client.HTTPConnection(host, port, timeout=120)
            try:
                self.upstream.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
                for name, value in headers:
                    self.upstream.putheader(name, value)
                self.upstream.endheaders()
                for piece in body or ():
                    self.upstream.send(piece)
                return self.upstream.getresponse()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                # The store closed an idle connection; without a body the request can simply be said again.
                self.drop_upstream()
                if fresh or body is not None or attempt == 2:
                    raise
        raise AssertionError("unreachable")

    def drop_upstream(self) -> None:
        """Ends our connection to the store; with RST, since SeaweedFS stores a body that ends early with FIN."""
        if self.upstream:
            if self.upstream.sock:
                self.upstream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            self.upstream.close()
            self.upstream = None

    def relay(
        self,
        response: http.client.HTTPResponse,
        headers: Iterable[tuple[str, str]] = (),
        transform: Callable[[Iterator[bytes]], Iterator[bytes]] = iter,
    ) -> None:
        """The store's answer to the client, streamed; ``headers`` replace those of the same name."""
        ours = {name.lower() for name, _ in headers} | HOP_BY_HOP
        lines = [(name, value) for name, value in response.getheaders() if name.lower() not in ours] + [*headers]
        bodiless = self.command == "HEAD" or response.status in EMPTY_ANSWERS
        chunked = not bodiless and response.length is None
        if chunked:
            lines.append(("Transfer-Encoding", "chunked"))
        pieces = transform(iter(lambda: response.read1(CHUNK), b"") if not bodiless else iter(()))
        self.send_head(response.status, lines, self._frame(next(pieces, b""), chunked))
        for piece in pieces:
            self.wfile.write(self._frame(piece, chunked))
        if chunked:
            self.wfile.write(b"0\r\n\r\n")
        response.read()
        if response.will_close:
            self.drop_upstream()

    @staticmethod
    def _frame(piece: bytes, chunked: bool) -> bytes:
        return b"%x\r\n%s\r\n" % (len(piece), piece) if chunked and piece else piece


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    proxy: Proxy

    def __init__(self, proxy: Proxy, tls: ssl.SSLContext | None) -> None:
        self.proxy = proxy
        self.tls = tls
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.tls:
            request = self.tls.wrap_socket(request, server_side=True)  # in the connection's thread: it may block
        self.connections.add(request)
        try:
            super().finish_request(request, client_address)
        finally:
            self.connections.discard(request)
            with contextlib.suppress(OSError):
                request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        problem = sys.exc_info()[1]
        if not isinstance(problem, (OSError, http.client.HTTPException, ValueError)):
            super().handle_error(request, client_address)


class Proxy:
    """A proxy for the length of a ``with`` block. ``serve`` decides over each request, in its connection's thread."""

    def __init__(self, endpoint: str, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(endpoint)
        assert parts.hostname and parts.port, f"the store behind a proxy needs host and port: {endpoint}"
        self.behind = (parts.hostname, parts.port)
        self.scheme = "https" if tls else "http"
        self._server = Server(self, tls)
        self.port: int = self._server.server_address[1]

    def serve(self, handler: Handler, request: Request) -> None:
        raise NotImplementedError

    def __enter__(self) -> Any:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._server.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
