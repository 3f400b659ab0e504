"""One kept-alive HTTP/1.1 connection, down at its bytes: requests go out, answers with a length come back in order."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...common.sparse import zeros
from ...model.pipeline import Destination, Hashing, NeedsFallback
from ...model.store import ENCRYPTED, plain_etag
from ..bounds import HEAD_TIMEOUT, MOST_LISTED, PAGE_TIMEOUT, SLOWEST, Deadline, endless

if TYPE_CHECKING:
    import ssl

_BUFFER = 128 << 10  # bytes; there may be hundreds of connections
_FIRST_BUFFER = 16 << 10  # until more comes at once: all of a buffer costs memory, and 0.1 ms
_GATHERED = 256 << 10  # bytes that wait to go out in one piece, at most
_MOST_TRAILERS = 100
CONNECT_TIMEOUT = 5.0
SILENCE = 15.0  # seconds without a byte; boto3 waits longer
LONG_SILENCE = 60.0
"""The same for who is sent much: a store that has many writers takes its time, and would only get all of it again."""


CHUNKED = -1
_BUSY = (429, 503)  # what stores answer when it is too much for them


class Answer:
    """A status, the headers, and how many bytes the body has that comes next (``size``; :data:`CHUNKED`: in chunks that
    tell it, as some stores send what they make up as they go, listings above all).

    Headers are searched for when they are asked for: of most, nobody ever wants to know anything.
    """

    __slots__ = ("_head", "_names", "size", "status")

    def __init__(self, head: str) -> None:
        """``head`` is all up to the blank line. Raises :class:`NeedsFallback` if what follows is no plain body."""
        self._head, self._names = head, head.lower()
        coding, length = self.header("transfer-encoding"), self.header("content-length")
        if not head.startswith("HTTP/1.1 ") or self.header("content-encoding"):
            raise NeedsFallback(head.partition("\r\n")[0])
        try:
            self.status = _number(head[9:12])
            if coding == "chunked" and not length:
                self.size = CHUNKED
            elif not coding:
                self.size = 0 if self.status == 204 else _number(length)
            else:
                raise ValueError
        except ValueError:
            raise NeedsFallback(head.partition("\r\n")[0]) from None

    def header(self, name: str) -> str:
        """The value of the header, whose ``name`` is in small letters; empty if there is none."""
        at = self._names.find(f"\r\n{name}:")
        if at < 0:
            return ""
        at += len(name) + 3
        end = self._head.find("\r\n", at)
        return self._head[at : end if end >= 0 else None].strip()

    @property
    def etag(self) -> str:
        """The ETag, made unlike any MD5 if it is not one: encrypted objects, and those that are appended to, have 32
        digits of something else.
        """
        etag = plain_etag(self.header("etag"))
        if "-object-type" in self._names:
            for dialect in ("oss", "obs"):
                if self.header(f"x-{dialect}-object-type").lower() == "appendable":
                    return etag + ENCRYPTED
        if "-server-side-encryption" in self._names:
            for dialect in ("amz", "obs"):
                kind = self.header(f"x-{dialect}-server-side-encryption")
                if kind not in ("", "AES256") or self.header(f"x-{dialect}-server-side-encryption-customer-algorithm"):
                    return etag + ENCRYPTED
        return etag

    @property
    def is_last(self) -> bool:
        """Whether the server closes the connection after it."""
        return self.header("connection").lower() == "close"

    def expect(self, status: int, size: int = -1) -> None:
        """Raise :class:`NeedsFallback` unless the answer is the plain one that was asked for."""
        if self.status != status or (size >= 0 and self.size != size):
            raise NeedsFallback(f"status {self.status}, {self.size} bytes", busy=self.status in _BUSY)


def _number(text: str) -> int:
    """Raises ``ValueError`` for all but digits: ``int`` takes ``1_0``, ``+1`` and ``-12``, too."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError
    return int(text)


class Meter:
    """What one connection has moved, counted where it moves: ``bytes`` grows as they come and go. ``settled`` are those
    up to the last answer.
    """

    __slots__ = ("bytes", "settled")

    def __init__(self) -> None:
        self.bytes = self.settled = 0


