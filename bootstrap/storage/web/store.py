"""A web address as a store of one file."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator

from ...errors import UsageError
from ..common.read_only import ReadOnly
from ..model.scheme import Surroundings
from ..model.store import Entry, RetryWindow
from ..model.url import Location
from .client import WebClient, basic
from .file import WebBody, WebCopy, WebFile


class WebStore(ReadOnly):
    """Its only key is the path in the URL; nothing is beside it."""

    def __init__(self, location: Location, surroundings: Surroundings) -> None:
        super().__init__(str(location))
        self.retry_window = RetryWindow(surroundings.retry_window)
        self._key = location.path
        if location.userinfo:
            surroundings.mask("a URL's user", location.userinfo)
        path = urllib.parse.quote(location.path, safe="/%:@!$&'()*+,;=~-._")
        query = urllib.parse.quote(location.query, safe="/%:@!$&'()*+,;=~-._?")
        url = f"{location.scheme}://{location.bucket}/{path}{'?' * bool(query)}{query}"
        secret = basic(location.userinfo)
        self._file = WebFile(
            WebClient(surroundings), url, key=self._key, where=self.url, secret=secret, sha256=location.sha256
        )

    @property
    def revision(self) -> str:
        return self._file.revision

    def entries(self, prefix: str) -> Iterator[Entry]:
        if prefix not in (self._key, "") or self._key.endswith("/"):
            why = "web servers list nothing, so that only single files can be had"
            raise UsageError("a web address has nothing below it", where=self.url, why=why, remedy="leave -r out")
        yield self._file.stat()

    def children(self, prefix: str) -> list[str]:
        return []

    def stat(self, key: str) -> Entry | None:
        """Raises :class:`NothingThere` for the file itself, since nothing else is there to be looked for."""
        return self._file.stat() if key == self._key else None

    def read(self, key: str, *, start: int = 0, end: int | None = None, etag: str = "") -> WebBody | WebCopy:
        return self._file.read(start, end, etag)
