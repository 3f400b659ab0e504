"""Who fetches the same, and this node's part in it: made before the nodes meet, since they tell each other of it then.

offer = listen(address, secret, urls)           # None where there is nothing to share, or no port to be had
info = NodeInfo(..., share=offer.told)
share = offer.among(members, rank)              # None where nobody else fetches the same
fetch(..., share=share)
share.close()
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from ..peers.node_info import NodeInfo
from ..storage.model.share import Wanted
from .pull import Pulling, ask
from .server import Server

LEAST = 256 << 20
"""Bytes of a fetch from which on sharing is worth a connection to each node, where nobody has asked for it."""


def listen(address: str, secret: bytes, urls: Sequence[str], *, least: int = LEAST) -> Offer | None:
    """``urls``: what is fetched, the same on all nodes that share. ``secret``: the job's."""
    if not urls:
        return None
    try:
        server = Server(address)
    except OSError:
        return None
    secret = hmac.digest(secret, b"share", "sha256")
    what = hmac.digest(secret, "\n".join(urls).encode("utf-8", "surrogateescape"), "sha256").hex()[:16]
    return Offer(server, secret, what, least)


class Offer:
    """A port that nobody is answered at yet. ``told``: what the other nodes are to know of it."""

    def __init__(self, server: Server, secret: bytes, what: str, least: int) -> None:
        self._server, self._secret, self._what, self._least = server, secret, what, least

    @property
    def told(self) -> str:
        return f"{self._server.port} {self._what}"

    def among(self, members: Sequence[NodeInfo], rank: int) -> Sharing | None:
        """With the nodes that fetch the same; closed where there is none."""
        places: dict[int, tuple[str, int]] = {}
        own = -1
        for number, info in enumerate(members):
            port, _, what = info.share.partition(" ")
            if what == self._what and port.isascii() and port.isdigit() and 0 < int(port) < 65536:
                own = len(places) if number == rank else own
                places[len(places)] = info.address, int(port)
        if len(places) < 2 or own < 0:
            self.close()
            return None
        self._server.serve(self._secret, len(places), own)
        return Sharing(self._server, self._secret, places, own, self._least)

    def close(self) -> None:
        self._server.close()


class Sharing:
    """See :class:`bootstrap.storage.model.share.Share`. ``pulled`` and ``sent``: bytes from and to other nodes."""

    def __init__(
        self, server: Server, secret: bytes, places: Mapping[int, tuple[str, int]], own: int, least: int
    ) -> None:
        self._server, self._secret = server, secret
        self._others = {place: address for place, address in places.items() if place != own}
        self._own, self._least = own, least
        self._lock = threading.Lock()
        self._pulled = 0

    @property
    def nodes(self) -> int:
        return len(self._others) + 1

    @property
    def place(self) -> int:
        return self._own

    @property
    def least(self) -> int:
        return self._least

    @property
    def pulled(self) -> int:
        return self._pulled

    @property
    def sent(self) -> int:
        return self._server.sent

    def once(self, name: str, make: Callable[[], bytes]) -> bytes:
        if self._own == 0:
            self._server.begin(name, ("once",))
            try:
                made = make()
                self._server.offer_bytes(name, "once", made)
            finally:
                self._server.end(name)
            return made
        given = ask(name, "once", self._others[0], secret=self._secret, own=self._own)
        return make() if given is None else given

    def begin(self, fetch: str, ours: Iterable[str]) -> None:
        self._server.begin(fetch, ours)

    def offer(self, fetch: str, block: str, file: int, start: int, size: int, *, no_md5: bool) -> None:
        self._server.offer(fetch, block, file, start, size, no_md5=no_md5)

    def offer_files(self, fetch: str, block: str, files: Sequence[tuple[str, int, str]]) -> None:
        self._server.offer_files(fetch, block, files)

    def pull(self, fetch: str, wanted: Sequence[Wanted]) -> Pulling:
        return Pulling(fetch, wanted, self._others, secret=self._secret, own=self._own, came=self._came)

    def end(self, fetch: str) -> None:
        self._server.end(fetch)

    def close(self) -> None:
        """Nobody is given anything any more. Safe to call twice."""
        self._server.close()

    def _came(self, size: int) -> None:
        with self._lock:
            self._pulled += size
