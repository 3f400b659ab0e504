"""Buckets through boto3, which knows all cases: credentials and their renewal, multipart, and what each error means.

Objects are removed one by one: OBS and OSS take a request for several only with a Content-MD5, which botocore no longer
sends.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import boto3.exceptions
import botocore.exceptions
from boto3.s3.transfer import TransferConfig

from ...errors import BootstrapError, NothingThere, RequestRefused, SourceChanging, StoreUnavailable
from ...job import Endpoint
from ..common.file_errors import explain
from ..common.sparse import pieces
from ..model.store import ENCRYPTED, Entry, Moved, Multipart, RetryWindow, plain_etag, unheard
from .answers import LISTING, OBJECT, READ, WRITTEN, check_whole, with_etag
from .boto_errors import NETWORK, Refusals, code_of
from .boto_session import READ_TIMEOUT, connect
from .bounded_botocore import body_watch
from .bounds import SLOWEST, Pages, endless
from .error_codes import is_expiry
from .keys import Keys
from .window import Window

T = TypeVar("T")

_CHUNK = 256 << 10
_SINGLE_PUT = 64 << 20  # above it multipart; OBS takes single PUTs up to 5 GB, but a lost one costs all of it
_RENEWALS = 5  # of the keys for one request; a source that makes up new wrong ones for ever must not hold us


class BotoStore:
    """One bucket."""

    revision = ""
    pipeline = None
    tells_more = None
    long_listing = None

    def __init__(self, bucket: str, endpoint: Endpoint, keys: Keys, *, scheme: str = "obs") -> None:
        self.bucket = bucket
        self.url = f"{scheme}://{bucket}"
        """The bucket as messages write it."""
        self.endpoint = endpoint
        self.retry_window = RetryWindow(endpoint.retry_window)
        self._max_objects = endpoint.max_objects
        self._keys = keys
        self.told_time: Callable[[str], None] = self.retry_window.told_time
        self._client = connect(endpoint, keys)
        self._client.meta.events.register("after-call.s3.ListObjects*", self._listed)
        self.refusals = Refusals(bucket, self.url, endpoint)
        self._content_md5 = False  # the bucket wants it with all that is written
        self._v1 = False  # this store's listing knows only the first version

    def entries(self, prefix: str) -> Iterator[Entry]:
        for page in self._pages(prefix):
            for found in page.get("Contents", []):
                yield self._listed_entry(found)

    def children(self, prefix: str) -> list[str]:
        page = self._ask(
            "cannot list",
            prefix,
            lambda: self._client.list_objects(Bucket=self.bucket, Prefix=prefix, Delimiter="/"),
            needs=LISTING,
        )
        names = [found["Prefix"] for found in page.get("CommonPrefixes", [])]
        names += [found["Key"] for found in page.get("Contents", [])]
        return sorted(name[len(prefix) :] for name in names if name != prefix)

    def stat(self, key: str) -> Entry | None:
        try:
            found = self._ask(
                "cannot look at", key, lambda: self._client.head_object(Bucket=self.bucket, Key=key), needs=OBJECT
            )
        except NothingThere:
            return None
        except BootstrapError:
            # An answer to HEAD has no body, so it cannot say which of a dozen causes it was. A listing can.
            return next((entry for entry in self._first_page(key) if entry.key == key), None)
        return Entry(key, found["ContentLength"], plain_etag(found["ETag"]), _moment(found))

    def read(self, key: str, *, start: int = 0, end: int | None = None, etag: str = "") -> BotoBody:
        options: dict[str, Any] = {}
        if start or end is not None:
            options["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        answer = self._ask(
            "cannot read", key, lambda: self._client.get_object(Bucket=self.bucket, Key=key, **options), needs=READ
        )
        body = BotoBody(self, key, answer)
        # Compared here: not every store and proxy honours If-Match.
        if etag and etag.removesuffix(ENCRYPTED) != body.entry.etag.removesuffix(ENCRYPTED):
            body.close()
            raise SourceChanging("an object changed while it was read", where=f"{self.url}/{key}")
        return body

    def write(self, key: str, content: Path | bytes, *, encoding: str = "", moved: Moved = unheard) -> Entry:
        about: dict[str, Any] = {"Bucket": self.bucket, "Key": key}
        about |= {"ContentEncoding": encoding} if encoding else {}
        if isinstance(content, bytes):
            etag = self._put(
                "cannot write",
                key,
                hashlib.md5(content, usedforsecurity=False).digest(),
                lambda more: self._client.put_object(**about, **more, Body=content),
            )
            return Entry(key, len(content), etag)
        try:
            with open(content, "rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                if size > _SINGLE_PUT:
                    config = TransferConfig(multipart_threshold=_SINGLE_PUT, multipart_chunksize=16 << 20)
                    extra = {"ContentEncoding": encoding} if encoding else {}
                    self._ask(
                        "cannot write",
                        key,
                        lambda: self._client.upload_file(
                            str(content), self.bucket, key, Config=config, ExtraArgs=extra, Callback=moved
                        ),
                    )
                    return Entry(key, size)

                def put(more: dict[str, Any]) -> Any:  # from the beginning each time: newer keys send it all again
                    body: Any = Window(file.fileno(), 0, size)
                    return self._client.put_object(**about, **more, Body=body)

                etag = self._put("cannot write", key, _md5(file.fileno(), 0, size), put)
        except OSError as error:
            raise explain(error, content, "cannot read what is to be delivered") from error
        return Entry(key, size, etag)

    def copy(self, source: str, key: str) -> bool:
        whence: Any = {"Bucket": self.bucket, "Key": source}
        try:  # in parts where it is larger than one copy may be
            self._ask("cannot copy", key, lambda: self._client.copy(whence, self.bucket, key))
        except BootstrapError as error:
            if error.facts.get("http_status") in (405, 501):
                return False
            raise
        return True

    def delete(self, key: str) -> None:
        self._ask("cannot remove", key, lambda: self._client.delete_object(Bucket=self.bucket, Key=key))

    # --- in parts ---

    @property
    def multipart(self) -> Multipart:
        return self

    def begin(self, key: str) -> str:
        answer = self._ask(
            "cannot begin an upload",
            key,
            lambda: self._client.create_multipart_upload(Bucket=self.bucket, Key=key),
            needs=("UploadId",),
        )
        return answer["UploadId"]

    def parts(self, key: str, upload: str) -> dict[int, tuple[int, str]]:
        found: dict[int, tuple[int, str]] = {}
        while True:

            def page(last: int = max(found, default=0)) -> Any:
                after: Any = {"PartNumberMarker": last} if last else {}
                return self._client.list_parts(Bucket=self.bucket, Key=key, UploadId=upload, **after)

            before = len(found)
            answer = self._ask("cannot look at an upload", key, page, needs=LISTING)
            for part in answer.get("Parts", []):
                found[part["PartNumber"]] = (part["Size"], plain_etag(part["ETag"]))
            if not answer.get("IsTruncated") or not answer.get("Parts"):
                return found
            if len(found) == before:
                raise endless("the list of an upload's parts does not go on")

    def put_part(self, key: str, upload: str, number: int, file: int, start: int, size: int) -> str:
        def put(more: dict[str, Any]) -> Any:
            body: Any = Window(file, start, size)
            return self._client.upload_part(
                Bucket=self.bucket, Key=key, UploadId=upload, PartNumber=number, Body=body, **more
            )

        return self._put("cannot write a part of", key, _md5(file, start, size), put)

    def finish(self, key: str, upload: str, etags: list[str]) -> str:
        parts: Any = {"Parts": [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]}
        answer = self._ask(
            "cannot finish an upload",
            key,
            lambda: self._client.complete_multipart_upload(
                Bucket=self.bucket, Key=key, UploadId=upload, MultipartUpload=parts
            ),
            needs=WRITTEN,
        )
        return plain_etag(answer["ETag"])

    def abandon(self, key: str, upload: str) -> None:
        try:
            self._ask(
                "cannot give up an upload",
                key,
                lambda: self._client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload),
            )
        except StoreUnavailable as error:
            if error.facts.get("store_code") != "NoSuchUpload":
                raise

    def _put(self, what: str, key: str, md5: bytes, request: Callable[[dict[str, Any]], Any]) -> str:
        """Write; returns the ETag, which must be the MD5 of what was sent where it is one: a body can be spoiled on its
        way after it was signed. Buckets with Object Lock are told the MD5 beforehand, as they demand.
        """

        told = {"ContentMD5": base64.b64encode(md5).decode()}
        more = told if self._content_md5 else {}
        try:
            answer = self._ask(what, key, lambda: with_etag(lambda: request(more)))
        except RequestRefused as error:
            if more or "content-md5" not in error.why.lower():
                raise
            self._content_md5 = True
            answer = self._ask(what, key, lambda: with_etag(lambda: request(told)))
        entry = Entry(key, 0, plain_etag(answer["ETag"]) + (ENCRYPTED if _is_encrypted(answer) else ""))
        if entry.md5 not in ("", md5.hex()):
            why = f"the store says {entry.md5}, it was {md5.hex()}"
            raise StoreUnavailable("other bytes arrived than were sent", where=f"{self.url}/{key}", why=why)
        return entry.etag.removesuffix(ENCRYPTED)

    # --- listing ---

    def _pages(self, prefix: str) -> Iterator[Any]:
        token, pages = "", Pages(self._max_objects)
        while True:
            page = self._page(prefix, token)
            yield page
            if not page.get("IsTruncated"):
                return
            token = page.get("NextContinuationToken", "")
            if not token:  # a store that knows only version 1 takes the request for one of those
                self._v1 = True
            if self._v1:
                token = page.get("NextMarker") or (page.get("Contents") or [{"Key": ""}])[-1]["Key"]
            pages.go_on(token, len(page.get("Contents") or ()))

    def _page(self, prefix: str, token: str) -> Any:
        if not self._v1:
            options: dict[str, Any] = {"ContinuationToken": token} if token else {}
            try:
                return self._ask(
                    "cannot list",
                    prefix,
                    lambda: self._client.list_objects_v2(Bucket=self.bucket, Prefix=prefix, **options),
                    needs=LISTING,
                )
            except (StoreUnavailable, RequestRefused) as error:
                if token or error.facts.get("store_code") not in ("NotImplemented", "InvalidArgument"):
                    raise
                self._v1 = True
        return self._ask(
            "cannot list",
            prefix,
            lambda: self._client.list_objects(Bucket=self.bucket, Prefix=prefix, Marker=token),
            needs=LISTING,
        )

    def _first_page(self, prefix: str) -> Iterator[Entry]:
        for found in self._page(prefix, "").get("Contents", []):
            yield self._listed_entry(found)

    def _listed_entry(self, found: Any) -> Entry:
        """What a listing says of an object: without its size nobody can tell what has come of it."""
        key, size = found.get("Key", ""), found.get("Size", -1)
        if not key or size < 0:
            raise StoreUnavailable(
                "the store lists an object without its name or its size",
                where=f"{self.url}/{key}",
                why=f"it says {', '.join(sorted(found)) or 'nothing'} of it",
                temporary=False,
            )
        return Entry(key, size, plain_etag(found.get("ETag", "")), _moment(found))

    # --- one request ---

    def _listed(self, http_response: Any, **_: object) -> None:
        self.told_time(http_response.headers.get("date", ""))

    def _ask(self, what: str, key: str, request: Callable[[], T], *, needs: tuple[str, ...] = ()) -> T:
        """Make one request. Newer credentials, where there are some, get a chance; then the error gets words.

        An answer without all it ``needs`` is one whose head broke off: to Python's HTTP client the end of a connection
        is as good as the empty line that ends a head.
        """
        for renewals in range(_RENEWALS + 1):
            used = self._keys.current()
            try:
                answer = request()
                check_whole(answer, needs)
            except (
                botocore.exceptions.ClientError,
                botocore.exceptions.BotoCoreError,
                boto3.exceptions.Boto3Error,
                *NETWORK,
            ) as error:
                if renewals == _RENEWALS or not is_expiry(code_of(error)) or not self._keys.renewed(used):
                    raise self.refusals.of(error, what, key) from error
            else:
                self._keys.accepted(used)
                return answer
        raise AssertionError("the last round returns or raises")


class BotoBody:
    """One answer to a GET. Ends the connection's use when it is iterated to its end or closed."""

    def __init__(self, store: BotoStore, key: str, answer: Any) -> None:
        self._store = store
        self._stream = answer["Body"]
        self._watch = body_watch(READ_TIMEOUT + _CHUNK / SLOWEST)
        self._length: int | None = answer.get("ContentLength")  # none: in chunks, or until the connection ends
        told = answer.get("ContentRange", "").rpartition("/")[2]  # nothing where all came, "*" where it is not known
        whole = int(told) if told.isascii() and told.isdigit() else -1 if told or self._length is None else self._length
        etag = plain_etag(answer.get("ETag", ""))
        if _is_encrypted(answer):
            etag += ENCRYPTED
        self.entry = Entry(key, whole, etag, _moment(answer))
        self.encoding = str(answer.get("ContentEncoding", "")).replace("aws-chunked", "").strip(", ")

    def __iter__(self) -> Iterator[bytes]:
        read = 0
        try:
            with self._watch:
                while piece := self._stream.read(_CHUNK):
                    read += len(piece)
                    self._watch.pause()
                    yield piece
                    self._watch.go_on()
        except (botocore.exceptions.BotoCoreError, *NETWORK) as error:
            raise self._store.refusals.of(error, "a body broke off", self.entry.key) from error
        finally:
            self.close()
        if self._length is not None and read != self._length:
            where = f"{self._store.url}/{self.entry.key}"
            raise StoreUnavailable("a body ended early", where=where, why=f"{read} of {self._length} bytes came")

    def close(self) -> None:
        self._watch.end()
        self._stream.close()


def _moment(answer: Any) -> float:
    """When the object was written; 0 where nothing is said of it, or what is no moment."""
    found = answer.get("LastModified")
    try:
        return float(found.timestamp()) if found is not None else 0.0
    except (ValueError, OverflowError):
        return 0.0


def _is_encrypted(answer: Any) -> bool:
    """Whether its ETag is no MD5, though it has 32 digits."""
    headers = answer["ResponseMetadata"].get("HTTPHeaders", {})
    appendable = (headers.get(f"x-{dialect}-object-type", "").lower() == "appendable" for dialect in ("oss", "obs"))
    kms = answer.get("ServerSideEncryption") not in (None, "AES256")
    return kms or bool(answer.get("SSECustomerAlgorithm")) or any(appendable)


def _md5(file: int, start: int, size: int) -> bytes:
    digest = hashlib.md5(usedforsecurity=False)
    for piece in pieces(file, start, start + size, _CHUNK):
        digest.update(piece)
    return digest.digest()
