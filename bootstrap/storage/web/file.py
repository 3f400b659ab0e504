"""One file of a web server: its size and version, and its bytes from anywhere in it.

A server that serves no ranges, or does not say how long a file is, is read once, into a temporary file without a name;
what is asked for is read from there.
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import IO

from ...errors import (
    BootstrapError,
    CredentialsRejected,
    DiskFull,
    EndpointWrong,
    NameUnresolved,
    NothingThere,
    PermissionDenied,
    RequestRefused,
    SourceChanging,
    StoreUnavailable,
)
from ..common.file_errors import local_trouble
from ..common.units import readable
from ..common.way import host_of, proxy_for, without_password
from ..model.store import TIME_ALONE, Entry, plain_etag
from .client import Answer, Redirected, WebClient

_RESOLVED = 60.0  # seconds for which a redirect is taken to lead where it led: those to stores are signed for minutes
_STALE = (401, 403, 404, 410)
_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
_CHUNK = 1 << 20
_WHAT = "cannot fetch a file from the web"


class WebFile:
    """``where`` is the URL as messages write it, ``secret`` the headers for its own server alone. ``sha256`` is what
    somebody has said that it has. Methods may be called from several threads.
    """

    def __init__(
        self, client: WebClient, url: str, *, key: str, where: str, secret: Mapping[str, str], sha256: str = ""
    ) -> None:
        self._client, self._url, self._key, self._where = client, url, key, where
        self._secret, self._sha256 = secret, sha256
        self.revision = ""
        """Which state of it the latest answer was of: the checksum or ETag, else the time."""
        self._ranges = True  # until the server shows that it has none
        self._copy: tuple[IO[bytes], Entry] | None = None
        self._resolved, self._until = "", 0.0
        self._lock = threading.Lock()

    def stat(self) -> Entry:
        """Raises :class:`NothingThere`, and what else the server or the network say."""
        with self._lock:
            if self._copy is not None:
                return self._copy[1]
        answer = self._ask({"Range": "bytes=0-0"})
        found = _RANGE.fullmatch(answer.header("content-range"))
        size = int(found[3]) if found and found[3] != "*" else -1
        if answer.status == 200:
            self._ranges, size = False, answer.length
        entry = self._entry(answer, size)
        answer.close()
        return entry if size >= 0 else self._copied()[1]

    def read(self, start: int, end: int | None, etag: str) -> WebBody | WebCopy:
        if self._copy is None and (self._ranges or not start):
            headers = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if start or end is not None else {}
            answer = self._ask(headers if self._ranges else {})
            found = _RANGE.fullmatch(answer.header("content-range"))
            if answer.status == 206 and found and found[1] == str(start):
                size = int(found[3]) if found[3] != "*" else -1
                return self._body(answer, size, None if end is None else end - start, etag)
            if answer.status == 200 and not start:
                return self._body(answer, answer.length, end, etag)
            answer.close()
            if answer.status != 200:
                raise SourceChanging("another part of a file came than was asked for", where=self._where)
            self._ranges = False
        file, entry = self._copied()
        if etag and etag != entry.etag:
            raise SourceChanging("a file changed while it was read", where=self._where)
        return WebCopy(file, entry, start, entry.size if end is None else min(end, entry.size))

    def _body(self, answer: Answer, size: int, most: int | None, etag: str) -> WebBody:
        entry = self._entry(answer, size)
        if etag and etag != entry.etag:
            answer.close()
            raise SourceChanging("a file changed while it was read", where=self._where)
        return WebBody(self, answer, entry, most)

    def _entry(self, answer: Answer, size: int) -> Entry:
        stamp = answer.header("last-modified")
        try:
            mtime = parsedate_to_datetime(stamp).timestamp() if stamp else 0.0
        except ValueError:
            mtime = 0.0
        etag = plain_etag(answer.header("etag"))
        version = etag or self._sha256
        self.revision = f"sha256:{self._sha256}" if self._sha256 else f"etag:{etag}" if etag else stamp
        # Unlike any MD5: of a web server's ETag nobody knows what it is.
        told = f"web:{version}" if version else f"{TIME_ALONE}{stamp}" if stamp else ""
        return Entry(self._key, size, told, mtime, self._sha256)

    def _copied(self) -> tuple[IO[bytes], Entry]:
        with self._lock:
            if self._copy is None:
                self._copy = self._bring()
            return self._copy

    def _bring(self) -> tuple[IO[bytes], Entry]:
        answer = self._ask({})
        directory = tempfile.gettempdir()
        with local_trouble(directory, "cannot keep what comes from the web"):
            room = os.statvfs(directory)
            free = room.f_bavail * room.f_frsize
            if answer.length > free:
                answer.close()
                raise _does_not_fit(directory, readable(answer.length), free)
            file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (it stays for as long as we do)
        size = 0
        try:
            for piece in WebBody(self, answer, self._entry(answer, answer.length), None):
                size += len(piece)
                if size > free:  # a body whose length nobody told may have no end, and the disk has other users
                    raise _does_not_fit(directory, f"{readable(size)} or more", free)
                with local_trouble(directory, "cannot keep what comes from the web"):
                    file.write(piece)
        except BaseException:
            file.close()
            raise
        return file, self._entry(answer, size)

    def _ask(self, headers: Mapping[str, str]) -> Answer:
        """An answer that can be used. Where redirects led a moment ago is asked first, and the file's own URL after."""
        resolved = self._resolved if time.monotonic() < self._until else ""
        try:
            if resolved:
                answer = self._client.get(resolved, headers, {})
                if answer.status not in _STALE:
                    return self._checked(answer)
                answer.close()
            answer = self._client.get(self._url, headers, self._secret)
        except (OSError, http.client.HTTPException, Redirected) as error:
            self._until = 0.0
            raise self.trouble(error) from error
        if answer.url != self._url:
            self._resolved, self._until = answer.url, time.monotonic() + _RESOLVED
        return self._checked(answer)

    def _checked(self, answer: Answer) -> Answer:
        if answer.status in (200, 206) or (answer.status == 416 and answer.header("content-range") == "bytes */0"):
            return answer
        answer.close()
        raise refusal(answer.status, _WHAT, self._where)

    def trouble(self, error: Exception) -> BootstrapError:
        """What the network did, in our words."""
        return network_trouble(error, _WHAT, self._where, self._url)


