"""What every store can do, local directory or bucket: the one interface the transfers are written against."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal, Protocol

from ...ground.patterns import pattern
from ...values import dataclass, field
from .light_writer import LightWriter
from .pipeline import Pipeline

ENCRYPTED = "-encrypted"
"""What is put behind the ETag of an object encrypted by the store: 32 digits as well, and not the MD5 of its bytes."""

_FORGOTTEN = 180.0  # seconds after which a failure says nothing of the next; a store that hangs fails once in that time
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MD5 = pattern(r"[0-9a-f]{32}|[0-9A-F]{32}")


def plain_etag(text: str) -> str:
    """An ETag as headers and listings write it, without quotes and without what makes it a weak one: a proxy that
    changes how a body travels says ``W/"..."`` of the same object.
    """
    return text.strip().removeprefix("W/").strip('"')


TIME_ALONE = "time:"
"""What an ETag begins with that is a time in whole seconds: SFTP and some web servers tell nothing better."""
_SETTLED = 3.0  # seconds: the one in which it was written, and what two clocks may differ by


@dataclass(frozen=True, slots=True)
class Entry:
    """One object as the store lists it. ``size`` in bytes, ``mtime`` in seconds of the epoch, 0 if unknown. ``sha256``
    is of its bytes, in small hexadecimal digits, where a person or the store has said it.
    """

    key: str
    size: int
    etag: str = ""
    mtime: float = 0.0
    sha256: str = ""

    def may_change_unseen(self, now: float) -> bool:
        """Whether what is written from ``now`` on (seconds of the epoch) could look the same as this state: where a
        time in whole seconds is all that tells them apart, another of the same size in the same second.
        """
        return self.etag.startswith(TIME_ALONE) and now - self.mtime < _SETTLED

    @property
    def is_marker(self) -> bool:
        """A "folder" made in a console: an object of no bytes whose key ends in a slash."""
        return self.key.endswith("/") and not self.size

    @property
    def md5(self) -> str:
        """The MD5 that the ETag is, or an empty string (multipart ETags end in ``-N``). OSS writes it in capitals."""
        return self.etag.lower() if _MD5.fullmatch(self.etag) else ""


class RetryWindow:
    """For how many ``seconds`` requests that a store does not serve are made again. Shared by all that talk to it: a
    store that is down for good is waited for once, and not again for the log, the record and each of the outputs.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.ahead = 0.0
        """Seconds that this machine's clock is ahead of the store's, as the latest listing told; 0 while nobody has."""
        self._began = self._latest = 0.0

    def failed(self) -> float:
        """A request was not served; returns since when (on the monotonic clock) none was."""
        now = time.monotonic()
        if not self._began or now - self._latest > _FORGOTTEN:
            self._began = now
        self._latest = now
        return self._began

    def served(self) -> None:
        self._began = 0.0

    def told_time(self, date: str) -> None:
        """An answer's ``Date``, as HTTP has it (RFC 9110, 5.6.7): cut to the second, so half of one is added."""
        try:
            _, day, month, year, moment, _ = date.split()
            hours, minutes, seconds = map(int, moment.split(":"))
            then = datetime(int(year), _MONTHS.index(month) + 1, int(day), hours, minutes, seconds, tzinfo=timezone.utc)
        except ValueError:  # none, or of another form
            return
        self.ahead = time.time() - then.timestamp() - 0.5


@dataclass(frozen=True, slots=True)
class Told:
    """What a store tells of an object's bytes beside its ETag: digests by their kind, in small hexadecimal digits, of
    the bytes or of its ``of_parts`` digests; the bytes of each part but the last, 0 if it does not say. ``encrypted``:
    its ETag is of other bytes than these.
    """

    checksums: Mapping[str, str] = field(default_factory=dict)
    of_parts: bool = False
    part_size: int = 0
    encrypted: bool = False


Verify = Literal["auto", "always", "size"]
"""How much of what is fetched is verified."""

TellsMore = Callable[[Entry], Told]
"""Asks a store what else it tells of an object, which is one of :class:`Entry`; it knows no errors."""


class Listed(Protocol):
    """What a listing has so far. It grows in the thread that lists, and is to be looked at there."""

    def __len__(self) -> int: ...
    def __getitem__(self, at: int, /) -> Entry: ...


Seen = Callable[[Listed], None]
"""Told of a listing while more is to come, and the store is waited for."""

LongListing = Callable[[str, Seen | None], Iterable[Entry]]
"""Lists as :meth:`Store.entries` does, and tells of it as it goes. What was told need not come in the end."""

Moved = Callable[[int], None]
"""Told that so many bytes more have gone."""


def unheard(size: int) -> None:
    """A :data:`Moved` that nobody listens to."""


class Body(Protocol):
    """The bytes of one answer. Iterate to its end, or :meth:`close` it."""

    @property
    def entry(self) -> Entry:
        """What was found at the moment of reading. ``size`` is of the whole object, also when a range was asked; -1
        where the answer does not say.
        """

    @property
    def encoding(self) -> str:
        """The object's ``Content-Encoding``; its bytes come as they are stored."""

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
        """Give the upload up, with all its parts; nothing happens if there is no such upload any more."""


class Store(Protocol):
    """A place of named objects. Every method raises classes of ``bootstrap.errors`` and nothing else.

    The methods may be called from several threads at once.
    """

    @property
    def revision(self) -> str:
        """What exactly is read here, where the URL may mean something else tomorrow: a commit. Empty where a place has
        no such thing, or none was needed yet.
        """

    @property
    def retry_window(self) -> RetryWindow:
        """For how long a request that the store does not serve is to be made again."""

    @property
    def pipeline(self) -> Pipeline | None:
        """The fast way for many plain requests, where there is one."""

    @property
    def multipart(self) -> Multipart | None:
        """How to write an object in parts, where the store knows such a thing."""

    @property
    def tells_more(self) -> TellsMore | None:
        """What else there is to verify an object by, where a store may know that."""

    @property
    def long_listing(self) -> LongListing | None:
        """How to list where that may take long, for who can begin with a part of it."""

    def light_writer(self) -> LightWriter:
        """How to write a little now and then without loading what a transfer needs."""

    def entries(self, prefix: str) -> Iterable[Entry]:
        """Every object whose key starts with ``prefix``, in the store's order; all at once, or as they come."""

    def children(self, prefix: str) -> list[str]:
        """Up to a thousand names right below ``prefix`` (ends in ``/`` or is empty); directories end in ``/``."""

    def stat(self, key: str) -> Entry | None:
        """The object at ``key``, or None."""

    def read(self, key: str, *, start: int = 0, end: int | None = None, etag: str = "") -> Body:
        """Bytes ``start`` to ``end`` (not included). With ``etag``, :class:`SourceChanging` if it is another by now."""

    def write(self, key: str, content: Path | bytes, *, encoding: str = "", moved: Moved = unheard) -> Entry:
        """Put a file's or the given bytes at ``key``, replacing what was there, visible only when complete.
        ``encoding`` is the object's ``Content-Encoding``, where the store knows such a thing. ``moved`` is told of a
        file's bytes as they go, from any thread, where the store can tell; it may wait, or raise to give up.
        """

    def copy(self, source: str, key: str) -> bool:
        """Have the store put a copy of its object ``source`` at ``key``; False if it knows no copies."""

    def delete(self, key: str) -> None:
        """Remove one object; nothing happens if it is not there. (Never several at once: OBS asks for a Content-MD5
        on that call which botocore does not send any more.)"""
