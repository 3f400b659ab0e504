"""Many connections that talk in lines, served by one thread; none can cost more than its share. Mechanism only.

A connection is *passing* until its handler calls :meth:`Connections.keep`: it has some seconds, may send short lines
only, and there are so many of them and no more. One that comes when all places are taken gets the place of the oldest,
so that strangers who hold places cannot keep a node out for long. At the system's limit of open files nothing is
accepted for a moment, the oldest go, and :attr:`Connections.trouble` says so; nothing is ever printed.
"""

from __future__ import annotations

import errno
import selectors
import socket
import struct
import time
from collections import deque
from contextlib import suppress
from itertools import islice
from typing import Protocol

PASSING_LINE = 1 << 10
"""Bytes of a line from somebody who has proved nothing yet."""

_CHUNK = 1 << 16
_PIECES = 64  # sent with one call
_ACCEPTS = 128  # at once, before those who are here have their turn
_PAUSE = 0.2  # seconds without a new connection where the system has no room for one
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_LINGER_RESET = struct.pack("ii", 1, 0)  # close with a reset: leaves no TIME_WAIT behind


class Handler(Protocol):
    """Whose connections they are."""

    def opened(self, connection: PeerConnection) -> None: ...

    def line(self, connection: PeerConnection, line: bytes) -> None:
        """A whole line, without its end. ``ValueError`` ends the connection."""

    def ended(self, connection: PeerConnection, error: OSError | None) -> None:
        """It is gone, whoever ended it; ``error`` when that was neither its end nor us."""


class PeerConnection:
    """One socket, what has come of its next line, and what has not left yet. ``kind`` is its listener's."""

    __slots__ = ("expires", "in_peace", "kind", "longest", "owner", "received", "reset", "sending", "socket")

    def __init__(self, accepted: socket.socket, kind: str, expires: float, reset: bool) -> None:
        self.socket, self.kind = accepted, kind
        self.expires = expires
        self.reset = reset
        self.longest = PASSING_LINE
        self.owner: object = None
        self.received = bytearray()
        self.sending: deque[memoryview] = deque()
        self.in_peace = False  # nothing more is read; it ends when all has been sent


