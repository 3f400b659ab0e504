"""A bucket as the transfers see it: the fast path in front, boto3 behind it for all that is unusual."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ...job import CredentialsProvider, Endpoint
from ..common.plain_writer import PlainWriter
from ..model.light_writer import LightWriter
from ..model.pipeline import NeedsFallback
from ..model.store import Body, Entry, Moved, Multipart, RetryWindow, Seen, Told, unheard
from .fast.client import FastClient
from .keys import Keys

if TYPE_CHECKING:
    from .boto_client import BotoStore


class BucketStore:
    """Lists over the fast path and leaves the rest to boto3; ``pipeline`` is for who moves many objects."""

    revision = ""

    def __init__(
        self,
        bucket: str,
        endpoint: Endpoint,
        provider: CredentialsProvider,
        retry_window: RetryWindow | None = None,
        *,
        scheme: str = "obs",
    ) -> None:
        """``scheme`` is what messages write before the bucket."""
        self._scheme = scheme
        self._bucket = bucket
        self._endpoint = endpoint
        self.retry_window = retry_window or RetryWindow(endpoint.retry_window)
        self._keys = Keys(provider)
        self._boto: BotoStore | None = None
        self._lock = threading.Lock()
        self.pipeline: FastClient | None
        try:
            self.pipeline = FastClient(bucket, endpoint, self._keys, self.retry_window)
        except (NeedsFallback, OSError):  # a certificate bundle that cannot be read, say
            self.pipeline = None

    @property
    def boto(self) -> BotoStore:
        """The bucket through boto3. Importing that costs 0.2 s, so it happens when it is needed."""
        with self._lock:
            if self._boto is None:
                from .boto_client import BotoStore

                self._boto = BotoStore(self._bucket, self._endpoint, self._keys, scheme=self._scheme)
                self._boto.told_time = self.retry_window.told_time
            return self._boto

    @property
    def multipart(self) -> Multipart:
        if self.pipeline is None:
            return self.boto
        from .fast.multipart import FastMultipart  # for large files only

        return FastMultipart(self.pipeline, lambda: self.boto)

    def tells_more(self, entry: Entry) -> Told:
        """What else an object can be verified by; asked over the fast path only, where it costs little."""
        if self.pipeline is None:
            return Told()
        from .told import told  # for large objects only

        return told(self.pipeline, entry)

    def light_writer(self) -> LightWriter:
        if self.pipeline is None:
            return PlainWriter(self)
        from .fast.light_writer import FastWriter  # XML and more, for those alone who write so

        return FastWriter(self.pipeline, self, f"{self._scheme}://{self._bucket}/")

    def entries(self, prefix: str) -> Iterable[Entry]:
        return self.long_listing(prefix, None)

    def long_listing(self, prefix: str, seen: Seen | None) -> Iterable[Entry]:
        if self.pipeline is not None:
            try:
                return self.pipeline.entries(prefix, seen)  # whole or not at all: stores differ in their order
            except (NeedsFallback, OSError):
                pass
        return self.boto.entries(prefix)

    def children(self, prefix: str) -> list[str]:
        if self.pipeline is not None:
            try:
                return self.pipeline.children(prefix)
            except (NeedsFallback, OSError):
                pass
        return self.boto.children(prefix)

    def stat(self, key: str) -> Entry | None:
        if self.pipeline is not None:
            try:
                first = self.pipeline.first(key)  # of all keys that start so, the key itself comes first, as a rule
                return first if first is not None and first.key == key else self.pipeline.head(key)
            except (NeedsFallback, OSError):
                pass
        return self.boto.stat(key)

    def read(self, key: str, *, start: int = 0, end: int | None = None, etag: str = "") -> Body:
        return self.boto.read(key, start=start, end=end, etag=etag)

    def write(self, key: str, content: Path | bytes, *, encoding: str = "", moved: Moved = unheard) -> Entry:
        return self.boto.write(key, content, encoding=encoding, moved=moved)

    def copy(self, source: str, key: str) -> bool:
        if self.pipeline is not None:
            try:
                self.pipeline.copy(source, key)
                return True
            except (NeedsFallback, OSError):
                pass
        return self.boto.copy(source, key)

    def delete(self, key: str) -> None:
        self.boto.delete(key)
