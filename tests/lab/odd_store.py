"""A small object store of odd behaviours, each a flag: what other servers, gateways and proxies do, one at a time.

    with OddStore(etag_on_put=False) as store:
        store.objects["key"] = Stored(b"...")

Without flags it is a plain store: it lists, reads (also ranges), writes, deletes and takes uploads in parts. Signatures
are not looked at: others of the lab do that.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from xml.sax.saxutils import escape

MOMENT = "2026-11-01T10:00:00.000Z"
HTTP_MOMENT = "Sun, 01 Nov 2026 10:00:00 GMT"
PAGE = 1000


@dataclass
class Stored:
    """An object. ``headers`` go out with it; ``etag`` is what the store says instead of the MD5."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    etag: str = ""

    @property
    def tag(self) -> str:
        return self.etag or hashlib.md5(self.body, usedforsecurity=False).hexdigest()


@dataclass
class OddStore:
    """The oddities. ``seen`` are requests as (method, key, query), in order."""

    bucket: str = "bkt"
    etag_on_put: bool = True
    page: str = ""  # what a console's port sends for everything
    page_type: str = "text/html"
    empty_messages: bool = False  # Ceph's error bodies
    failures: list[tuple[int, str, str]] = field(default_factory=list)  # status, code, text: of the next requests
    refuse: dict[str, tuple[int, str, str]] = field(default_factory=dict)  # the same, for reading a key
    lengths: str = "told"  # of objects: told, chunked, close (the connection's end is the body's), twice, or nonsense
    interim: tuple[int, ...] = ()  # answers before each answer, as 103 is
    zipped: bool = False  # listings are compressed, whoever asks
    listed_without: str = ""  # an element that listings do not have
    undated: bool = False  # objects have no Last-Modified
    weak_etags: bool = False  # of bodies; listings have the strong ones
    upper_etags: bool = False
    unlisted: set[str] = field(default_factory=set)  # keys that listings do not have yet
    unsorted: bool = False
    kms: bool = False  # ETags that are no MD5s, which only an answer to GET says
    object_lock: bool = False  # Content-MD5 is demanded
    flips: int = 0  # so many bodies are stored with one bit flipped
    tokens: str = ""  # of listings that never end: same, turns (two by turns), new (to empty pages), keys (to new keys)
    nested: int = 0  # listings are so many times <a>
    endless: str = ""  # chunks or trailers, of listings
    dripping: str = ""  # whose heads drip without an end: listing, GET, or PUT
    dripping_bodies: bool = False
    cut_bodies: bool = False  # of objects, each time half way
    announced: int = 0  # Content-Length of listings
    objects: dict[str, Stored] = field(default_factory=dict)
    seen: list[tuple[str, str, str]] = field(default_factory=list)

    access_key = "AK"
    secret_key = "SK" * 8
    token = ""
    region = "lab-1"

    def __enter__(self) -> OddStore:
        store = self

        class Handler(_Handler):
            odd = store

        self.uploads: dict[str, dict[int, bytes]] = {}
        self._stop = threading.Event()
        self._server = _Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def url(self, path: str) -> str:
        return f"obs://{self.bucket}/{path}"

    def put(self, key: str, body: bytes, **headers: str) -> None:
        self.objects[key] = Stored(body, {name.replace("_", "-"): value for name, value in headers.items()})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """Clients that hang up are no news here."""


