"""A directory of a store as the place where the nodes of a job leave their notes, where ports cannot be had."""

from __future__ import annotations

from ..errors import NothingThere
from ..storage.common.small import read_small
from ..storage.model.store import Store
from ..storage.model.url import Location
from .protocol import LONGEST_LINE


class StoreDirectory:
    """A :class:`bootstrap.peers.by_store.SharedPlace` below ``directory``. Raises whatever the store raises."""

    def __init__(self, store: Store, directory: Location) -> None:
        self._store, self._directory = store, directory
        self._written: set[str] = set()

    def put(self, name: str, data: bytes) -> None:
        self._store.write(self._key(name), data)
        self._written.add(name)

    def get(self, name: str) -> bytes | None:
        """The note's bytes, or None if there is none; nothing of one that is longer than any note."""
        try:
            return read_small(self._store, self._key(name), LONGEST_LINE)
        except NothingThere:
            return None

    @property
    def has_others(self) -> bool:
        """Whether there are notes of other nodes."""
        prefix = self._directory.path
        own = {self._key(name) for name in self._written}
        return any(entry.key not in own for entry in self._store.entries(prefix))

    def clear(self) -> None:
        """Take this node's own notes away."""
        for name in self._written:
            self._store.delete(self._key(name))
        self._written.clear()

    def _key(self, name: str) -> str:
        return self._directory.child(name).path
