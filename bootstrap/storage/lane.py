"""The fast lane: objects read, written and listed over plain sockets, for the case in which nothing is unusual.

botocore costs more than a millisecond of CPU a request, here it is some forty microseconds. In return only the plain
case is known: status 200 or 206, a length, no redirect, no proxy, keys that do not end soon. Everything else raises
:class:`Unusual` or ``OSError`` and is done again by the client of record, which alone decides what an error means.
"""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from bootstrap.errors import CredentialsExpired
from bootstrap.job import Endpoint
from bootstrap.storage.endpoint import host_of, style_of
from bootstrap.storage.keys import MARGIN, Keys, remaining
from bootstrap.storage.signing import EMPTY, Signer
from bootstrap.storage.store import Entry
from bootstrap.storage.wire import Connection, Unusual, expect

if TYPE_CHECKING:
    import ssl

_PLAIN_BUCKET = re.compile(r"[a-z0-9-]+")
_TOKEN = re.compile(rb"<NextContinuationToken>([^<]+)</NextContinuationToken>")
_FIELD = re.compile(r"<(Key|LastModified|ETag|Size)>([^<]*)</")
_PAGE = 1000


class Lane:
    """One bucket's. Its methods may be called from several threads; each connection belongs to one of them."""

    def __init__(self, bucket: str, endpoint: Endpoint, keys: Keys) -> None:
        """Raises :class:`Unusual` for buckets and endpoints that only the client of record knows how to address."""
        parts = urllib.parse.urlsplit(endpoint.url)
        if parts.path or not _PLAIN_BUCKET.fullmatch(bucket) or _behind_a_proxy(parts.scheme, parts.netloc):
            raise Unusual(endpoint.url)
        virtual = style_of(endpoint) == "virtual"
        self._name = f"{bucket}.{host_of(endpoint.url)}" if virtual else host_of(endpoint.url)
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._host = f"{bucket}.{parts.netloc}" if virtual else parts.netloc
        self._root = "/" if virtual else f"/{bucket}/"
        self._bucket = bucket
        self._region = endpoint.region or "us-east-1"
        self._tls = _context(endpoint) if parts.scheme == "https" else None
        self._keys = keys
        self._signer: Signer | None = None

    def connect(self) -> Connection:
        return Connection(self._name, self._port, self._tls)

    def get(self, key: str, start: int = 0, end: int = 0) -> bytes:
        """The request for an object, or for its bytes ``start`` to ``end`` (not included) if ``end`` is given."""
        more = f"Range: bytes={start}-{end - 1}\r\n" if end else ""
        return self._sign().head("GET", self._path(key), more=more)

    def put(self, key: str, size: int, digest: str, *, upload: str = "", part: int = 0) -> bytes:
        """The head of the request that writes ``size`` bytes with the SHA-256 ``digest``: an object, or one part of
        a multipart upload."""
        query = f"partNumber={part}&uploadId={_quoted(upload, '-_.~')}" if upload else ""
        return self._sign().head("PUT", self._path(key), query, digest=digest, more=f"Content-Length: {size}\r\n")

    def first(self, prefix: str) -> Entry | None:
        """The first object whose key starts with ``prefix``."""
        connection = self.connect()
        try:
            connection.send(self._list(prefix, "", 1))
            entries = _entries(_page(connection))
        finally:
            connection.close()
        self.worked()
        return entries[0] if entries else None

    def entries(self, prefix: str) -> Iterator[Entry]:
        """All objects whose keys start with ``prefix``. The next page is asked for before one is looked at."""
        connection = self.connect()
        try:
            connection.send(self._list(prefix, "", _PAGE))
            while True:
                page = _page(connection)
                token = _TOKEN.search(page)
                if token is None and b"<IsTruncated>true<" in page:
                    raise Unusual("a listing of the first version")
                if token is not None:
                    connection.send(self._list(prefix, _unescaped(token[1].decode()), _PAGE))
                yield from _entries(page)
                if token is None:
                    self.worked()
                    return
        finally:
            connection.close()

    def rare(self, method: str, key: str, query: str, *, size: int = 0, digest: str = EMPTY, copy: str = "") -> bytes:
        """The head of any other request; ``copy`` is the key in this bucket whose object the store is to copy."""
        source = f"/{self._bucket}/{_quoted(copy, '/-_.~')}" if copy else ""
        more = f"Content-Length: {size}\r\n"
        return self._sign().head(method, self._path(key), query, digest=digest, copy=source, more=more)

    def worked(self) -> None:
        """The store took the keys; it matters for what a later refusal means."""
        if self._signer is not None:
            self._keys.accepted(self._signer.credentials)

    def _list(self, prefix: str, token: str, most: int) -> bytes:
        fields = [("list-type", "2"), ("max-keys", str(most)), ("prefix", prefix), ("encoding-type", "url")]
        if token:
            fields.append(("continuation-token", token))
        query = "&".join(f"{name}={_quoted(value, '-_.~')}" for name, value in sorted(fields))
        return self._sign().head("GET", self._root, query)

    def _path(self, key: str) -> str:
        return self._root + _quoted(key, "/-_.~")

    def _sign(self) -> Signer:
        try:
            credentials = self._keys.current()
        except CredentialsExpired as error:
            raise Unusual("credentials have ended") from error
        if remaining(credentials) < MARGIN:
            raise Unusual("credentials are about to end")
        signer = self._signer
        if signer is None or signer.credentials is not credentials:
            signer = self._signer = Signer(credentials, self._region, self._host)
        return signer


