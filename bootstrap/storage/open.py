"""From a location to a store. What only remote stores need is imported when the first bucket is opened."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..job import CredentialsProvider, Endpoint, Log
from .model.scheme import StoreContext, Surroundings
from .model.url import Location
from .schemes import SCHEMES

if TYPE_CHECKING:
    from .model.store import Store, Verify


class Stores:
    """The stores of one job, opened when they are first asked for, one for each scheme and bucket (and, where a URL
    opens it with a user or a query, for each of these).

    ``keys`` is called when a bucket is opened and again whenever what it gave is about to end.
    """

    def __init__(
        self,
        endpoint: Callable[[], Endpoint] | Endpoint,
        keys: CredentialsProvider,
        log: Log,
        surroundings: Surroundings | None = None,
        *,
        verify: Verify = "auto",
    ) -> None:
        self.verify = verify
        """How much of what is fetched from them is verified."""
        self._context = StoreContext(endpoint, keys, log, surroundings)
        self._opened: dict[tuple[str, ...], Store] = {}
        self._lock = threading.Lock()

    def open(self, location: Location) -> Store:
        """The store that ``location`` is in; for a local one the root directory, so that keys are absolute paths.

        Raises :class:`EndpointWrong` without an endpoint, :class:`SupportMissing` without what the scheme needs, and
        whatever the provider raises without credentials.
        """
        scheme = SCHEMES[location.scheme]
        path = location.path if scheme.single else ""
        place = scheme.name, location.bucket, location.userinfo, location.query, location.sha256, path
        with self._lock:
            store = self._opened.get(place)
            if store is None:
                scheme.ready()
                store = self._opened[place] = scheme.open(location, self._context)
        return store
