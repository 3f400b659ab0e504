"""A bucket as the transfers see it: the fast lane in front, the client of record behind it for all that is unusual."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bootstrap.job import CredentialsProvider, Endpoint
from bootstrap.storage.keys import Keys
from bootstrap.storage.lane import Lane
from bootstrap.storage.store import Body, Entry, Multipart, Patience
from bootstrap.storage.wire import Unusual

if TYPE_CHECKING:
    from bootstrap.storage.obs import ObsStore


class BucketStore:
    """Lists over the lane, leaves everything else to boto3; ``lane`` is there for who moves many objects."""

    def __init__(
        self, bucket: str, endpoint: Endpoint, provider: CredentialsProvider, patience: Patience | None = None
    ) -> None:
        self._bucket = bucket
        self._endpoint = endpoint
        self.patience = patience or Patience(endpoint.patience)
        self._keys = Keys(provider)
        self._record: ObsStore | None = None
        self._lock = threading.Lock()
        self.lane: Lane | None
        try:
            self.lane = Lane(bucket, endpoint, self._keys)
        except (Unusual, OSError):  # a certificate bundle that cannot be read, say
            self.lane = None

    @property
    def record(self) -> ObsStore:
        """The client of record. Importing boto3 costs 0.2 s, so it happens when it is needed."""
        with self._lock:
            if self._record is None:
                from bootstrap.storage.obs import ObsStore

                self._record = ObsStore(self._bucket, self._endpoint, self._keys)
            return self._record

    @property
    def multipart(self) -> Multipart:
        return self.record

    def entries(self, prefix: str) -> Iterator[Entry]:
        if self.lane is not None:
            try:
                return iter(list(self.lane.entries(prefix)))  # whole or not at all: stores differ in their order
            except (Unusual, OSError):
                pass
        return self.record.entries(prefix)

    def children(self, prefix: str) -> list[str]:
        return self.record.children(prefix)

    def stat(self, key: str) -> Entry | None:
        if self.lane is not None:
            try:
                first = self.lane.first(key)  # of all keys that start so, the key itself comes first
                return first if first is not None and first.key == key else None
            except (Unusual, OSError):
                pass
        return self.record.stat(key)

    def read(self, key: str, *, start: int = 0, end: int | None = None, etag: str = "") -> Body:
        return self.record.read(key, start=start, end=end, etag=etag)

    def write(self, key: str, content: Path | bytes) -> Entry:
        return self.record.write(key, content)

    def delete(self, key: str) -> None:
        self.record.delete(key)
