"""botocore's connections within bounds: it reads heads that drip, trailers and listings without end for ever.

And more generous in what HTTP allows: interim answers of every kind, a length that is told twice, compression
that nobody has asked for.
"""

from __future__ import annotations

import functools
import threading
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import botocore.awsrequest

from ..common.http_answer import BrokenAnswer, StrictAnswer, pass_head
from .bounds import MOST_LISTED, PAGE_TIMEOUT, Deadline, check_xml, endless

if TYPE_CHECKING:
    import socket

_BLOCK = 64 << 10
_GZIP = b"\x1f\x8b"
_FIRST_BYTE = 60.0  # seconds that a store may think; botocore's own time-out ends those that say nothing

_here = threading.local()  # what a connection and its request have in common


def bound(client: Any) -> None:
    """Have all that ``client`` is answered keep to the bounds of :mod:`.bounds`, but for objects' bodies."""
    session = client._endpoint.http_session  # there is no public name for it

    def send(request: Any, **_: object) -> Any:
        streamed, request.stream_output = request.stream_output, True  # else all of the body is read at once
        _here.watch = watch = Deadline(_FIRST_BYTE + PAGE_TIMEOUT)
        try:
            with watch:
                answer = session.send(request)
                if streamed and answer.status_code < 300:
                    return answer
                body = _plain(b"".join(_within(answer)), answer.headers.get("content-encoding", ""))
        finally:
            request.stream_output = streamed
            _here.watch = None
        check_xml(body)
        return botocore.awsrequest.AWSResponse(request.url, answer.status_code, answer.headers, _Read(body))

    client.meta.events.register("before-send.s3", send)


def body_watch(seconds: float) -> Deadline:
    """For the object's body that this thread's last request is answered with: so long for each piece of it."""
    watch = Deadline(seconds)
    watch.start(_here.socket)
    return watch


def _within(answer: Any) -> Iterator[bytes]:
    announced = answer.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > MOST_LISTED:
        answer.raw.close()
        raise endless(f"an answer of {announced} bytes is announced")
    left = MOST_LISTED
    for piece in answer.raw.stream(_BLOCK):
        left -= len(piece)
        if left < 0:
            answer.raw.close()
            raise endless(f"more than {MOST_LISTED} bytes came")
        yield piece


def _plain(body: bytes, coding: str) -> bytes:
    """The body without the compression that something on the way has added. Some say so and do not do it."""
    if coding.strip().lower() not in ("gzip", "x-gzip") or not body.startswith(_GZIP):
        return body
    unpacked = zlib.decompressobj(wbits=31)
    try:
        plain = unpacked.decompress(body, MOST_LISTED)
    except zlib.error as error:
        raise BrokenAnswer(f"a compressed answer is damaged ({error})") from error
    if len(plain) == MOST_LISTED:
        raise endless(f"{MOST_LISTED} bytes came, or more")
    if not unpacked.eof:
        raise BrokenAnswer("a compressed answer broke off")
    return plain


class _Read:
    """A body that has been read."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        yield self._body


class _Answer(StrictAnswer, botocore.awsrequest.AWSHTTPResponse):
    def __init__(self, *args: Any, status_tuple: Any = None, **more: Any) -> None:
        super().__init__(*args, status_tuple=status_tuple, **more)


class _Watched:
    """Of a connection: the answer's time counts from what was sent last, a request's head with ``Expect`` included."""

    sock: socket.socket
    response_class: Any = _Answer
    _response_received: bool

    def _is_100_continue_status(self, line: bytes) -> bool:
        words = line.split(None, 2)
        interim = len(words) > 1 and len(words[1]) == 3 and words[1].startswith(b"1") and words[1] != b"101"
        return interim and words[0].startswith(b"HTTP/")

    def _consume_headers(self, head: Any) -> None:
        pass_head(head)  # botocore's own goes on for ever where the connection ends

    def _handle_expect_response(self, body: Any) -> None:
        super()._handle_expect_response(body)  # type: ignore[misc]
        if self._response_received:
            self.response_class = functools.partial(_Answer, **self.response_class.keywords)

    def send(self, data: Any) -> Any:
        watch: Deadline | None = getattr(_here, "watch", None)
        if watch is not None:
            watch.pause()
        sent = super().send(data)  # type: ignore[misc]
        if watch is not None:
            _here.socket = self.sock
            watch.start(self.sock)
        return sent


class _HTTP(_Watched, botocore.awsrequest.AWSHTTPConnection):  # type: ignore[misc]
    pass


class _HTTPS(_Watched, botocore.awsrequest.AWSHTTPSConnection):  # type: ignore[misc]
    pass


botocore.awsrequest.AWSHTTPConnectionPool.ConnectionCls = _HTTP
botocore.awsrequest.AWSHTTPSConnectionPool.ConnectionCls = _HTTPS
