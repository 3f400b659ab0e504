"""What a store answers that nothing can be written to: a web server, a repository, a hub."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from ...errors import UsageError
from ..model.light_writer import LightWriter
from ..model.store import Entry, Moved, unheard
from .plain_writer import PlainWriter


class ReadOnly:
    """The half of :class:`..model.store.Store` that writes. Destinations are refused before a job starts
    (:mod:`..destination`), so that nobody comes here but by a defect.
    """

    pipeline = None
    multipart = None
    tells_more = None
    long_listing = None

    def __init__(self, url: str) -> None:
        self.url = url
        """The place as messages write it."""

    def light_writer(self) -> LightWriter:
        return PlainWriter(self)  # type: ignore[arg-type]  # with the half that reads it is a store

    def write(self, key: str, content: Path | bytes, *, encoding: str = "", moved: Moved = unheard) -> Entry:
        self._refuse()

    def copy(self, source: str, key: str) -> bool:
        self._refuse()

    def delete(self, key: str) -> None:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise UsageError("nothing can be written there", where=self.url, remedy="name a store, or a directory")