class HttpConnection:
    """Raises ``OSError`` (``ssl.SSLError`` is one) for what the network does, :class:`NeedsFallback` for the rest."""

    def __init__(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        meter: Meter | None = None,
        beside: HttpConnection | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        """``meter`` counts the bytes that come and go. An earlier TLS ``session`` with the same server is taken up,
        which saves both sides the certificates.

        With another connection to the same server to be ``beside``, nothing is waited for: it leads to the same
        address, and is of use as soon as it is :meth:`opened`.
        """
        self._host, self._tls, self._session = host, tls, session
        self._would_block: tuple[type[OSError], ...] = (BlockingIOError,)
        self.waits_for = select.POLLOUT
        """What has to happen on the socket before there is anything to do."""
        self._connected = self._open = False
        began = time.monotonic()
        if beside is None:
            self._socket = socket.create_connection((host, port), CONNECT_TIMEOUT)
            self.link = time.monotonic() - began
            """Seconds that the link took, there and back."""
            self._address = self._socket.getpeername()
        else:
            self._address, self.link = beside._address, beside.link
            self._socket = socket.socket(beside._socket.family, socket.SOCK_STREAM)
        try:
            if beside is None:
                self._go_on_opening()
            else:
                self._socket.setblocking(False)
                self._check_connected(self._socket.connect_ex(self._address))
        except BaseException:
            self._socket.close()
            raise
        self._meter = meter or Meter()
        self._unsent: list[bytes] = []
        self._gathered = 0
        self._buffer = bytearray(_FIRST_BUFFER)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0  # what was received and not yet taken

    @property
    def session(self) -> ssl.SSLSession | None:
        """What the next connection may take up; servers send a ticket for it with their first answer."""
        session: ssl.SSLSession | None = getattr(self._socket, "session", None)
        return session if session is not None and session.has_ticket else None

    @property
    def is_sealed(self) -> bool:
        return self._tls is not None

    def fileno(self) -> int:
        return self._socket.fileno()

    def opened(self) -> bool:
        """Whether it can be used by now. To be asked when what it :attr:`waits_for` has happened; waits for nothing."""
        if self._open:
            return True
        if not self._connected:
            self._check_connected(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        try:
            self._go_on_opening()
        except self._would_block as error:
            self.waits_for = select.POLLOUT if isinstance(error, self._would_block[-1]) else select.POLLIN
        return self._open

    def _check_connected(self, error: int) -> None:
        if error not in (0, errno.EINPROGRESS):
            raise OSError(error, os.strerror(error))

    def _go_on_opening(self) -> None:
        if not self._connected:
            self._connected = True
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                from ssl import SSLWantReadError, SSLWantWriteError

                self._would_block = (BlockingIOError, SSLWantReadError, SSLWantWriteError)
                self._socket = self._tls.wrap_socket(
                    self._socket, server_hostname=self._host, do_handshake_on_connect=False, session=self._session
                )
        if self._tls is not None:
            self._socket.do_handshake()  # type: ignore[attr-defined]  # it is wrapped by now
        self._socket.settimeout(SILENCE)
        self._open, self.waits_for = True, select.POLLIN

    def arrived(self) -> bool:
        """Whether the head of the next answer is here. Reads what has come, and waits for nothing."""
        if self._head_end() >= 0:
            return True
        self._socket.settimeout(0)
        try:
            self._receive()
        except self._would_block:
            return False
        finally:
            self._socket.settimeout(SILENCE)
        return self._head_end() >= 0

    def _head_end(self) -> int:
        """Where the next answer's head ends, or -1. Interim answers (100, 102, 103), which any server may send before
        it, are passed over.
        """
        while (end := self._buffer.find(b"\r\n\r\n", self._start, self._end)) >= 0:
            if not self._buffer.startswith(b"HTTP/1.1 1", self._start):
                return end
            if self._buffer.startswith(b"HTTP/1.1 101", self._start):  # nothing comes after this one
                return end
            self._start = end + 4
        if self._buffer.find(b"\n\n", self._start, self._end) >= 0:
            raise NeedsFallback("a head whose lines end in another way")
        return -1

    def send(self, data: bytes) -> None:
        """Have ``data`` go out with the next :meth:`flush`: many small requests in one packet."""
        self._unsent.append(data)
        self._gathered += len(data)
        if self._gathered > _GATHERED:
            self.flush()

    def flush(self) -> None:
        """Send what has been gathered."""
        if self._unsent:
            self._socket.sendall(b"".join(self._unsent))
            self._meter.bytes += self._gathered
            self._unsent.clear()
            self._gathered = 0

    def send_file(self, file: int, start: int, size: int, digest: Hashing) -> None:
        """Send a part of a file, and show it to the ``digest``. Raises ``OSError`` if there is less of it by now: the
        request cannot be completed.
        """
        self.flush()
        while size:
            piece = os.pread(file, min(size, _BUFFER), start)
            if not piece:
                raise ConnectionAbortedError("a file became shorter while it was sent")
            self._send_much(piece)
            digest.update(piece)
            start += len(piece)
            size -= len(piece)

    def send_zeros(self, size: int, digest: Hashing) -> None:
        """Send a hole of a file, and show it to the ``digest``."""
        self.flush()
        while size:
            piece = zeros(min(size, _BUFFER))
            self._send_much(piece)
            digest.update(piece)
            size -= len(piece)

    def _send_much(self, piece: bytes | memoryview) -> None:
        self._socket.settimeout(LONG_SILENCE)
        try:
            self._socket.sendall(piece)
        finally:
            self._socket.settimeout(SILENCE)
        self._meter.bytes += len(piece)

    def answer(self) -> Answer:
        """The head of the next answer."""
        return Answer(self.head())

    def head(self) -> str:
        """The same, as it came."""
        self.flush()
        began = 0.0
        while (end := self._head_end()) < 0:
            self._receive()
            began = began or time.monotonic()
            if time.monotonic() - began > HEAD_TIMEOUT:
                raise endless("its head does not end")
        head = str(self._view[self._start : end], "latin-1")
        self._start = end + 4
        return head

    def whole(self, method: str, *, long: bool = False) -> tuple[int, bytes]:
        """Status and body of the next answer, however it tells its length. For a connection with nothing sent ahead.
        ``long``: the store may be silent as if it was sent much.
        """
        import http.client  # 10 ms, for those alone who ask for more than objects

        from ...common.http_answer import StrictAnswer

        self.flush()
        answer = StrictAnswer(self._socket, method=method)
        self._socket.settimeout(LONG_SILENCE if long else SILENCE)
        try:
            with self.watched():
                answer.begin()
                if (answer.length or 0) > MOST_LISTED:
                    raise endless(f"an answer of {answer.length} bytes is announced")
                body = answer.read(MOST_LISTED)
        except http.client.HTTPException as error:
            raise NeedsFallback(repr(error)) from error
        finally:
            answer.close()
            self._socket.settimeout(SILENCE)
        if len(body) == MOST_LISTED:
            raise endless(f"{MOST_LISTED} bytes came, or more")
        if answer.length:
            raise NeedsFallback(f"{answer.length} bytes are missing")
        return answer.status, body

    def watched(self) -> Deadline:
        """For the time in which an answer is read that is no object."""
        watch = Deadline(SILENCE + PAGE_TIMEOUT)
        watch.start(self._socket)
        return watch

    def body(self, size: int) -> bytes:
        """The next ``size`` bytes, or with :data:`CHUNKED` as many as come."""
        if size == CHUNKED:
            return self._chunks()
        have = self._end - self._start
        if size <= have:
            self._start += size
            return bytes(self._view[self._start - size : self._start])
        whole = bytearray(size)
        view = memoryview(whole)
        view[:have] = self._view[self._start : self._end]
        self._start = self._end = 0
        until = time.monotonic() + SILENCE + size / SLOWEST
        while have < size:
            have += self._into(view[have:])
            self._check(until)
        return bytes(whole)

    def pour(self, size: int, take: Callable[[memoryview], None]) -> None:
        """Give the next ``size`` bytes to ``take`` as they come; what it is given is valid only until it returns."""
        while size:
            if self._start == self._end:
                self._start = self._end = 0
                # Never into the next answer, so nothing is copied twice; and much at once, though TLS gives 16 kB.
                most = min(size, _BUFFER)
                self._grow(most)
                until = time.monotonic() + SILENCE + most / SLOWEST
                while self._end < most:
                    self._end += self._into(self._view[self._end : most])
                    self._check(until)
            step = min(size, self._end - self._start)
            take(self._view[self._start : self._start + step])
            self._start += step
            size -= step

    def save(self, size: int, place: Destination) -> None:
        """Put the next ``size`` bytes where they belong."""
        self.pour(size, place.take)

    def close(self) -> None:
        self._socket.close()

    def _check(self, until: float) -> None:
        if time.monotonic() > until:
            raise TimeoutError(f"less than {SLOWEST} bytes came a second")

    def _chunks(self) -> bytes:
        pieces: list[bytes] = []
        left = MOST_LISTED
        while size := self._chunk_size(left):
            pieces.append(self.body(size))
            left -= size
            if self._line():
                raise NeedsFallback("a chunk of another length than it said")
        for _ in range(_MOST_TRAILERS):  # headers that came late
            if not self._line():
                break
        else:
            raise endless("its trailer does not end")
        return b"".join(pieces)

    def _chunk_size(self, most: int) -> int:
        try:
            size = int(self._line().partition(b";")[0], 16)
        except ValueError:
            raise NeedsFallback("a chunk without a length") from None
        if size > most:
            raise endless(f"more than {MOST_LISTED} bytes came")
        if size < 0:
            raise NeedsFallback(f"a chunk of {size} bytes")
        return size

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n", self._start, self._end)) < 0:
            self._receive()
        line = bytes(self._view[self._start : end])
        self._start = end + 2
        return line

    def _receive(self) -> None:
        """More bytes behind what is there; moved to the front first when the end is near."""
        if self._end > len(self._buffer) // 2:
            left = self._end - self._start
            self._buffer[:left] = self._buffer[self._start : self._end]
            self._start, self._end = 0, left
        if self._end == _BUFFER:
            raise NeedsFallback("an answer's head of more than a buffer")
        self._end += self._into(self._view[self._end :])
        if self._end == len(self._buffer):
            self._grow(_BUFFER)

    def _grow(self, size: int) -> None:
        """Have room for so many bytes, :data:`_BUFFER` at most."""
        if size > len(self._buffer):
            larger = bytearray(_BUFFER)
            larger[: self._end] = self._view[: self._end]
            self._buffer, self._view = larger, memoryview(larger)

    def _into(self, place: memoryview) -> int:
        received = self._socket.recv_into(place)
        if not received:
            raise ConnectionResetError("the connection ended")
        self._meter.bytes += received
        return received
