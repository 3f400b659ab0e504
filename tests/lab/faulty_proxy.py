"""A network that fails on demand: a proxy that passes requests on untouched until a test injects a fault.

    fault = faulty.inject(faulty_proxy.truncated(after=1000), method="GET", key="*/big.bin", times=2)
    ...
    assert fault.hits == 2

It forwards the Host header as it is, so signatures stay right, and it stands in front of a real store or of the strict
proxy. Faults can be injected and taken back while a client is at work.
"""

from __future__ import annotations

import fnmatch
import http.client
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.lab.proxy import CHUNK, HOP_BY_HOP, Handler, Proxy, Request

Response = http.client.HTTPResponse
Pieces = Iterator[bytes]


@dataclass(frozen=True)
class Fault:
    """What goes wrong. Each hook is optional: before anything is passed on, within the body sent, within the answer."""

    name: str
    first: Callable[[Handler], object] | None = None
    sent: Callable[[Handler, Pieces], Pieces] | None = None
    answered: Callable[[Handler, Response], object] | None = None
    received: Callable[[Handler, Pieces], Pieces] | None = None


@dataclass
class Injection:
    """A fault at work: for which requests, how often still, how often so far. ``fired`` is set at the first hit."""

    fault: Fault
    method: str = "*"
    key: str = "*"
    query: str = "*"
    times: int | None = 1
    hits: int = 0
    fired: threading.Event = field(default_factory=threading.Event)

    def takes(self, request: Request) -> bool:
        wanted = (
            fnmatch.fnmatchcase(request.method, self.method)
            and fnmatch.fnmatchcase(request.key, self.key)
            and fnmatch.fnmatchcase(request.query, self.query)
        )
        return wanted and (self.times is None or self.hits < self.times)


class FaultyProxy(Proxy):
    """Passes everything on; ``endpoint`` is what a client is given in place of the store's."""

    def __init__(self, endpoint: str, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(endpoint, tls)
        self.endpoint = f"{self.scheme}://127.0.0.1:{self.port}"
        self.seen: list[Request] = []
        self.answered: list[tuple[float, str, bool]] = []
        """When (seconds of the epoch), what key, and whether it went well or met a fault; one that met a fault and went
        well later has both."""

        self._injections: list[Injection] = []
        self._lock = threading.Lock()

    def inject(
        self, fault: Fault, *, method: str = "*", key: str = "*", query: str = "*", times: int | None = 1
    ) -> Injection:
        """From now on, ``times`` requests (None: all) that match the patterns meet ``fault``.

        ``key`` is matched against what follows the first slash of the path: ``bucket/key``, or the key alone where
        the bucket is in the host name. Of several injections that match, the oldest with hits left is taken.
        """
        injection = Injection(fault, method, key, query, times)
        with self._lock:
            self._injections.append(injection)
        return injection

    def clear(self) -> None:
        """The network is well again."""
        with self._lock:
            self._injections.clear()

    def troubled(self, since: float, until: float) -> float:
        """For how many of these seconds a request had met a fault and had not gone well since."""
        failing: dict[str, float] = {}
        spans: list[tuple[float, float]] = []
        for at, key, well in list(self.answered):
            if not well:
                failing.setdefault(key, at)
            elif key in failing:
                spans.append((failing.pop(key), at))
        spans += [(began, until) for began in failing.values()]
        seconds, reached = 0.0, since
        for began, ended in sorted(spans):
            seconds += max(0.0, min(ended, until) - max(began, reached))
            reached = max(reached, min(ended, until))
        return seconds

    def serve(self, handler: Handler, request: Request) -> None:
        with self._lock:
            self.seen.append(request)
            injection = next((each for each in self._injections if each.takes(request)), None)
            if injection:
                injection.hits += 1
                self.answered.append((time.time(), request.key, False))
        fault = injection.fault if injection else Fault("none")
        if injection:
            injection.fired.set()
        if fault.first:
            fault.first(handler)
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP]
        has_body = bool(int(request.headers.get("Content-Length") or 0))
        chunked = "Transfer-Encoding" in request.headers
        body = handler.body if has_body or chunked else None
        if body and fault.sent:
            body = fault.sent(handler, body)
        if body and chunked:
            headers.append(("Transfer-Encoding", "chunked"))
            body = _chunked(body)
        response = handler.forward(request.method, request.target, headers, body)
        if fault.answered:
            fault.answered(handler, response)
        received = fault.received
        handler.relay(response, transform=(lambda pieces: received(handler, pieces)) if received else iter)
        self.answered.append((time.time(), request.key, True))


