"""Requests to web servers: redirects, proxies, kept connections, and bounds for a server that never ends.

What is secret goes to the origin it was given for, and to no other, however often a server sends us elsewhere.
"""

from __future__ import annotations

import base64
import http.client
import socket
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ... import __version__
from ...errors import EndpointWrong
from ..common.http_answer import StrictAnswer
from ..common.way import proxy_for, tls_context, without_password
from ..model.scheme import Surroundings

if TYPE_CHECKING:
    import ssl

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 10
_CONNECT_TIMEOUT = 10.0  # seconds
_SILENCE = 30.0  # seconds without a byte
_SLOWEST = 1 << 10  # bytes a second; less is as good as nothing
_HEAD_TIMEOUT = 60.0  # seconds for an answer's head, however it drips
_KEPT = 16  # connections to one server that wait for the next request
_CHUNK = 256 << 10
_ASCII = "".join(map(chr, range(33, 127)))
_DRAINED = 64 << 10  # bytes of a redirect's body that are read to keep its connection

Connection = http.client.HTTPConnection


class Redirected(Exception):
    """A server sent us where we do not go. Its text says why."""


class Answer:
    """A status and headers, and the body that comes next. Iterate to its end, or :meth:`close` it."""

    def __init__(self, client: WebClient, url: str, connection: Connection, response: http.client.HTTPResponse) -> None:
        self.url = url
        """Where it came from, after all redirects."""
        self.status = response.status
        self._client, self._connection, self._response = client, connection, response
        self._length = response.length  # None for a body whose end nobody has announced

    @property
    def length(self) -> int:
        """Bytes of the body; -1 where the server does not say."""
        return -1 if self._length is None else self._length

    def header(self, name: str) -> str:
        return (self._response.getheader(name) or "").strip()

    def __iter__(self) -> Iterator[bytes]:
        came = recent = 0
        waited = 0.0  # in all, for what came recently
        try:
            while True:
                asked = time.monotonic()
                if not (piece := self._response.read1(_CHUNK)):
                    break
                waited += time.monotonic() - asked
                recent += len(piece)
                if waited > _SILENCE:
                    if recent < waited * _SLOWEST:
                        raise TimeoutError(f"less than {_SLOWEST} bytes came a second")
                    waited, recent = 0.0, 0
                came += len(piece)
                yield piece
            if self._length is not None and came < self._length:
                raise http.client.IncompleteRead(b"", self._length - came)
        except BaseException:
            self._connection.close()
            raise
        self._response.close()  # without which http.client takes it for unfinished
        self._client.done(self.url, self._connection, self._response)

    def close(self) -> None:
        if not self._response.isclosed():
            self._connection.close()
        self._response.close()


