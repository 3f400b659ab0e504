"""A node's connection to the server: the challenge answered, then sealed messages, one a line."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping

from .protocol import LONGEST_GREETING, LONGEST_LINE, Forged, LineSeal, nonce, nonce_of, parse, plain

_BUFFER = 256 << 10  # bytes read at once of what is no line


class Refused(Exception):
    """The server says no, in its own words."""


class PeerClient:
    """Opened by answering the challenge within ``timeout_s`` seconds; :meth:`say` may be called from any thread."""

    def __init__(self, address: str, port: int, secret: bytes, timeout_s: float) -> None:
        self._end: float | None = time.monotonic() + timeout_s  # of all that is said until :meth:`stay`
        self._longest = LONGEST_GREETING
        self.socket = socket.create_connection((address, port), timeout=timeout_s)
        self._received = bytearray()
        try:
            ours, theirs = nonce(), nonce_of(parse(self._line()))
            self.socket.sendall(plain({"nonce": ours}) + b"\n")
        except BaseException:
            self.socket.close()
            raise
        self._out = LineSeal(secret, theirs, ours, from_server=False)
        self._in = LineSeal(secret, theirs, ours, from_server=True)
        self._sending = threading.Lock()

    def say(self, message: Mapping[str, object]) -> None:
        with self._sending:
            self.socket.sendall(self._out.close(message))

    def hear(self) -> dict[str, object]:
        """The next message. Raises ``OSError`` (also at the end), :class:`Forged` or :class:`Refused`."""
        line = self._line()
        if line.startswith(b"{"):  # in clear: the server does not believe us, so it does not speak sealed
            raise Refused(str(parse(line).get("refused", "for no reason given")))
        message = self._in.open(line)
        self._longest = LONGEST_LINE  # it knows the secret
        return message

    def pour(self, size: int, take: Callable[[memoryview], None]) -> None:
        """Give the next ``size`` bytes, which are no line, to ``take`` as they come; what it is given is valid only
        until it returns. Raises ``OSError``.
        """
        early = bytes(self._received[:size])
        del self._received[: len(early)]
        if early:
            take(memoryview(early))
        size -= len(early)
        buffer = memoryview(bytearray(min(size, _BUFFER)))
        while size > 0:
            count = self.socket.recv_into(buffer[: min(size, len(buffer))])
            if not count:
                raise ConnectionResetError("the connection was closed")
            take(buffer[:count])
            size -= count

    def stay(self) -> None:
        """We have been let in: from now on the server speaks when it likes."""
        self._end = None
        self.socket.settimeout(None)

    def close(self) -> None:
        self.socket.close()

    def _line(self) -> bytes:
        searched = 0
        while (cut := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            if searched > self._longest:
                raise Forged("a line without an end")
            if self._end is not None:
                self.socket.settimeout(max(0.001, self._end - time.monotonic()))
            more = self.socket.recv(1 << 16)
            if not more:
                raise ConnectionResetError("the connection was closed")
            self._received += more
        line = bytes(self._received[:cut])
        del self._received[: cut + 1]
        return line