# --- the faults --------------------------------------------------------------------------------------------------


def reset() -> Fault:
    """The connection is reset before the request reaches the store."""
    return Fault("reset", first=Handler.reset)


def reset_answer(after: int) -> Fault:
    """RST after so many bytes of the answer's body."""

    def received(handler: Handler, pieces: Pieces) -> Pieces:
        yield from _upto(pieces, after)
        handler.drop_upstream()
        handler.reset()

    return Fault("reset_answer", received=received)


def truncated(after: int) -> Fault:
    """The full length is announced, but the connection ends cleanly after so many bytes."""

    def received(handler: Handler, pieces: Pieces) -> Pieces:
        yield from _upto(pieces, after)
        handler.drop_upstream()
        handler.hang_up()

    return Fault("truncated", received=received)


def corrupted(at: int = 0) -> Fault:
    """One bit of the answer's body, at that offset, is not what the store said."""

    def received(handler: Handler, pieces: Pieces) -> Pieces:
        position = 0
        for piece in pieces:
            if position <= at < position + len(piece):
                spot = at - position
                piece = piece[:spot] + bytes([piece[spot] ^ 1]) + piece[spot + 1 :]
            position += len(piece)
            yield piece

    return Fault("corrupted", received=received)


def refused(status: int = 503, code: str = "SlowDown", retry_after: int | None = None) -> Fault:
    """An error of the store's in place of the answer; the request does not reach it."""

    def first(handler: Handler) -> None:
        text = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>lab</Message></Error>'
        headers = [("Content-Type", "application/xml"), ("x-amz-request-id", "LAB0000000000000")]
        if retry_after is not None:
            headers.append(("Retry-After", str(retry_after)))
        handler.answer(status, headers, text.encode())
        handler.skip()

    return Fault("refused", first=first)


def slow(rate: int) -> Fault:
    """The answer's body comes at so many bytes a second."""

    def received(handler: Handler, pieces: Pieces) -> Pieces:
        step = max(1, min(CHUNK, rate // 20))
        for piece in pieces:
            for start in range(0, len(piece), step):
                part = piece[start : start + step]
                time.sleep(len(part) / rate)
                yield part

    return Fault("slow", received=received)


def slow_upload(rate: int) -> Fault:
    """All bodies that go to the store share so many bytes a second."""
    lock, free_at = threading.Lock(), [0.0]

    def sent(handler: Handler, pieces: Pieces) -> Pieces:
        for piece in pieces:
            with lock:
                free_at[0] = max(free_at[0], time.monotonic()) + len(piece) / rate
                wait = free_at[0] - time.monotonic()
            time.sleep(max(0.0, wait))
            yield piece

    return Fault("slow_upload", sent=sent)


def delayed(seconds: float) -> Fault:
    """The request reaches the store so much later."""
    return Fault("delayed", first=lambda handler: time.sleep(seconds))


def thoughtful(seconds: float) -> Fault:
    """The store takes the request at once, and answers so much later."""
    return Fault("thoughtful", answered=lambda handler, response: time.sleep(seconds))


def stalled(release: threading.Event, after: int = 0) -> Fault:
    """The answer's body stops after so many bytes, the connection open, until ``release`` is set."""

    def received(handler: Handler, pieces: Pieces) -> Pieces:
        left = after
        for piece in pieces:
            if left < len(piece):
                if left:
                    yield piece[:left]
                release.wait()
                yield piece[left:]
                left = sys.maxsize
            else:
                left -= len(piece)
                yield piece

    return Fault("stalled", received=received)


def unanswered(release: threading.Event) -> Fault:
    """The request is taken but nothing comes back until ``release`` is set; then it is passed on."""
    return Fault("unanswered", first=lambda handler: release.wait())


def reset_upload(after: int) -> Fault:
    """RST after so many bytes of the request's body; the store never sees it whole."""

    def sent(handler: Handler, pieces: Pieces) -> Pieces:
        yield from _upto(pieces, after)
        handler.drop_upstream()
        handler.reset()

    return Fault("reset_upload", sent=sent)


def lost_answer() -> Fault:
    """The store does what it was asked to, but the client sees a reset: it cannot know."""

    def answered(handler: Handler, response: Response) -> None:
        response.read()
        handler.reset()

    return Fault("lost_answer", answered=answered)


def _upto(pieces: Pieces, count: int) -> Pieces:
    for piece in pieces:
        if count <= len(piece):
            yield piece[:count]
            return
        count -= len(piece)
        yield piece


def _chunked(pieces: Pieces) -> Pieces:
    for piece in pieces:
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"
