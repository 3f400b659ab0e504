"""What all nodes of a job fetch may come from the store once, and from node to node otherwise: in words that know no
network.

Blocks are named alike on all nodes, by what they are of; each has one owner. A node brings its own from the store and
offers them; it pulls the others' from their owners, and brings from the store what they do not give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

Pour = Callable[[int, Callable[[memoryview], None]], None]
"""Gives the next so many bytes to a taker as they come; what that is given is valid only until it returns."""


class Wanted(Protocol):
    """A block that another node owns."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def owner(self) -> int:
        """Among the nodes that share, counted from 0."""

    def receive(self, told: Mapping[str, object], pour: Pour) -> None:
        """Take its bytes and finish the work. ``told``: what the owner says of them, their digests among it.

        Raises ``ValueError`` for other bytes than those, and what ``pour`` does.
        """


class Pull(Protocol):
    """Blocks on their way from other nodes, in threads of their own."""

    def given_back(self, rate: float, beat: Callable[[], None]) -> Sequence[Wanted]:
        """Wait for blocks that are to come from the store after all, since their owner is gone, slow or without them;
        none: all the others are here. ``rate``: bytes a second that the store gives this node. ``beat`` is called ten
        times a second. Raises what a block's methods raised.
        """

    def close(self) -> None: ...


class Share(Protocol):
    """The nodes that fetch the same."""

    @property
    def nodes(self) -> int: ...
    @property
    def place(self) -> int:
        """Ours among them, from 0."""

    @property
    def least(self) -> int:
        """Bytes of a fetch below which it is not worth it."""

    @property
    def pulled(self) -> int:
        """Bytes that have come from other nodes so far."""

    def once(self, name: str, make: Callable[[], bytes]) -> bytes:
        """What the first node makes, here or there; made here, too, where that node does not give it."""

    def begin(self, fetch: str, ours: Iterable[str]) -> None:
        """The fetch of this name, the same on all nodes, has begun here: these blocks will be offered."""

    def offer(self, fetch: str, block: str, file: int, start: int, size: int, *, no_md5: bool) -> None:
        """A block of ours is on the disk: ``size`` bytes from ``start`` on in an open file, which stays ours.
        ``no_md5``: the store has said of the object that its ETag is no MD5.
        """

    def offer_files(self, fetch: str, block: str, files: Sequence[tuple[str, int, str]]) -> None:
        """A block of ours is on the disk, in these files: path, bytes and MD5 of each."""

    def pull(self, fetch: str, wanted: Sequence[Wanted]) -> Pull:
        """Begin to bring these from their owners."""

    def end(self, fetch: str) -> None:
        """It has ended here; what was offered is given until all the others have ended it, too."""

    def close(self) -> None:
        """All nodes have fetched, or ours ends: nothing is given any more. Safe to call twice."""
