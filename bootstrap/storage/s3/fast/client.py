"""The fast path: objects read, written and listed over plain sockets, for the case in which nothing is unusual.

botocore costs more than a millisecond of CPU a request, here it is some forty microseconds. In return only the plain
case is known: status 200 or 206, a length, no redirect, no proxy, keys that do not end soon. Everything else raises
:class:`NeedsFallback` or ``OSError`` and is done again by boto3, which alone decides what an error means.
"""

from __future__ import annotations

import os
import re
import time
import urllib.parse
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import closing
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING

from ....errors import CredentialsExpired, EndpointWrong
from ....job import Endpoint, StopRequest
from ...common.way import authorities, host_of, proxy_for, tls_context
from ...model.listing import Entries
from ...model.pipeline import Connection, E, NeedsFallback, RequestBudget, Several
from ...model.store import ENCRYPTED, Entry, RetryWindow, Seen, plain_etag
from ..bounds import MOST_LISTED, Pages, check_xml, endless
from ..endpoint import style_of
from ..keys import MARGIN, Keys, remaining
from .growth import processes_for
from .http1 import Answer as HttpAnswer
from .http1 import HttpConnection, Meter
from .pipeline import Memory, Processes, run
from .sigv4 import EMPTY, UNSIGNED, Signer

if TYPE_CHECKING:
    import ssl

_PLAIN_BUCKET = re.compile(r"[a-z0-9-]+")
_TOKEN = re.compile(rb"<NextContinuationToken>([^<]+)</NextContinuationToken>")
_FIELD = re.compile(r"<(Key|LastModified|ETag|Size)>([^<]*)</")
_ROOT = b"ListBucketResult"
_PAGE = 1000
_READERS_TLS = 4  # to begin with: each gets 16 kB a call and takes the interpreter between two, so more may be slower
_OPENING_TLS = 0.002  # seconds of work for a connection, until it is measured
_WAITS = 0.5  # share of the time that goes by until the store answers, where it could answer others meanwhile
_LONG = 0.2  # seconds of it, after which there is time for something else meanwhile
_MANY_PAGES = 8  # of a listing, after which ranges are worth their additional requests


