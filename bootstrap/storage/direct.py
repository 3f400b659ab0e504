"""Single requests over the fast lane, for who writes a little now and then and must stay small: live logs.

A client of record in memory costs 25 MB, so it is asked only about what is unusual. A network that fails and a store
that is overloaded are not: they raise :class:`StoreUnavailable` at once, and the caller comes again later.
"""

from __future__ import annotations

import hashlib
import html
import re
import tempfile
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from xml.etree import ElementTree

from bootstrap.errors import StoreUnavailable
from bootstrap.storage.lane import Lane
from bootstrap.storage.store import Store
from bootstrap.storage.wire import Connection, Unusual, expect

SMALLEST_PIECE = 5 << 20
"""Bytes of every piece of a multipart upload but the last (S3's and OBS' rule; others take less)."""

_IN_MEMORY = 1 << 20
_AHEAD = 32  # requests sent before the first answer is read
_BUSY = (429, 500, 502, 503, 504)
_UPLOAD = re.compile(rb"<UploadId>([^<]+)</UploadId>")
_ETAG = re.compile(rb"<CopyPartResult.*<ETag>([^<]+)</ETag>", re.DOTALL)


class Content(Protocol):
    """Bytes to be sent, iterated as often as need be: once for the digest, then for every attempt."""

    @property
    def size(self) -> int: ...
    def __iter__(self) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class Inline:
    """A few bytes that are in memory anyway, as :class:`Content`."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[bytes]:
        yield self.data


class Direct:
    """One store's objects, one request at a time. Every method raises classes of ``bootstrap.errors`` and no other."""

    def __init__(self, store: Store, where: str) -> None:
        self._store = store
        self._where = where

    def put(self, key: str, content: Content) -> None:
        """Write one object."""
        try:
            with self._connected() as (lane, connection):
                connection.send(lane.put(key, content.size, _digest(content)))
                _send(connection, content)
                answer = connection.answer()
                if answer.status in _BUSY:
                    raise self._busy(answer.status)
                expect(answer, 200, answer.size)
                lane.worked()
        except Unusual:
            self._put_by_record(key, content)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, many of them on their way at once."""
        waiting = list(keys)
        try:
            while waiting:
                gone = self._delete_some(waiting[:_AHEAD])
                waiting = waiting[gone:]
        except Unusual:
            for key in waiting:
                self._store.delete(key)

    def join(self, key: str, copies: Sequence[str], rest: Sequence[Content]) -> bool:
        """Have the store make the object ``key`` of copies of its own objects, with ``rest`` sent behind them.

        Every piece but the last has at least :data:`SMALLEST_PIECE` bytes. Returns False, and leaves nothing behind,
        when the store or the lane to it does not do that.
        """
        try:
            with self._connected() as (lane, connection):
                upload = _begin(lane, connection, key)
                try:
                    etags = [_copy(lane, connection, key, upload, n, copy) for n, copy in enumerate(copies, 1)]
                    for number, content in enumerate(rest, len(copies) + 1):
                        etags.append(_add(lane, connection, key, upload, number, content))
                    _complete(lane, connection, key, upload, etags)
                except BaseException:
                    self._abandon(key, upload)
                    raise
        except Unusual:
            return False
        return True

    @contextmanager
    def _connected(self) -> Iterator[tuple[Lane, Connection]]:
        lane = self._store.lane
        if lane is None:
            raise Unusual("no lane")
        try:
            connection = lane.connect()
            try:
                yield lane, connection
            finally:
                connection.close()
        except OSError as error:
            why = error.strerror or str(error) or type(error).__name__
            raise StoreUnavailable("the store cannot be reached", where=self._where, why=why) from error

    def _delete_some(self, keys: Sequence[str]) -> int:
        """Returns how many of the first are gone; at least one."""
        gone = 0
        with self._connected() as (lane, connection):
            for key in keys:
                connection.send(lane.rare("DELETE", key, ""))
            try:
                for _ in keys:
                    answer = connection.answer()
                    connection.body(answer.size)
                    if answer.status in _BUSY:
                        raise self._busy(answer.status)
                    if answer.status not in (200, 204, 404):
                        raise Unusual(f"status {answer.status}")
                    gone += 1
                    if answer.is_last:
                        break
            except (OSError, Unusual):  # what this connection did not do may be done on the next
                if not gone:
                    raise
        return gone

    def _put_by_record(self, key: str, content: Content) -> None:
        if content.size <= _IN_MEMORY:
            self._store.write(key, b"".join(content))
            return
        with tempfile.NamedTemporaryFile() as copy:  # on disk, since memory is what we save
            copy.writelines(content)
            copy.flush()
            self._store.write(key, Path(copy.name))

    def _abandon(self, key: str, upload: str) -> None:
        """Pieces of an upload that is never completed would be kept, and paid for, unseen."""
        try:
            with self._connected() as (lane, connection):
                connection.send(lane.rare("DELETE", key, f"uploadId={upload}"))
                connection.whole("DELETE")
        except (Unusual, StoreUnavailable):
            pass  # then a bucket's own rule for such leftovers is what is left

    def _busy(self, status: int) -> StoreUnavailable:
        return StoreUnavailable("the store cannot serve now", where=self._where, why=f"HTTP {status}")


def _begin(lane: Lane, connection: Connection, key: str) -> str:
    connection.send(lane.rare("POST", key, "uploads="))
    found = _UPLOAD.search(_answered(connection, "POST"))
    if found is None:
        raise Unusual("no multipart uploads")
    return _quoted(ElementTree.fromstring(found[0]).text or "")


def _copy(lane: Lane, connection: Connection, key: str, upload: str, number: int, source: str) -> str:
    connection.send(lane.rare("PUT", key, f"partNumber={number}&uploadId={upload}", copy=source))
    found = _ETAG.search(_answered(connection, "PUT"))
    if found is None:  # a store that knows no copies takes it for a piece without bytes
        raise Unusual("no copies of objects as pieces")
    return ElementTree.fromstring(b"<e>" + found[1] + b"</e>").text or ""


def _add(lane: Lane, connection: Connection, key: str, upload: str, number: int, content: Content) -> str:
    query = f"partNumber={number}&uploadId={upload}"
    connection.send(lane.rare("PUT", key, query, size=content.size, digest=_digest(content)))
    _send(connection, content)
    answer = connection.answer()
    expect(answer, 200, 0)
    return answer.header("etag")


def _complete(lane: Lane, connection: Connection, key: str, upload: str, etags: Sequence[str]) -> None:
    pieces = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{html.escape(etag)}</ETag></Part>"
        for number, etag in enumerate(etags, 1)
    )
    body = f"<CompleteMultipartUpload>{pieces}</CompleteMultipartUpload>".encode()
    digest = hashlib.sha256(body).hexdigest()
    connection.send(lane.rare("POST", key, f"uploadId={upload}", size=len(body), digest=digest))
    connection.send(body)
    if b"CompleteMultipartUploadResult" not in _answered(connection, "POST"):  # errors come as 200, too
        raise Unusual("not completed")


def _answered(connection: Connection, method: str) -> bytes:
    status, body = connection.whole(method)
    if status != 200:
        raise Unusual(f"status {status}")
    return body


def _send(connection: Connection, content: Content) -> None:
    for piece in content:
        connection.send(piece)
        connection.flush()


def _digest(content: Content) -> str:
    digest = hashlib.sha256()
    for piece in content:
        digest.update(piece)
    return digest.hexdigest()


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="-_.~")