def _page(connection: Connection) -> bytes:
    answer = connection.answer()
    expect(answer, 200, answer.size)
    return connection.body(answer.size)


def _entries(page: bytes) -> list[Entry]:
    """The objects on a page of a listing: read as text where it has the shape that stores write, which takes a third
    of the time, and as XML where anything is out of the ordinary.
    """
    try:
        text = page.decode().replace("&quot;", '"').replace("&#34;", '"')
        _, *each = text.split("<Contents>")
        objects = [dict(_FIELD.findall(part, 0, part.find("</Contents>"))) for part in each]
        if not objects or text.count("Contents>") != 2 * len(objects) or "&" in text or "<!" in text:
            objects = _parsed(page)
        encoded = "EncodingType>url<" in text
        times = {found["LastModified"]: 0.0 for found in objects}  # often few: what was uploaded together
        for moment in times:
            times[moment] = datetime.fromisoformat(f"{moment[:19]}+00:00").timestamp()
        return [_entry(found, encoded, times) for found in objects]
    except (KeyError, ValueError) as error:
        raise Unusual("a listing of another shape") from error


def _entry(found: dict[str, str], encoded: bool, times: dict[str, float]) -> Entry:
    key = found["Key"]
    if encoded and ("%" in key or "+" in key):
        key = urllib.parse.unquote_plus(key)
    if not key:
        raise ValueError("an object without a key")
    return Entry(key, int(found["Size"]), found.get("ETag", "").strip('"'), times[found["LastModified"]])


def _parsed(page: bytes) -> list[dict[str, str]]:
    from xml.etree import ElementTree  # 5 ms, for those alone who meet such a listing

    try:
        root = ElementTree.fromstring(page)
    except ElementTree.ParseError as error:
        raise Unusual("a listing that is no XML") from error
    return [
        {part.tag.rpartition("}")[2]: part.text or "" for part in child}
        for child in root
        if child.tag.rpartition("}")[2] == "Contents"
    ]


def _unescaped(text: str) -> str:
    if "&" not in text:
        return text
    from html import unescape  # 3 ms, for a token that no store was seen to give

    return unescape(text)


def _quoted(text: str, safe: str) -> str:
    return urllib.parse.quote(text, safe=safe)


def _behind_a_proxy(scheme: str, host: str) -> bool:
    """Whether the environment sends requests for ``host`` through a proxy, which the client of record goes through."""
    if not any(
        os.environ.get(name) for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    ):
        return False
    from urllib.request import proxy_bypass  # 10 ms, for those alone who have a proxy

    return not proxy_bypass(host)


def _context(endpoint: Endpoint) -> ssl.SSLContext:
    import ssl  # for those alone who need it

    context = ssl.create_default_context(cafile=endpoint.ca_bundle or _authorities(ssl.get_default_verify_paths()))
    if not endpoint.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _authorities(system: ssl.DefaultVerifyPaths) -> str | None:
    """None where this machine has certificate authorities; else those that the client of record brings along."""
    if system.cafile or (system.capath and os.listdir(system.capath)):
        return None
    from importlib.util import find_spec

    botocore = find_spec("botocore")
    return os.path.join(os.path.dirname(botocore.origin), "cacert.pem") if botocore and botocore.origin else None
