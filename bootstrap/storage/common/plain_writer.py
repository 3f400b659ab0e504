"""A light writer for a store that has no fast way: its own methods do it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ...errors import NothingThere
from ..model.light_writer import Content
from ..model.store import Store

_IN_MEMORY = 1 << 20


class PlainWriter:
    """A :class:`..model.light_writer.LightWriter` over a store's own methods."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, key: str, content: Content) -> None:
        if content.size <= _IN_MEMORY:
            self._store.write(key, b"".join(content))
            return
        import tempfile  # for those alone who write much without a fast path

        with tempfile.NamedTemporaryFile() as copy:  # on disk, since memory is what we save
            copy.writelines(content)
            copy.flush()
            self._store.write(key, Path(copy.name))

    def get(self, keys: Sequence[str]) -> list[bytes | None]:
        found: list[bytes | None] = []
        for key in keys:
            try:
                found.append(b"".join(self._store.read(key)))
            except NothingThere:
                found.append(None)
        return found

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._store.delete(key)

    def join(self, key: str, copies: Sequence[str], rest: Sequence[Content]) -> bool:
        return False