class _Handler(BaseHTTPRequestHandler):
    odd: OddStore
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def _serve(self) -> None:
        odd = self.odd
        parts = urllib.parse.urlsplit(self.path)
        bucket, _, key = urllib.parse.unquote(parts.path).lstrip("/").partition("/")
        query = {name: values[0] for name, values in urllib.parse.parse_qs(parts.query, keep_blank_values=True).items()}
        body = self._body()
        odd.seen.append((self.command, key, parts.query))
        if odd.page:
            return self._answer(200, odd.page.encode(), {"Content-Type": odd.page_type, "Server": "console"})
        if odd.failures:
            return self._error(*odd.failures.pop(0))
        if bucket != odd.bucket:
            return self._error(404, "NoSuchBucket", "no such bucket")
        if not key:
            return self._list(query)
        if self.command == "POST":
            return self._upload(key, query, body)
        if self.command == "PUT":
            return self._put(key, query, body)
        if self.command == "DELETE":
            odd.objects.pop(key, None)
            return self._answer(204, b"", {})
        return self._get(key)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _put(self, key: str, query: dict[str, str], body: bytes) -> None:
        odd = self.odd
        if odd.object_lock:
            right = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
            if self.headers.get("Content-MD5") != right:
                text = "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock"
                return self._error(400, "InvalidRequest", text)
        if odd.flips and body:
            odd.flips -= 1
            body = bytes([body[0] ^ 1]) + body[1:]
        if source := urllib.parse.unquote(self.headers.get("x-amz-copy-source", "")):
            return self._copy(key, query, source.lstrip("/").partition("/")[2])
        if "uploadId" in query:
            odd.uploads[query["uploadId"]][int(query["partNumber"])] = body
        else:
            kept = {name: self.headers[name] for name in ("Content-Encoding",) if name in self.headers}
            odd.objects[key] = Stored(body, kept)
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        return self._answer(200, b"", {"ETag": f'"{etag}"'} if odd.etag_on_put else {})

    def _copy(self, key: str, query: dict[str, str], source: str) -> None:
        odd = self.odd
        if source not in odd.objects:
            return self._error(404, "NoSuchKey", "no such key")
        found, kind = odd.objects[source], "CopyObjectResult"
        if "uploadId" in query:
            first, _, last = (
                self.headers.get("x-amz-copy-source-range", "bytes=0-").removeprefix("bytes=").partition("-")
            )
            body, kind = found.body[int(first) : int(last or len(found.body)) + 1], "CopyPartResult"
            odd.uploads[query["uploadId"]][int(query["partNumber"])] = body
        else:
            odd.objects[key] = found
        text = f"<{kind}><ETag>&quot;{found.tag}&quot;</ETag><LastModified>{MOMENT}</LastModified></{kind}>"
        return self._answer(200, text.encode(), {"Content-Type": "application/xml"})

    def _upload(self, key: str, query: dict[str, str], body: bytes) -> None:
        odd = self.odd
        if "uploads" in query:
            upload = f"u{len(odd.uploads)}"
            odd.uploads[upload] = {}
            text = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            return self._answer(200, text.encode(), {"Content-Type": "application/xml"})
        parts = odd.uploads.pop(query["uploadId"])
        odd.objects[key] = Stored(b"".join(parts[number] for number in sorted(parts)), etag="a" * 32 + f"-{len(parts)}")
        etag = f"<ETag>&quot;{odd.objects[key].tag}&quot;</ETag>"
        text = f"<CompleteMultipartUploadResult>{etag}</CompleteMultipartUploadResult>"
        return self._answer(200, text.encode(), {"Content-Type": "application/xml"})

    def _get(self, key: str) -> None:
        odd = self.odd
        if key in odd.refuse:
            return self._error(*odd.refuse[key])
        found = odd.objects.get(key)
        if found is None:
            return self._error(404, "NoSuchKey", "no such key")
        tag = found.tag.upper() if odd.upper_etags else found.tag
        headers = {"ETag": f'{"W/" * odd.weak_etags}"{tag}"', "Last-Modified": HTTP_MOMENT, **found.headers}
        if odd.undated:
            del headers["Last-Modified"]
        if odd.kms:
            headers["x-amz-server-side-encryption"] = "aws:kms"
        body, status = found.body, 200
        asked = self.headers.get("Range", "")
        if asked:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            body = body[int(first) : int(last) + 1 if last else None]
            headers["Content-Range"] = f"bytes {first}-{int(first) + len(body) - 1}/{len(found.body)}"
            status = 206
        return self._answer(status, body, headers, bodily=True)

    def _list(self, query: dict[str, str]) -> None:
        odd = self.odd
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        keys = [key for key in sorted(odd.objects) if key.startswith(prefix) and key not in odd.unlisted]
        if odd.unsorted:
            keys.reverse()
        start = int(query.get("continuation-token") or 0)
        most = int(query.get("max-keys") or PAGE)
        folders: dict[str, None] = {}
        if delimiter:
            cut = {
                key: prefix + key[len(prefix) :].partition("/")[0] + "/" for key in keys if "/" in key[len(prefix) :]
            }
            folders = dict.fromkeys(cut.values())
            keys = [key for key in keys if key not in cut]
        more = len(keys) > start + most or bool(odd.tokens)
        text = "<ListBucketResult>" + f"<IsTruncated>{str(more).lower()}</IsTruncated>"
        if more:
            after = {"same": 0, "turns": int(not start)}.get(odd.tokens, start + most)
            text += f"<NextContinuationToken>{after}</NextContinuationToken>"
        shown = [keys[0]] * most if odd.tokens == "keys" else keys[start : start + most]
        for number, key in enumerate(shown, start):
            found = odd.objects[key]
            key += f"-{number:09}" if odd.tokens == "keys" else ""
            tag = found.tag.upper() if odd.upper_etags else found.tag
            text += f"<Contents><Key>{escape(key)}</Key><LastModified>{MOMENT}</LastModified>"
            text += f"<ETag>&quot;{tag}&quot;</ETag><Size>{len(found.body)}</Size></Contents>"
        text += "".join(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in folders)
        text += "</ListBucketResult>"
        text = "<a>" * odd.nested or text
        if odd.listed_without:
            text = re.sub(f"<{odd.listed_without}>.*?</{odd.listed_without}>", "", text)
        headers, body = {"Content-Type": "application/xml"}, text.encode()
        if odd.announced:
            headers["Content-Length"] = str(odd.announced)
        if odd.zipped:
            headers["Content-Encoding"], body = "gzip", gzip.compress(body)
        return self._answer(200, body, headers, listing=True)

    def _error(self, status: int, code: str, text: str) -> None:
        message = "<Message></Message>" if self.odd.empty_messages else f"<Message>{escape(text)}</Message>"
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code>{message}<RequestId>r1</RequestId></Error>"
        if not code:  # not a store's answer: a proxy's
            body = f"<html><body>{text}</body></html>"
        headers = {"Content-Type": "application/xml" if code else "text/html"}
        headers |= {"x-amz-request-id": "r1"} if code else {}
        self._answer(status, body.encode(), headers)

    def _answer(
        self, status: int, body: bytes, headers: dict[str, str], *, bodily: bool = False, listing: bool = False
    ) -> None:
        odd = self.odd
        lengths = odd.lengths if bodily and self.command == "GET" else "told"
        lines = [f"HTTP/1.1 {status} x", *(f"{name}: {value}" for name, value in headers.items())]
        if listing and odd.endless:
            lengths = "chunked"
        if lengths == "chunked":
            lines.append("Transfer-Encoding: chunked")
        elif lengths == "close":
            lines.append("Connection: close")
            self.close_connection = True
        elif "Content-Length" not in headers:
            told = {"twice": f"{len(body)}, {len(body)}", "nonsense": f"-{len(body)}"}
            lines.append(f"Content-Length: {told.get(lengths, len(body))}")
        lines[:0] = [line for one in odd.interim for line in (f"HTTP/1.1 {one} x", "Link: <x>", "")]
        head = ("\r\n".join([*lines, "", ""])).encode("latin-1")
        try:
            if odd.dripping == ("listing" if listing else self.command) and (listing or status == 200):
                return self._drip(head[:-2])
            self.wfile.write(head)
            if self.command == "HEAD":
                return None
            if lengths == "chunked":
                for at in range(0, len(body), 100_000):
                    piece = body[at : at + 100_000]
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                more = {"chunks": b"3e8\r\n" + b" " * 1000 + b"\r\n", "trailers": b"x-more: and more\r\n" * 60}
                if odd.endless == "trailers":
                    self.wfile.write(b"0\r\n")
                while listing and odd.endless and not odd._stop.is_set():
                    self.wfile.write(more[odd.endless] * 100)
                self.wfile.write(b"0\r\n")
                self.wfile.write(b"\r\n")
            elif odd.dripping_bodies and bodily:
                self._drip(body[:100])
            elif odd.cut_bodies and bodily:
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
            else:
                self.wfile.write(body)
                if odd.announced and listing:
                    odd._stop.wait(60)
        except (TimeoutError, OSError, ConnectionError):
            self.close_connection = True

    def _drip(self, head: bytes) -> None:
        self.wfile.write(head)
        while not self.odd._stop.is_set():
            self.wfile.write(b"x")
            time.sleep(0.05)