class WebClient:
    """May be used from several threads. Raises ``OSError`` and ``http.client.HTTPException`` for what the network does,
    :class:`Redirected`, and :class:`EndpointWrong` for a proxy that cannot be used.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._tls: ssl.SSLContext | None = None
        self._kept: dict[tuple[str, str], list[Connection]] = {}
        self._lock = threading.Lock()

    def get(self, url: str, headers: Mapping[str, str], secret: Mapping[str, str]) -> Answer:
        """``secret`` headers are sent to the origin of ``url`` only."""
        first, place = _origin(url), url
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._once(place, {**headers, **(secret if _origin(place) == first else {})})
            target = answer.header("location")
            if answer.status not in _REDIRECTS or not target:
                return answer
            came = 0
            for piece in answer:
                came += len(piece)
                if came > _DRAINED:
                    answer.close()
                    break
            place = _followed(place, target)
        raise Redirected(f"more than {_MOST_REDIRECTS} redirects")

    def done(self, url: str, connection: Connection, response: http.client.HTTPResponse) -> None:
        """An answer was read to its end: the connection may serve another."""
        with self._lock:
            kept = self._kept.setdefault(self._way(url), [])
            if not response.will_close and len(kept) < _KEPT:
                kept.append(connection)
                return
        connection.close()

    def _once(self, url: str, headers: Mapping[str, str]) -> Answer:
        with self._lock:
            kept = self._kept.get(self._way(url))
            connection = kept.pop() if kept else None
        if connection is not None:
            try:
                return self._ask(connection, url, headers)
            except (OSError, http.client.HTTPException):  # the server has closed it meanwhile
                connection.close()
        return self._ask(self._connect(url), url, headers)

    def _ask(self, connection: Connection, url: str, headers: Mapping[str, str]) -> Answer:
        parts = urllib.parse.urlsplit(url)
        target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        every = {"User-Agent": f"modelarts-bootstrap/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}
        proxy = self._way(url)[1]
        if proxy and parts.scheme == "http":
            target = f"http://{parts.netloc}{target}"
            every |= _for_a_proxy(proxy)
        late = threading.Timer(_HEAD_TIMEOUT, _cut, (connection,))
        late.daemon = True
        late.start()
        try:
            connection.request("GET", target, headers={**every, **headers})
            return Answer(self, url, connection, connection.getresponse())
        except BaseException:
            connection.close()
            raise
        finally:
            late.cancel()

    def _connect(self, url: str) -> Connection:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        proxy = self._way(url)[1]
        at, behind = (host, port), urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        if proxy:
            if behind.scheme != "http" or not behind.hostname:
                why = "only proxies that are spoken to in plain HTTP can be used"
                raise EndpointWrong("this proxy cannot be used", where=without_password(proxy), why=why)
            at = behind.hostname, behind.port or 80
        if parts.scheme != "https":
            made: Connection = http.client.HTTPConnection(*at, timeout=_CONNECT_TIMEOUT)
        else:
            made = http.client.HTTPSConnection(*at, timeout=_CONNECT_TIMEOUT, context=self._context())
            if proxy:
                made.set_tunnel(host, port, _for_a_proxy(proxy))
        made.response_class = StrictAnswer
        made.connect()
        made.sock.settimeout(_SILENCE)
        made.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def _context(self) -> ssl.SSLContext:
        with self._lock:
            if self._tls is None:
                self._tls = tls_context(verify=self._surroundings.verify, ca_bundle=self._surroundings.ca_bundle)
            return self._tls

    @staticmethod
    def _way(url: str) -> tuple[str, str]:
        return _origin(url), proxy_for(url)


def basic(userinfo: str) -> dict[str, str]:
    """The header of a user and a password as a URL has them."""
    if not userinfo:
        return {}
    plain = urllib.parse.unquote_to_bytes(userinfo if ":" in userinfo else f"{userinfo}:")
    return {"Authorization": f"Basic {base64.b64encode(plain).decode()}"}


def _for_a_proxy(proxy: str) -> dict[str, str]:
    header = basic(proxy.rpartition("://")[2].rpartition("@")[0])
    return {f"Proxy-{name}": value for name, value in header.items()}


def _origin(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _followed(place: str, target: str) -> str:
    """Where a redirect leads; a user and a password in it are not used, since nobody here has given them. Bytes that no
    header may have are escaped, as browsers do it: file names are UTF-8 there.
    """
    target = urllib.parse.quote(target.encode("latin-1", "replace"), safe=_ASCII)
    try:
        parts = urllib.parse.urlsplit(urllib.parse.urljoin(place, target))
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urllib.parse.urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise Redirected("a redirect that leads to no web address")
    if parts.scheme == "http" and place.startswith("https:"):
        raise Redirected(f"a redirect from https:// to http:// ({host}), where anybody could change what comes")
    netloc = f"[{host}]" if ":" in host else host
    path = urllib.parse.quote(parts.path, safe="/%:@!$&'()*+,;=~-._")
    query = urllib.parse.quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
    return urllib.parse.urlunsplit((parts.scheme, f"{netloc}:{port}" if port else netloc, path, query, ""))


def _cut(connection: Connection) -> None:
    sock = connection.sock
    if sock is not None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has ended by itself
