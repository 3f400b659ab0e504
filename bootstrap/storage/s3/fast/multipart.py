"""Uploads in parts, begun, finished and given up over the fast path: an upload of large files need not load boto3.

Whatever is not plain is done again by boto3. To begin twice would leave an upload behind that nobody knows of, so what
could have begun one is looked at in every shape an answer may have; to finish and to give up twice does no harm.
"""

from __future__ import annotations

import hashlib
import html
import re
import urllib.parse
from collections.abc import Callable, Sequence

from ...model.pipeline import NeedsFallback
from ...model.store import Multipart, plain_etag
from ..bounds import check_xml
from .client import FastClient, SignedConnection

_UPLOAD = re.compile(rb"<UploadId>([^<]+)</UploadId>")
_ETAG = re.compile(rb"<ETag>([^<]+)</ETag>")


class FastMultipart:
    """A bucket's. A :class:`bootstrap.storage.model.store.Multipart`."""

    def __init__(self, client: FastClient, fallback: Callable[[], Multipart]) -> None:
        """``fallback`` gives what does the rest, and costs something the first time."""
        self._client, self._fallback = client, fallback

    def begin(self, key: str) -> str:
        try:
            return self._asked(lambda connection: begin(connection, key))
        except (NeedsFallback, OSError):
            return self._fallback().begin(key)

    def parts(self, key: str, upload: str) -> dict[int, tuple[int, str]]:
        return self._fallback().parts(key, upload)

    def put_part(self, key: str, upload: str, number: int, file: int, start: int, size: int) -> str:
        return self._fallback().put_part(key, upload, number, file, start, size)

    def finish(self, key: str, upload: str, etags: list[str]) -> str:
        try:
            return self._asked(lambda connection: complete(connection, key, upload, etags, long=True))
        except (NeedsFallback, OSError):
            return self._fallback().finish(key, upload, etags)

    def abandon(self, key: str, upload: str) -> None:
        try:
            self._asked(lambda connection: abort(connection, key, upload))
        except (NeedsFallback, OSError):
            self._fallback().abandon(key, upload)

    def _asked(self, ask: Callable[[SignedConnection], str]) -> str:
        connection = self._client.connect()
        try:
            answer = ask(connection)
        finally:
            connection.close()
        self._client.accepted()
        return answer


def begin(connection: SignedConnection, key: str) -> str:
    """The id of a new upload. Raises :class:`NeedsFallback`, as all of these."""
    connection.other("POST", key, "uploads=")
    found = _UPLOAD.search(answered(connection, "POST"))
    if found is None:
        raise NeedsFallback("no multipart uploads")
    return unescaped(found[1])


def complete(connection: SignedConnection, key: str, upload: str, etags: Sequence[str], *, long: bool = False) -> str:
    """Make the object of its parts, in order; returns its ETag. Some stores copy all of them before they answer: who
    does not wait ``long`` for it has the same begun twice.
    """
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{html.escape(etag)}</ETag></Part>"
        for number, etag in enumerate(etags, 1)
    )
    body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    digest = hashlib.sha256(body).hexdigest()
    connection.other("POST", key, f"uploadId={quoted(upload)}", size=len(body), digest=digest)
    connection.send(body)
    answer = answered(connection, "POST", long=long)
    found = _ETAG.search(answer) if b"CompleteMultipartUploadResult" in answer else None  # errors come as 200, too
    if found is None:
        raise NeedsFallback("not completed")
    return plain_etag(unescaped(found[1]))


def abort(connection: SignedConnection, key: str, upload: str) -> str:
    """Give the upload up, with all its parts."""
    connection.other("DELETE", key, f"uploadId={quoted(upload)}")
    status, _ = connection.whole("DELETE")
    if status not in (200, 204):
        raise NeedsFallback(f"status {status}")
    return ""


def answered(connection: SignedConnection, method: str, *, long: bool = False) -> bytes:
    """What comes with 200, however it tells its length."""
    status, body = connection.whole(method, long=long)
    if status != 200:
        raise NeedsFallback(f"status {status}")
    check_xml(body)
    return body


def quoted(text: str) -> str:
    """As a query has it that is signed."""
    return urllib.parse.quote(text, safe="-_.~")


def unescaped(text: bytes) -> str:
    """What an element of an answer holds."""
    try:
        return html.unescape(text.decode())
    except UnicodeDecodeError:
        raise NeedsFallback("an answer that is no UTF-8") from None
