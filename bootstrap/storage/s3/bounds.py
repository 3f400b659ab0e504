"""Bounds for answers: how much they may be, and until when they have to have come.

Both ways to a store keep them, ``fast/`` at its own sockets and ``bounded_botocore`` around botocore.
"""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

from ...errors import BootstrapError, StoreUnavailable

MOST_LISTED = 64 << 20
"""Bytes of a listing's page, which has less than one million, and of a body that did not say how many it has."""
MOST_TAGS = 400_000
"""Of an answer in XML. A page of 1,000 keys has 25,000 at most."""
HEAD_TIMEOUT = 30.0
"""Seconds for an answer's head from its first byte on, however it drips."""
PAGE_TIMEOUT = 60.0
"""Seconds for all of an answer that is no object."""
MOST_EMPTY = 1000
"""Pages of a listing without a key, one after the other. There are some where much was deleted."""
SLOWEST = 4 << 10
"""Bytes a second of an object's body; less is as good as nothing."""


def endless(why: str) -> StoreUnavailable:
    """For an answer that nobody should read to its end. It is not asked for in another way, which would read it."""
    return StoreUnavailable("the store's answer has no end that one could wait for", why=why)


def check_xml(text: bytes) -> None:
    """Raise if a parser would make too much of it: millions of elements, however deep."""
    if text.count(b"<") > MOST_TAGS:
        raise endless(f"more than {MOST_TAGS} tags came")


class Pages:
    """What the pages of a listing must not do: come again, lead from empty page to empty page, or bring more than
    ``most`` objects (0: any number), as they do of a store that makes up keys.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._found = 0
        self._tokens: set[str | bytes] = set()
        self._empty = 0

    def go_on(self, token: str | bytes, found: int) -> None:
        """To the page that ``token`` leads to, from one with ``found`` keys. Raises for no end."""
        self._found += found
        self._empty = 0 if found else self._empty + 1
        if self._most and self._found >= self._most:
            raise StoreUnavailable(
                f"the store lists more than {self._most:,} objects (--max-objects)",
                why="all are kept in memory before the first is brought, and a listing may have no end",
                remedy="name a prefix with fewer objects, pack small files into archives, or raise --max-objects",
                temporary=False,
            )
        if not token or token in self._tokens or self._empty > MOST_EMPTY:
            raise endless("its pages do not go on")
        self._tokens.add(token)


class Deadline:
    """Ends a connection that does not bring what it should in time; whoever reads from it sees it closed, and who left
    ``with`` gets words for it.

    The thread costs 0.1 ms. Where none can be started (a limit of processes), nothing is watched.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = 0.0
        self._socket: socket.socket | None = None
        self._over = threading.Event()
        self._running = False
        self.fired = False

    def start(self, connection: socket.socket) -> None:
        """From now on; again for each piece that came."""
        self._socket = connection
        self._until = time.monotonic() + self._seconds
        if not self._running:
            self._running = True
            try:
                threading.Thread(target=self._watch, name="watch", daemon=True).start()
            except RuntimeError:
                pass

    def pause(self) -> None:
        """Until :meth:`start`: it is we who are slow, or what we send."""
        self._until = float("inf")

    def go_on(self) -> None:
        """Another piece came."""
        self._until = time.monotonic() + self._seconds

    def end(self) -> None:
        self._over.set()

    def __enter__(self) -> Deadline:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.end()
        if self.fired and not isinstance(error, BootstrapError):
            raise endless(f"it was not whole after {self._seconds:.0f} s") from error

    def _watch(self) -> None:
        while (left := self._until - time.monotonic()) > 0:
            if self._over.wait(min(left, self._seconds)):
                return
        self.fired = True
        # Also of a TLS connection, whose own method would take it from the one who reads.
        found: Any = getattr(self._socket, "socket", self._socket)
        try:
            socket.socket.shutdown(found, socket.SHUT_RDWR)
        except (OSError, TypeError):
            pass  # it has ended meanwhile
