"""What a source is, asked for in a thread of its own: a fetch that comes soon need not wait for the answers then."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..ground.abandonable import Abandonable, watched
from .common.retry import Retry
from .fetch.plan import single_object
from .model.listing import Entries
from .model.store import Entry, Listed, Seen, Store
from .model.url import Location


class Looked(NamedTuple):
    """The one object that a source is, or the objects of a tree (none of either: nothing was asked for)."""

    single: Entry | None
    entries: Entries | None


class LookAhead:
    """It begins at once. What it raises is raised by :meth:`found`."""

    def __init__(self, opening: Callable[[], tuple[Store, Retry]], source: Location, *, tree: bool = True) -> None:
        """Without ``tree`` nothing but a single object is looked for."""
        self.source = source
        self.seen: Seen | None = None
        """Told of a long listing as it goes: of what was listed before it was set, at the next page."""
        self._opening, self._tree = opening, tree
        self._looking = Abandonable(self._look)

    def found(self, beat: Callable[[], None]) -> Looked:
        """Wait for it; ``beat`` is called meanwhile, and may raise."""
        watched(self._looking.wait, beat)
        return self._looking.result()

    def _look(self) -> Looked:
        store, retry = self._opening()
        single = retry(lambda: single_object(store, self.source))
        if single is not None or not self._tree:
            return Looked(single, None)
        prefix = self.source.as_directory().path if self.source.path else ""
        return Looked(None, retry(lambda: self._list(store, prefix)))

    def _list(self, store: Store, prefix: str) -> Entries:
        if store.long_listing is None:
            return Entries.of(store.entries(prefix))
        return Entries.of(store.long_listing(prefix, self._tell))

    def _tell(self, listing: Listed) -> None:
        if self.seen is not None:
            self.seen(listing)