class FastClient:
    """One bucket's. Its methods may be called from several threads; each connection belongs to one of them."""

    def __init__(self, bucket: str, endpoint: Endpoint, keys: Keys, retry_window: RetryWindow | None = None) -> None:
        """Raises :class:`NeedsFallback` for buckets and endpoints that only boto3 knows how to address."""
        parts = urllib.parse.urlsplit(endpoint.url)
        if parts.path or not _PLAIN_BUCKET.fullmatch(bucket) or proxy_for(endpoint.url):
            raise NeedsFallback(endpoint.url)
        virtual = style_of(endpoint) == "virtual"
        self._name = f"{bucket}.{host_of(endpoint.url)}" if virtual else host_of(endpoint.url)
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._host = f"{bucket}.{parts.netloc}" if virtual else parts.netloc
        self._root = "/" if virtual else f"/{bucket}/"
        self._bucket = bucket
        self._region = endpoint.region or "us-east-1"
        self._endpoint = endpoint
        self._tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self._tls = tls_context(verify=endpoint.verify, ca_bundle=endpoint.ca_bundle)
        self._session: ssl.SSLSession | None = None
        self._keys = keys
        self._signer: Signer | None = None
        self.memory = Memory(opening=_OPENING_TLS, readers=_READERS_TLS) if self._tls is not None else Memory()
        self.retry_window = retry_window or RetryWindow(endpoint.retry_window)

    def connect(self, meter: Meter | None = None, beside: Connection | None = None) -> SignedConnection:
        """A connection of one's own; ``beside`` another of ours, as :class:`HttpConnection` has it."""
        other = beside if isinstance(beside, SignedConnection) else None
        if other is not None and self._tls is not None:
            self._session = other.session or self._session
        return SignedConnection(self, self._name, self._port, self._tls, meter, other, self._session)

    def processes(self) -> Processes | None:
        """They pay where TLS is in use, and only there: else the kernel does most of the work, and threads do."""
        endpoint, wanted = self._endpoint, self._endpoint.processes
        if self._tls is None:
            return None
        from ....ground.machine import cores  # for a transfer of large objects

        count = processes_for(cores.usable()) if wanted is None else wanted
        if not count:
            return None
        from .held import Holders  # which few need
        from .holder import Way

        bundle = authorities(verify=endpoint.verify, ca_bundle=endpoint.ca_bundle) or ""
        way = Way(os.getpid(), self._name, self._port, True, endpoint.verify, bundle)
        return Holders(way, self, count, at_once=wanted is not None)

    def run(
        self,
        exchanges: Several[E],
        *,
        heavy: int,
        budget: RequestBudget,
        stop: StopRequest,
        beat: Callable[[], None],
    ) -> Several[E]:
        return run(self, exchanges, heavy=heavy, budget=budget, stop=stop, beat=beat)

    def get(self, key: str, start: int = 0, end: int = 0) -> bytes:
        """The request for an object, or for its bytes ``start`` to ``end`` (not included) if ``end`` is given."""
        more = f"Range: bytes={start}-{end - 1}\r\n" if end else ""
        return self._sign().head("GET", self._path(key), more=more)

    def put(self, key: str, size: int, digest: str, *, upload: str = "", part: int = 0) -> bytes:
        """The head of the request that writes ``size`` bytes with the SHA-256 ``digest`` (empty: unsigned): an object,
        or one part of a multipart upload."""
        query = f"partNumber={part}&uploadId={_quoted(upload, '-_.~')}" if upload else ""
        digest = digest or UNSIGNED
        return self._sign().head("PUT", self._path(key), query, digest=digest, more=f"Content-Length: {size}\r\n")

    def first(self, prefix: str) -> Entry | None:
        """The first object whose key starts with ``prefix``."""
        connection = self.connect()
        try:
            connection.send(self._list(prefix, "", 1))
            found = _entries(_page(connection, self.retry_window))
        finally:
            connection.close()
        self.accepted()
        return found[0] if len(found) else None

    def children(self, prefix: str) -> list[str]:
        """The names directly below ``prefix``, directories with a slash; the first thousand."""
        connection = self.connect()
        try:
            connection.send(self._list(prefix, "", _PAGE, delimiter="/"))
            page = _page(connection, self.retry_window)
        finally:
            connection.close()
        self.accepted()
        encoded = b"EncodingType>url<" in page
        found = [one.get("Key") or one.get("Prefix", "") for one in _parsed(page, ("Contents", "CommonPrefixes"))]
        names = [urllib.parse.unquote_plus(name) if encoded else name for name in found]
        return sorted(name[len(prefix) :] for name in names if name != prefix)

    def head(self, key: str) -> Entry | None:
        """The object itself, or None. Not every listing has it already."""
        connection = self.connect()
        try:
            connection.send(self._sign().head("HEAD", self._path(key)))
            answer = connection.answer()
        finally:
            connection.close()
        if answer.status == 404 and answer.header("x-amz-request-id") + answer.header("x-obs-request-id"):
            return None
        answer.expect(200)
        if not answer.etag or answer.size < 0:
            raise NeedsFallback("an object without an ETag or a length")
        from email.utils import parsedate_to_datetime  # 5 ms, where a listing did not do

        try:
            moment = parsedate_to_datetime(answer.header("last-modified")).timestamp()
        except (ValueError, TypeError, OverflowError) as error:
            raise NeedsFallback("an object without a date") from error
        self.accepted()
        return Entry(key, answer.size, answer.etag.removesuffix(ENCRYPTED), moment)

    def heads(self, key: str, queries: Collection[str]) -> Iterator[HttpAnswer]:
        """What is said of an object, with checksums, for each query; all are sent ahead. Raises :class:`NeedsFallback`
        for what is refused.
        """
        connection = self.connect()
        try:
            for query in queries:
                connection.send(self._sign().head("HEAD", self._path(key), query, checksums=True))
            for _ in queries:
                answer = connection.answer()
                if answer.status not in (200, 206):
                    raise NeedsFallback(f"status {answer.status}")
                yield answer
        finally:
            connection.close()

    def entries(self, prefix: str, seen: Seen | None = None) -> Entries:
        """All objects whose keys start with ``prefix``: in ranges side by side when there are many, and most of the
        time goes by until the store answers. Then ``seen`` is told of them on the way, too.
        """
        found, pages = Entries(), self._pages(prefix)
        began, waited = time.monotonic(), 0.0
        with closing(pages):
            for number in count(1):
                asked = time.monotonic()
                page = next(pages, None)
                waited += time.monotonic() - asked
                if page is None:
                    break
                _entries(page, found)
                waits = waited > _WAITS * (time.monotonic() - began)
                if seen is not None and waits and waited > _LONG and _TOKEN.search(page):
                    seen(found)
                if number == _MANY_PAGES and waits and self._add_rest(prefix, found):
                    break
        self.accepted()
        return found

    def objects(self, prefix: str, after: str) -> Iterator[Entries]:
        """Those behind the key ``after``, a page at a time."""
        with closing(self._pages(prefix, after)) as pages:
            yield from map(_entries, pages)

    def directories(self, above: str, after: str) -> Iterator[list[str]]:
        """The names right below ``above`` that have a slash, whole, a page at a time; from ``after`` on."""
        with closing(self._pages(above, after, delimiter="/")) as pages:
            for page in pages:
                names = [one.get("Prefix", "") for one in _parsed(page, ("CommonPrefixes",))]
                encoded = b"EncodingType>url<" in page
                yield [urllib.parse.unquote_plus(name) for name in names] if encoded else names

    def _add_rest(self, prefix: str, found: Entries) -> bool:
        """Add what comes behind the last key; False where that has to be listed page by page."""
        from .ranges import in_order, rest_of  # which a short listing need not load

        try:
            rest = rest_of(self, prefix, found.keys[len(found) - 1]) if in_order(found) else []
        except (NeedsFallback, OSError):
            return False
        any_left = bool(rest)
        while rest:  # each goes once it is added: there may be millions
            one = rest.pop(0)
            found.add(one, len(one))
        Pages(self._endpoint.max_objects).go_on("the end", len(found) - 1)  # each range alone may have had fewer
        return any_left

    def _pages(self, prefix: str, after: str = "", *, delimiter: str = "") -> Generator[bytes]:
        """The next page is asked for before one is looked at."""
        connection = self.connect()
        try:
            connection.send(self._list(prefix, "", _PAGE, delimiter=delimiter, after=after))
            pages = Pages(self._endpoint.max_objects)
            began = time.monotonic()
            while True:
                page = _page(connection, self.retry_window)
                if began:
                    self.memory.thinks = time.monotonic() - began - connection.link
                    self._session = connection.session
                    began = 0.0
                token = _TOKEN.search(page)
                if token is None and b"<IsTruncated>true<" in page:
                    raise NeedsFallback("a listing of the first version")
                if token is not None:
                    pages.go_on(token[1], (page.count(b"Contents>") + page.count(b"CommonPrefixes>")) // 2)
                    more = _unescaped(token[1].decode(errors="replace"))  # of what is no text the page is refused
                    connection.send(self._list(prefix, more, _PAGE, delimiter=delimiter))
                yield page
                if token is None:
                    return
        finally:
            connection.close()

    def other(self, method: str, key: str, query: str, *, size: int = 0, digest: str = EMPTY, copy: str = "") -> bytes:
        """The head of any other request; ``copy`` is the key in this bucket whose object the store is to copy."""
        source = f"/{self._bucket}/{_quoted(copy, '/-_.~')}" if copy else ""
        more = f"Content-Length: {size}\r\n"
        return self._sign().head(method, self._path(key), query, digest=digest, copy=source, more=more)

    def copy(self, source: str, key: str) -> None:
        """Have the store copy an object of this bucket. Raises :class:`NeedsFallback` unless it says that it has."""
        connection = self.connect()
        try:
            connection.other("PUT", key, copy=source)
            status, body = connection.whole("PUT", long=True)  # a large object takes the store its time
        finally:
            connection.close()
        if status != 200 or b"CopyObjectResult" not in body:  # errors come as 200, too
            raise NeedsFallback(f"status {status}")
        self.accepted()

    def accepted(self) -> None:
        """The store took the keys; it matters for what a later refusal means."""
        if self._signer is not None:
            self._keys.accepted(self._signer.credentials)

    def _list(self, prefix: str, token: str, most: int, *, delimiter: str = "", after: str = "") -> bytes:
        fields = [("list-type", "2"), ("max-keys", str(most)), ("prefix", prefix), ("encoding-type", "url")]
        if token:
            fields.append(("continuation-token", token))
        if after:
            fields.append(("start-after", after))
        if delimiter:
            fields.append(("delimiter", delimiter))
        query = "&".join(f"{name}={_quoted(value, '-_.~')}" for name, value in sorted(fields))
        return self._sign().head("GET", self._root, query)

    def _path(self, key: str) -> str:
        return self._root + _quoted(key, "/-_.~")

    def _sign(self) -> Signer:
        try:
            credentials = self._keys.current()
        except CredentialsExpired as error:
            raise NeedsFallback("credentials have ended") from error
        if remaining(credentials) < MARGIN:
            raise NeedsFallback("credentials are about to end")
        signer = self._signer
        if signer is None or signer.credentials is not credentials:
            signer = self._signer = Signer(credentials, self._region, self._host)
        return signer


class SignedConnection(HttpConnection):
    """A connection to the bucket: what it is asked for goes out signed."""

    def __init__(
        self,
        client: FastClient,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        meter: Meter | None,
        beside: HttpConnection | None,
        session: ssl.SSLSession | None,
    ) -> None:
        super().__init__(host, port, tls, meter, beside, session)
        self._client = client

    def get(self, key: str, start: int = 0, end: int = 0) -> None:
        self.send(self._client.get(key, start, end))

    def put(self, key: str, size: int, sha256: str, *, upload: str = "", part: int = 0) -> None:
        self.send(self._client.put(key, size, sha256, upload=upload, part=part))

    def other(
        self, method: str, key: str, query: str = "", *, size: int = 0, digest: str = EMPTY, copy: str = ""
    ) -> None:
        """The head of any other request, as :meth:`FastClient.other` makes it."""
        self.send(self._client.other(method, key, query, size=size, digest=digest, copy=copy))


def _page(connection: HttpConnection, window: RetryWindow) -> bytes:
    with connection.watched():
        page = _read_page(connection, window)
    check_xml(page)
    if _ROOT not in page:  # an error that came as 200, or a stranger's answer
        raise NeedsFallback("something else than a listing")
    return page


def _read_page(connection: HttpConnection, window: RetryWindow) -> bytes:
    answer = connection.answer()
    answer.expect(200)
    if "html" in answer.header("content-type"):
        why = "a web page came in a listing's place, as a console's port or a network's login page sends it"
        remedy = "check S3_ENDPOINT: its host, its port (not the console's) and whether the network lets us through"
        raise EndpointWrong("no object store answers there", why=why, remedy=remedy)
    if answer.size > MOST_LISTED:
        raise endless(f"a page of {answer.size} bytes is announced")
    window.told_time(answer.header("date"))
    return connection.body(answer.size)


def _entries(page: bytes, before: Entries | None = None) -> Entries:
    """The objects on a page of a listing, behind those of the pages ``before``: read as text where it has the shape
    that stores write, which takes a third of the time, and as XML where anything is out of the ordinary.
    """
    try:
        text = page.decode().replace("&quot;", '"').replace("&#34;", '"')
        _, *each = text.split("<Contents>")
        objects = [dict(_FIELD.findall(part, 0, part.find("</Contents>"))) for part in each]
        if not objects or text.count("Contents>") != 2 * len(objects) or "&" in text or "<!" in text:
            objects = _parsed(page)
        keys = [found["Key"] for found in objects]
        if "EncodingType>url<" in text:
            keys = [urllib.parse.unquote_plus(key) if "%" in key or "+" in key else key for key in keys]
        sizes = [int(found["Size"]) for found in objects]
        if not all(keys) or min(sizes, default=0) < 0:
            raise ValueError("an object without a key, or of no size")
        times = {found["LastModified"]: 0.0 for found in objects}  # often few: what was uploaded together
        for moment in times:
            times[moment] = datetime.fromisoformat(f"{moment[:19]}+00:00").timestamp()
        etags = [plain_etag(found.get("ETag", "")) for found in objects]
        listing = Entries() if before is None else before
        listing.extend(keys, sizes, etags, [times[found["LastModified"]] for found in objects])
    except (KeyError, ValueError, OverflowError) as error:
        raise NeedsFallback("a listing of another shape") from error
    return listing


def _parsed(page: bytes, kinds: Collection[str] = ("Contents",)) -> list[dict[str, str]]:
    from xml.etree import ElementTree  # 5 ms, for those alone who meet such a listing

    try:
        root = ElementTree.fromstring(page)
    except ElementTree.ParseError as error:
        raise NeedsFallback("a listing that is no XML") from error
    return [
        {part.tag.rpartition("}")[2]: part.text or "" for part in child}
        for child in root
        if child.tag.rpartition("}")[2] in kinds
    ]


def _unescaped(text: str) -> str:
    if "&" not in text:
        return text
    from html import unescape  # 3 ms, for a token that no store was seen to give

    return unescape(text)


def _quoted(text: str, safe: str) -> str:
    return urllib.parse.quote(text, safe=safe)
