"""An HTTP answer as Python's client reads it, where that one believes too much or knows too little.

To it the end of a connection is the end of a head, a length that is none is no length (it reads on until the connection
ends, which a server may keep open), a trailer may go on for ever, and of interim answers there is only 100.
"""

from __future__ import annotations

import http.client
from typing import Any

_LINE = 64 << 10
_MOST_TRAILERS = 100
_SWITCHING = 101  # the only interim answer that nothing comes after


class BrokenAnswer(ConnectionResetError):
    """An answer that nobody can make sense of, in words. What was on its way with it may come again."""


class StrictAnswer(http.client.HTTPResponse):
    """Raises :class:`BrokenAnswer` beside what Python's own does."""

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 < status < 200 or status == _SWITCHING:
                return version, status, reason
            pass_head(self.fp)

    def begin(self, **more: Any) -> None:
        begun: Any = self.headers
        if begun is not None:
            return
        head: Any = _Head(self.fp)
        self.fp = head
        try:
            super().begin(**more)
        finally:
            self.fp = self.fp and head.file
        if not head.is_whole:
            raise BrokenAnswer("the head of an answer broke off")
        lines = self.headers.get_all("content-length", [])
        told = {each.strip() for line in lines for each in line.split(",")}
        if self.chunked or not told:
            return
        if len(told) > 1 or not all(each.isascii() and each.isdigit() for each in told):
            raise BrokenAnswer(f"an answer's Content-Length makes no sense: {', '.join(lines)}")
        if lines != [length := told.pop()]:  # the same, more than once
            del self.headers["Content-Length"]
            self.headers["Content-Length"] = length
        if self.length is None:
            self.length = int(length)
            self.will_close = self._check_close()  # type: ignore[attr-defined]

    def _read_and_discard_trailer(self) -> None:
        for _ in range(_MOST_TRAILERS):
            if self.fp.readline(_LINE) in (b"\r\n", b"\n", b""):
                return
        raise BrokenAnswer("the trailer of an answer does not end")


class _Head:
    """What an answer's head is read from."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.is_whole = True

    def readline(self, limit: int = _LINE) -> bytes:
        line: bytes = self.file.readline(limit)
        self.is_whole = line != b""
        return line

    def close(self) -> None:
        self.file.close()


def pass_head(head: Any) -> None:
    """Read the lines of a head that nobody wants, up to its end or the connection's."""
    while head.readline(_LINE) not in (b"\r\n", b"\n", b""):
        pass
