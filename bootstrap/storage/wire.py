"""One kept-alive HTTP/1.1 connection, down at its bytes: requests go out, answers with a length come back in order."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from bootstrap.storage.store import ENCRYPTED

if TYPE_CHECKING:
    import ssl

_BUFFER = 512 << 10
_POUR = 256 << 10
_MOST_CHUNKED = 64 << 20  # bytes of a body that did not say how many it has; the page of a listing has less than one
_CONNECT_TIMEOUT = 5.0
_SILENCE = 15.0  # seconds without a byte; the client of record is more patient


CHUNKED = -1


class Unusual(Exception):
    """Not the plain case. What it means is for the client of record to find out. ``status`` is HTTP's, if there was."""

    def __init__(self, what: str, status: int = 0) -> None:
        super().__init__(what)
        self.status = status


class Answer:
    """A status, the headers, and how many bytes the body has that comes next (``size``; :data:`CHUNKED`: in chunks that
    tell it, as some stores send what they make up as they go, listings above all).

    Headers are searched for when they are asked for: of most, nobody ever wants to know anything.
    """

    __slots__ = ("_head", "_names", "size", "status")

    def __init__(self, head: str) -> None:
        """``head`` is all up to the blank line. Raises :class:`Unusual` if no plain body of known length follows."""
        self._head, self._names = head, head.lower()
        coding, length = self.header("transfer-encoding"), self.header("content-length")
        if not head.startswith("HTTP/1.1 ") or self.header("content-encoding"):
            raise Unusual(head.partition("\r\n")[0])
        try:
            self.status = int(head[9:12])
            if coding == "chunked" and not length:
                self.size = CHUNKED
            elif not coding and (self.status == 204 or int(length) >= 0):
                self.size = 0 if self.status == 204 else int(length)
            else:
                raise ValueError
        except ValueError:
            raise Unusual(head.partition("\r\n")[0]) from None

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
        """The ETag, made unlike any MD5 if it is not one: encrypted objects have 32 digits of something else."""
        etag = self.header("etag").strip('"')
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


def expect(answer: Answer, status: int, size: int) -> None:
    """Raise :class:`Unusual` unless the answer is the plain one that was asked for."""
    if answer.status != status or answer.size != size:
        raise Unusual(f"status {answer.status}, {answer.size} bytes", answer.status)


class Connection:
    """Raises ``OSError`` (``ssl.SSLError`` is one) for what the network does, :class:`Unusual` for the rest."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._socket = socket.create_connection((host, port), _CONNECT_TIMEOUT)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                self._socket = tls.wrap_socket(self._socket, server_hostname=host)
            self._socket.settimeout(_SILENCE)
        except BaseException:
            self._socket.close()
            raise
        self._unsent: list[bytes] = []
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0  # what was received and not yet taken

    def send(self, data: bytes) -> None:
        """Have ``data`` go out with the next :meth:`flush`: many small requests in one packet."""
        self._unsent.append(data)

    def flush(self) -> None:
        """Send what has been gathered."""
        if self._unsent:
            self._socket.sendall(b"".join(self._unsent))
            self._unsent.clear()

    def send_file(self, file: int, start: int, size: int) -> None:
        """Send a part of a file. Raises ``OSError`` if there is less of it by now: the request cannot be completed."""
        self.flush()
        while size:
            piece = os.pread(file, min(size, _BUFFER), start)
            if not piece:
                raise ConnectionAbortedError("a file became shorter while it was sent")
            self._socket.sendall(piece)
            start += len(piece)
            size -= len(piece)

    def answer(self) -> Answer:
        """The head of the next answer."""
        self.flush()
        while (end := self._buffer.find(b"\r\n\r\n", self._start, self._end)) < 0:
            self._receive()
        head = str(self._view[self._start : end], "latin-1")
        self._start = end + 4
        return Answer(head)

    def whole(self, method: str) -> tuple[int, bytes]:
        """Status and body of the next answer, however it tells its length. For a connection with nothing sent ahead."""
        import http.client  # 10 ms, for those alone who ask for more than objects

        self.flush()
        answer = http.client.HTTPResponse(self._socket, method=method)
        try:
            answer.begin()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise Unusual(repr(error)) from error
        finally:
            answer.close()

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
        while have < size:
            have += self._into(view[have:])
        return bytes(whole)

    def pour(self, size: int, take: Callable[[memoryview], None]) -> None:
        """Give the next ``size`` bytes to ``take`` as they come; what it is given is valid only until it returns."""
        while size:
            if self._start == self._end:
                self._start = self._end = 0
                # Never into the next answer, so nothing is copied twice; and much at once, though TLS gives 16 kB.
                most = min(size, _POUR)
                while self._end < most:
                    self._end += self._into(self._view[self._end : most])
            step = min(size, self._end - self._start)
            take(self._view[self._start : self._start + step])
            self._start += step
            size -= step

    def close(self) -> None:
        self._socket.close()

    def _chunks(self) -> bytes:
        pieces: list[bytes] = []
        left = _MOST_CHUNKED
        while size := self._chunk_size(left):
            pieces.append(self.body(size))
            left -= size
            if self._line():
                raise Unusual("a chunk of another length than it said")
        while self._line():
            pass  # headers that came late
        return b"".join(pieces)

    def _chunk_size(self, most: int) -> int:
        try:
            size = int(self._line().partition(b";")[0], 16)
        except ValueError:
            raise Unusual("a chunk without a length") from None
        if not 0 <= size <= most:
            raise Unusual(f"a chunk of {size} bytes")
        return size

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n", self._start, self._end)) < 0:
            self._receive()
        line = bytes(self._view[self._start : end])
        self._start = end + 2
        return line

    def _receive(self) -> None:
        """More bytes behind what is there; moved to the front first when the end is near."""
        if self._end > _BUFFER // 2:
            left = self._end - self._start
            self._buffer[:left] = self._buffer[self._start : self._end]
            self._start, self._end = 0, left
        if self._end == _BUFFER:
            raise Unusual("an answer's head of more than half a megabyte")
        self._end += self._into(self._view[self._end :])

    def _into(self, place: memoryview) -> int:
        received = self._socket.recv_into(place)
        if not received:
            raise ConnectionResetError("the connection ended")
        return received
