"""Writing a little now and then, for who must stay small and knows himself when to come again: live logs, manifests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from ...values import dataclass

SMALLEST_PIECE = 5 << 20
"""Bytes of every piece of a multipart upload but the last (S3's and OBS' rule; others take less)."""


class Content(Protocol):
    """Bytes to be sent, iterated as often as need be: once for the digest, then for every attempt."""

    @property
    def size(self) -> int: ...
    def __iter__(self) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class Inline:
    """A few bytes that are in memory anyway, as :class:`Content`."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[bytes]:
        yield self.data


class LightWriter(Protocol):
    """Each request is made once: a network that fails and a store that is overloaded raise :class:`StoreUnavailable` at
    once, and the caller comes again later. Every method raises classes of ``bootstrap.errors`` and no other.
    """

    def put(self, key: str, content: Content) -> None:
        """Write one object."""

    def get(self, keys: Sequence[str]) -> list[bytes | None]:
        """Small objects, whole; None for one that is not there (any more)."""

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects."""

    def join(self, key: str, copies: Sequence[str], rest: Sequence[Content]) -> bool:
        """Have the store make the object ``key`` of copies of its own objects, with ``rest`` sent behind them.

        Every piece but the last has at least :data:`SMALLEST_PIECE` bytes. Returns False, and leaves nothing behind,
        when the store does not do that.
        """
