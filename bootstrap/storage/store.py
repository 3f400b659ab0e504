"""What every store can do, local directory or bucket: the one interface the transfers are written against."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bootstrap.storage.lane import Lane

ENCRYPTED = "-encrypted"
"""What is put behind the ETag of an object encrypted by the store: 32 digits as well, and not the MD5 of its bytes."""

_FORGOTTEN = 180.0  # seconds after which a failure says nothing of the next; a store that hangs fails once in that time
_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One object as the store lists it. ``size`` in bytes, ``mtime`` in seconds of the epoch, 0 if unknown."""

    key: str
    size: int
    etag: str = ""
    mtime: float = 0.0

    @property
    def is_marker(self) -> bool:
        """A "folder" made in a console: an object of no bytes whose key ends in a slash."""
        return self.key.endswith("/")

    @property
    def md5(self) -> str:
        """The MD5 that the ETag is, or an empty string (multipart ETags end in ``-N``)."""
        return self.etag if _MD5.fullmatch(self.etag) else ""


class Patience:
    """How many ``seconds`` an outage of a store is waited for. Shared by all that talk to it: a store that is down for
    good is waited for once, and not again for the log, the record and each of the outputs.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._began = self._latest = 0.0

    def failed(self) -> float:
        """A request was not served; returns since when (on the monotonic clock) none was."""
        now = time.monotonic()
        if not self._began or now - self._latest > _FORGOTTEN:
            self._began = now
        self._latest = now
        return self._began

    def went_well(self) -> None:
        self._began = 0.0


class Body(Protocol):
    """The bytes of one answer. Iterate to its end, or :meth:`close` it."""

    @property
    def entry(self) -> Entry:
        """What was found at the moment of reading. ``size`` is of the whole object, also when a range was asked."""

    def __iter__(self) -> Iterator[bytes]: ...
    def close(self) -> None: ...


class Multipart(Protocol):
    """Writing one object in parts of 5 MB to 5 GB (the last may be smaller), 10,000 at most (OBS and S3 documents)."""

    def begin(self, key: str) -> str:
        """Start an upload; returns its id. Until it is finished the store charges for its parts: abandon or finish."""

    def parts(self, key: str, upload: str) -> dict[int, tuple[int, str]]:
        """What is there of an upload: size and ETag of each part by its number. An error if there is no such upload."""

    def put_part(self, key: str, upload: str, number: int, file: int, start: int, size: int) -> str:
        """Write part ``number`` (from 1) out of an open file; returns its ETag."""

    def finish(self, key: str, upload: str, etags: list[str]) -> str:
        """Make the object of its parts, in order; returns its ETag."""

    def abandon(self, key: str, upload: str) -> None:
        """Give the upload up, with all its parts."""


class Store(Protocol):
    """A place of named objects. Every method raises classes of ``bootstrap.errors`` and nothing else.

    The methods may be called from several threads at once.
    """

    @property
    def patience(self) -> Patience:
        """For how long a request that the store does not serve is to be made again."""

    @property
    def lane(self) -> Lane | None:
        """The fast way for plain requests, where there is one."""

    @property
    def multipart(self) -> Multipart | None:
        """How to write an object in parts, where the store knows such a thing."""

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Every object whose key starts with ``prefix``, in the store's order."""

    def children(self, prefix: str) -> list[str]:
        """Up to a thousand names right below ``prefix`` (ends in ``/`` or is empty); directories end in ``/``."""

    def stat(self, key: str) -> Entry | None:
        """The object at ``key``, or None."""

    def read(self, key: str, *, start: int = 0, end: int | None = None, etag: str = "") -> Body:
        """Bytes ``start`` to ``end`` (not included). With ``etag``, :class:`SourceChanging` if it is another by now."""

    def write(self, key: str, content: Path | bytes) -> Entry:
        """Put a file's or the given bytes at ``key``, replacing what was there, visible only when complete."""

    def delete(self, key: str) -> None:
        """Remove one object; nothing happens if it is not there. (Never several at once: OBS asks for a Content-MD5
        on that call which botocore does not send any more.)"""
