"""From a location to a store. What only remote stores need is imported when the first bucket is opened."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from bootstrap.job import CredentialsProvider, Endpoint, Log
from bootstrap.storage.endpoint import for_bucket
from bootstrap.storage.filesystem import FileStore
from bootstrap.storage.store import Patience, Store
from bootstrap.storage.url import Location


class Stores:
    """The stores of one job, opened when they are first asked for, one client a bucket.

    ``provider`` is called when a bucket is opened and again whenever its keys are about to end.
    """

    def __init__(self, endpoint: Callable[[], Endpoint] | Endpoint, provider: CredentialsProvider, log: Log) -> None:
        self._endpoint = endpoint
        self._provider = provider
        self._log = log
        self._buckets: dict[str, Store] = {}
        self._patience: Patience | None = None  # one, whatever the bucket: all have the same endpoint
        self._lock = threading.Lock()

    def open(self, location: Location) -> Store:
        """The store that ``location`` is in; for a local one the root directory, so that keys are absolute paths.

        Raises :class:`EndpointWrong` without an endpoint and whatever the provider raises without credentials.
        """
        if not location.is_remote:
            return FileStore(Path("/"))
        with self._lock:
            store: Store | None = self._buckets.get(location.bucket)
            if store is None:
                from bootstrap.storage.bucket import BucketStore  # local jobs never pay for sockets and XML

                endpoint = self._endpoint() if callable(self._endpoint) else self._endpoint
                endpoint = for_bucket(endpoint, location.bucket)
                if not endpoint.verify:
                    self._log.warning("TLS certificates are not checked (S3_VERIFY_SSL)", endpoint=endpoint.url)
                self._patience = self._patience or Patience(endpoint.patience)
                store = BucketStore(location.bucket, endpoint, self._provider, self._patience)
                self._buckets[location.bucket] = store
        return store
