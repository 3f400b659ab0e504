"""botocore's connections within bounds: it reads heads that drip, trailers and listings without end for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import botocore.awsrequest

from .bounds import MOST_LISTED, PAGE_TIMEOUT, Deadline, check_xml, endless

if TYPE_CHECKING:
    import socket

_BLOCK = 64 << 10
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
                body = b"".join(_within(answer))
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


class _Read:
    """A body that has been read."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        yield self._body


class _Watched:
    """Of a connection: the answer's time counts from what was sent last, a request's head with ``Expect`` included."""

    sock: socket.socket

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