class Connections:
    """Used by one thread, except for :meth:`wake`."""

    def __init__(self, handler: Handler, *, most_passing: int, timeout_s: float) -> None:
        self.trouble = ""
        self._handler, self._most, self._timeout_s = handler, most_passing, timeout_s
        self._selector = selectors.DefaultSelector()
        self._listeners: dict[str, tuple[socket.socket, bool]] = {}
        self._passing: dict[PeerConnection, None] = {}  # the oldest first
        self._kept: set[PeerConnection] = set()
        self._accept_again = 0.0
        self._wake_end, self._woken_end = socket.socketpair()
        for end in (self._wake_end, self._woken_end):
            end.setblocking(False)
        self._selector.register(self._woken_end, selectors.EVENT_READ, None)

    def listen(self, kind: str, listening: socket.socket, *, reset: bool = False) -> None:
        """Accept at this socket. ``reset``: its connections leave nothing behind in the kernel when they end."""
        listening.setblocking(False)
        self._listeners[kind] = listening, reset
        self._selector.register(listening, selectors.EVENT_READ, (kind, reset))

    def stop_listening(self, kind: str) -> None:
        if kind in self._listeners:
            listening, _ = self._listeners.pop(kind)
            if not self._accept_again:
                self._selector.unregister(listening)
            listening.close()

    def wake(self) -> None:
        """End the wait of :meth:`turn`. From any thread; after :meth:`close` it does nothing."""
        with suppress(OSError):
            self._wake_end.send(b"!")

    def turn(self, timeout: float) -> None:
        """Wait for something to happen, at most ``timeout`` seconds, and have it handled."""
        now = time.monotonic()
        if self._accept_again and now >= self._accept_again:
            self._accept_again = 0.0
            for kind, (listening, reset) in self._listeners.items():
                self._selector.register(listening, selectors.EVENT_READ, (kind, reset))
        due = [next(iter(self._passing)).expires] if self._passing else []
        due += [self._accept_again] if self._accept_again else []
        wait = min([timeout, *(max(0.0, moment - now) for moment in due)])
        for key, events in self._selector.select(wait):
            if isinstance(key.data, PeerConnection):
                if events & selectors.EVENT_WRITE:
                    self._flush(key.data)
                if events & selectors.EVENT_READ:
                    self._read(key.data)
            elif key.data is None:
                with suppress(BlockingIOError):
                    self._woken_end.recv(_CHUNK)
            else:
                self._accept(key.fileobj, *key.data)  # type: ignore[arg-type]  # a listener is a socket
        now = time.monotonic()
        while self._passing and (oldest := next(iter(self._passing))).expires <= now:
            self._end(oldest, None)

    def keep(self, connection: PeerConnection, longest: int) -> None:
        """It has proved who it is: it may stay, and send lines of so many bytes."""
        if connection in self._passing:
            del self._passing[connection]
            self._kept.add(connection)
            connection.longest = longest

    def send(self, connection: PeerConnection, *pieces: bytes) -> None:
        """As soon as the other side takes it. What many connections are sent is in memory once."""
        if not self._is_open(connection):
            return
        idle = not connection.sending
        connection.sending.extend(memoryview(piece) for piece in pieces)
        if idle:
            self._flush(connection)

    def finish(self, connection: PeerConnection) -> None:
        """End it when all has been sent; the other side has until its time is over."""
        connection.in_peace = True
        if self._is_open(connection) and not connection.sending:
            self._end(connection, None)

    def end(self, connection: PeerConnection) -> None:
        """End it now, whatever was to be sent."""
        self._end(connection, None)

    def close(self, flush_s: float) -> None:
        """End all, after ``flush_s`` seconds at most for what is on its way."""
        for kind in list(self._listeners):
            self.stop_listening(kind)
        end = time.monotonic() + flush_s
        for connection in [*self._passing, *self._kept]:
            self.finish(connection)
        while (self._passing or self._kept) and (left := end - time.monotonic()) > 0:
            self.turn(left)
        for connection in [*self._passing, *self._kept]:
            self._end(connection, None)
        self._selector.close()
        self._wake_end.close()
        self._woken_end.close()

    def _accept(self, listening: socket.socket, kind: str, reset: bool) -> None:
        for _ in range(_ACCEPTS):
            try:
                accepted, _address = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_ROOM:
                    self._no_room(error)
                    return
                continue  # it went away before it had its turn
            while len(self._passing) >= self._most:
                self._end(next(iter(self._passing)), None)
            accepted.setblocking(False)
            connection = PeerConnection(accepted, kind, time.monotonic() + self._timeout_s, reset)
            self._passing[connection] = None
            self._selector.register(accepted, selectors.EVENT_READ, connection)
            self._handler.opened(connection)

    def _no_room(self, error: OSError) -> None:
        self.trouble = f"node 0 can take no more connections: {error.strerror}"
        for listening, _ in self._listeners.values():
            self._selector.unregister(listening)
        self._accept_again = time.monotonic() + _PAUSE
        for oldest in list(self._passing)[: 1 + len(self._passing) // 4]:
            self._end(oldest, None)

    def _read(self, connection: PeerConnection) -> None:
        if not self._is_open(connection):
            return
        try:
            data = connection.socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(connection, error)
            return
        if not data:
            self._end(connection, None)
            return
        if connection.in_peace:
            return
        received = connection.received
        received += data
        while (cut := received.find(b"\n")) >= 0:
            line = bytes(received[:cut])
            del received[: cut + 1]
            try:
                if len(line) > connection.longest:
                    raise ValueError("a line that is too long")
                self._handler.line(connection, line)
            except ValueError:
                self._end(connection, None)
            if not self._is_open(connection) or connection.in_peace:
                return
        if len(received) > connection.longest:
            self._end(connection, None)

    def _flush(self, connection: PeerConnection) -> None:
        if not self._is_open(connection):
            return
        sending = connection.sending
        try:
            while sending:
                sent = connection.socket.sendmsg(list(islice(sending, _PIECES)))
                while sent:
                    piece = sending.popleft()
                    if sent < len(piece):
                        sending.appendleft(piece[sent:])
                    sent -= min(sent, len(piece))
        except BlockingIOError:
            pass
        except OSError as error:
            self._end(connection, error)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if sending else 0)
        if self._selector.get_key(connection.socket).events != wanted:
            self._selector.modify(connection.socket, wanted, connection)
        if connection.in_peace and not sending:
            self._end(connection, None)

    def _is_open(self, connection: PeerConnection) -> bool:
        return connection in self._kept or connection in self._passing

    def _end(self, connection: PeerConnection, error: OSError | None) -> None:
        if not self._is_open(connection):
            return
        self._passing.pop(connection, None)
        self._kept.discard(connection)
        self._selector.unregister(connection.socket)
        with suppress(OSError):
            if connection.reset:
                connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
            elif connection.in_peace:  # unread bytes would make the kernel take back what we said last
                connection.socket.recv(_CHUNK)
        connection.socket.close()
        self._handler.ended(connection, error)
