"""``file://``, and every path that is written without a scheme."""

from __future__ import annotations

import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import UrlInvalid
from ..model.scheme import Scheme, StoreContext
from ..model.url import LOCAL, Location, shown

if TYPE_CHECKING:
    from ..model.store import Store


def _parse(text: str, rest: str) -> Location:
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        if host not in ("", "localhost"):
            remedy = f"write file:///{host}/{path} for the path /{host}/{path}"
            raise UrlInvalid(f"file:// with the host {host!r}", where=shown(text), remedy=remedy)
        rest = slash + path
    if not rest.startswith("/"):
        raise UrlInvalid("file: needs an absolute path", where=shown(text))
    return Location(LOCAL, urllib.parse.unquote(rest, errors="surrogateescape"))


def _open(location: Location, context: StoreContext) -> Store:
    """The root directory, so that keys are absolute paths."""
    from .store import FileStore  # a job whose places are all remote never needs it, nor one that has none

    return FileStore(Path("/"))


FILE = Scheme(LOCAL, "file:///path/", _parse, _open, needs_keys=False)
