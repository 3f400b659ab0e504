"""A light writer over the fast path. boto3 in memory costs 25 MB, so it is asked about what is not plain, and no more.

A network that fails and a store that is overloaded are plain: they raise :class:`StoreUnavailable` at once, and the
caller comes again later.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from ....errors import StoreUnavailable
from ...common.plain_writer import PlainWriter
from ...model.light_writer import Content
from ...model.pipeline import NeedsFallback
from ...model.store import Store
from .client import FastClient, SignedConnection
from .multipart import abort, answered, begin, complete, quoted, unescaped

_AHEAD = 32  # requests sent before the first answer is read
_BUSY = (429, 500, 502, 503, 504)
_ETAG = re.compile(rb"<CopyPartResult.*<ETag>([^<]+)</ETag>", re.DOTALL)


class FastWriter:
    """One bucket's objects, one request at a time. A :class:`bootstrap.storage.model.light_writer.LightWriter`."""

    def __init__(self, client: FastClient, fallback: Store, where: str) -> None:
        """``where`` is the bucket in words, ``fallback`` writes what the fast path does not."""
        self._client, self._fallback, self._plain = client, fallback, PlainWriter(fallback)
        self._where = where

    def put(self, key: str, content: Content) -> None:
        """Write one object."""
        try:
            with self._connected() as connection:
                connection.put(key, content.size, _digest(content))
                _send(connection, content)
                answer = connection.answer()
                if answer.status in _BUSY:
                    raise self._busy(answer.status)
                answer.expect(200)
                self._client.accepted()
        except NeedsFallback:
            self._plain.put(key, content)

    def get(self, keys: Sequence[str]) -> list[bytes | None]:
        """Small objects, many of them asked for at once; None for one that is not there (any more)."""
        found: list[bytes | None] = []
        try:
            while len(found) < len(keys):
                found += self._get_some(keys[len(found) : len(found) + _AHEAD])
        except NeedsFallback:
            found += self._plain.get(keys[len(found) :])
        return found

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, many of them on their way at once."""
        waiting = list(keys)
        try:
            while waiting:
                gone = self._delete_some(waiting[:_AHEAD])
                waiting = waiting[gone:]
        except NeedsFallback:
            self._plain.delete(waiting)

    def join(self, key: str, copies: Sequence[str], rest: Sequence[Content]) -> bool:
        """Have the store make the object ``key`` of copies of its own objects, with ``rest`` sent behind them.

        Every piece but the last has at least :data:`SMALLEST_PIECE` bytes. Returns False, and leaves nothing behind,
        when the store does not do that.
        """
        try:
            with self._connected() as connection:
                upload = begin(connection, key)
                try:
                    etags = [_copy(connection, key, upload, n, copy) for n, copy in enumerate(copies, 1)]
                    for number, content in enumerate(rest, len(copies) + 1):
                        etags.append(_add(connection, key, upload, number, content))
                    complete(connection, key, upload, etags)
                except BaseException:
                    self._abandon(key, upload)
                    raise
        except NeedsFallback:
            return False
        return True

    @contextmanager
    def _connected(self) -> Iterator[SignedConnection]:
        try:
            connection = self._client.connect()
            try:
                yield connection
            finally:
                connection.close()
        except OSError as error:
            why = error.strerror or str(error) or type(error).__name__
            raise StoreUnavailable("the store cannot be reached", where=self._where, why=why) from error

    def _get_some(self, keys: Sequence[str]) -> list[bytes | None]:
        """At least the first; fewer than all where the store ends the connection."""
        found: list[bytes | None] = []
        with self._connected() as connection:
            for key in keys:
                connection.get(key)
            try:
                for _ in keys:
                    answer = connection.answer()
                    body = connection.body(answer.size)
                    if answer.status in _BUSY:
                        raise self._busy(answer.status)
                    if answer.status not in (200, 404):
                        raise NeedsFallback(f"status {answer.status}")
                    found.append(body if answer.status == 200 else None)
                    if answer.is_last:
                        break
            except (OSError, NeedsFallback):
                if not found:
                    raise
            else:
                self._client.accepted()
        return found

    def _delete_some(self, keys: Sequence[str]) -> int:
        """Returns how many of the first are gone; at least one."""
        gone = 0
        with self._connected() as connection:
            for key in keys:
                connection.other("DELETE", key)
            try:
                for _ in keys:
                    answer = connection.answer()
                    connection.body(answer.size)
                    if answer.status in _BUSY:
                        raise self._busy(answer.status)
                    if answer.status not in (200, 204, 404):
                        raise NeedsFallback(f"status {answer.status}")
                    gone += 1
                    if answer.is_last:
                        break
            except (OSError, NeedsFallback):  # what this connection did not do may be done on the next
                if not gone:
                    raise
        return gone

    def _abandon(self, key: str, upload: str) -> None:
        """Pieces of an upload that is never completed would be kept, and paid for, unseen."""
        try:
            with self._connected() as connection:
                abort(connection, key, upload)
        except (NeedsFallback, StoreUnavailable):
            pass  # then a bucket's own rule for such leftovers is what is left

    def _busy(self, status: int) -> StoreUnavailable:
        return StoreUnavailable("the store cannot serve now", where=self._where, why=f"HTTP {status}")


def _copy(connection: SignedConnection, key: str, upload: str, number: int, source: str) -> str:
    connection.other("PUT", key, f"partNumber={number}&uploadId={quoted(upload)}", copy=source)
    found = _ETAG.search(answered(connection, "PUT"))
    if found is None:  # a store that knows no copies takes it for a piece without bytes
        raise NeedsFallback("no copies of objects as pieces")
    return unescaped(found[1])


def _add(connection: SignedConnection, key: str, upload: str, number: int, content: Content) -> str:
    query = f"partNumber={number}&uploadId={quoted(upload)}"
    connection.other("PUT", key, query, size=content.size, digest=_digest(content))
    _send(connection, content)
    answer = connection.answer()
    answer.expect(200, 0)
    return answer.header("etag")


def _send(connection: SignedConnection, content: Content) -> None:
    for piece in content:
        connection.send(piece)
        connection.flush()


def _digest(content: Content) -> str:
    digest = hashlib.sha256()
    for piece in content:
        digest.update(piece)
    return digest.hexdigest()