def _does_not_fit(directory: str, size: str, free: int) -> DiskFull:
    why = f"it has {size}, {readable(free)} are free, and its server serves no parts of it"
    remedy = "free some space there, or set TMPDIR to a directory on a larger disk"
    return DiskFull("a file from the web does not fit", where=directory, why=why, remedy=remedy)


class WebBody:
    """Bytes as they come over the network."""

    def __init__(self, file: WebFile, answer: Answer, entry: Entry, most: int | None) -> None:
        self.entry = entry
        self.encoding = answer.header("content-encoding")
        self._file, self._answer, self._most = file, answer, most

    def __iter__(self) -> Iterator[bytes]:
        left = self._most
        try:
            for piece in self._answer:
                if left is not None and len(piece) >= left:
                    yield piece[:left]
                    if len(piece) > left:  # more than was asked for: what is behind it is not wanted
                        return
                    left = 0
                    continue
                left = None if left is None else left - len(piece)
                yield piece
        except (OSError, http.client.HTTPException) as error:
            raise self._file.trouble(error) from error
        finally:
            self.close()

    def close(self) -> None:
        self._answer.close()


class WebCopy:
    """Bytes of a file that was brought already."""

    encoding = ""

    def __init__(self, file: IO[bytes], entry: Entry, start: int, end: int) -> None:
        self.entry = entry
        self._file, self._at, self._end = file, start, end

    def __iter__(self) -> Iterator[bytes]:
        while self._at < self._end:
            piece = os.pread(self._file.fileno(), min(_CHUNK, self._end - self._at), self._at)
            if not piece:
                return
            self._at += len(piece)
            yield piece

    def close(self) -> None:
        """The copy is whole, and stays for the next."""


def refusal(status: int, what: str, where: str) -> BootstrapError:
    """An HTTP status that is no success."""
    why = f"the server answers HTTP {status}"
    if status == 401:
        return CredentialsRejected(what, where=where, why=why, remedy="give it the user and token that it wants")
    if status == 403:
        return PermissionDenied(what, where=where, why=why, remedy="check the rights, and whether the URL has ended")
    if status == 407:
        remedy = "the proxy wants a user and a password: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
        return PermissionDenied(what, where=where, why=why, remedy=remedy)
    if status in (404, 410):
        return NothingThere("there is no such file on the web", where=where, why=why, remedy="check the URL")
    if 400 <= status < 500 and status not in (408, 429):
        return RequestRefused(what, where=where, why=why)
    return StoreUnavailable(what, where=where, why=why, temporary=status != 501, overload=status in (429, 503))


def network_trouble(error: Exception, what: str, where: str, url: str) -> BootstrapError:
    """What an HTTP client raises that is no answer."""
    text = str(error).rstrip(". ") or type(error).__name__
    if isinstance(error, Redirected):
        return RequestRefused(what, where=where, why=text, remedy="name the file where it really is")
    if isinstance(error, socket.gaierror):
        why = f"{host_of(url)} has no address: {error.strerror}"
        temporary = error.errno == socket.EAI_AGAIN
        return NameUnresolved(what, where=where, why=why, remedy="check the host in the URL", temporary=temporary)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        remedy = "set AWS_CA_BUNDLE to the server's CA certificates, or S3_VERIFY_SSL=0 to go unchecked"
        return EndpointWrong(what, where=where, why="its TLS certificate is not trusted here", remedy=remedy)
    if "WRONG_VERSION_NUMBER" in text or "record layer failure" in text:
        return EndpointWrong(what, where=where, why="it does not speak TLS", remedy="write http://")
    if "Tunnel connection failed: 407" in text:
        return refusal(407, what, where)
    if proxy := proxy_for(url):
        text += f"; through the proxy {without_password(proxy)}"
    return StoreUnavailable(what, where=where, why=text)
