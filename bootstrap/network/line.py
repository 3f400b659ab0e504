"""A node's connection to the hub: the challenge answered, then sealed messages, one a line."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping

from .wire import LONGEST_LINE, Forged, Seal, nonce, parse, plain


class Refused(Exception):
    """The hub says no, in its own words."""


class Line:
    """Opened by answering the challenge within ``patience_s`` seconds; :meth:`say` may be called from any thread."""

    def __init__(self, address: str, port: int, secret: bytes, patience_s: float) -> None:
        self.socket = socket.create_connection((address, port), timeout=patience_s)
        self._received = b""
        try:
            ours, theirs = nonce(), str(parse(self._line()).get("nonce", ""))
            self.socket.sendall(plain({"nonce": ours}) + b"\n")
        except BaseException:
            self.socket.close()
            raise
        self._out = Seal(secret, theirs, ours, from_hub=False)
        self._in = Seal(secret, theirs, ours, from_hub=True)
        self._sending = threading.Lock()

    def say(self, message: Mapping[str, object]) -> None:
        with self._sending:
            self.socket.sendall(self._out.close(message))

    def hear(self) -> dict[str, object]:
        """The next message. Raises ``OSError`` (also at the end), :class:`Forged` or :class:`Refused`."""
        line = self._line()
        if line.startswith(b"{"):  # in clear: the hub does not believe us, so it does not speak sealed
            raise Refused(parse(line).get("refused", "for no reason given"))
        return self._in.open(line)

    def _line(self) -> bytes:
        while b"\n" not in self._received:
            if len(self._received) > LONGEST_LINE:
                raise Forged("a line without an end")
            more = self.socket.recv(1 << 16)
            if not more:
                raise ConnectionResetError("the connection was closed")
            self._received += more
        line, _, self._received = self._received.partition(b"\n")
        return line
