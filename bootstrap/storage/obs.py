"""Buckets through boto3, the client of record: credentials and their renewal, retries, multipart, and every error.

The rules of Huawei's OBS and Alibaba's OSS that differ from S3 are kept here: buckets in the host's name, no checksum
trailers, signature version 4 with the region that the endpoint's host names, no deletion of several objects at once.
"""

from __future__ import annotations

import logging
import os
import socket
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
import boto3.exceptions
import botocore.config
import botocore.credentials
import botocore.exceptions
import botocore.parsers
import botocore.session
import urllib3.exceptions
from boto3.s3.transfer import TransferConfig

from bootstrap.errors import (
    BootstrapError,
    BucketMissing,
    ClockSkewed,
    CredentialsMissing,
    EndpointWrong,
    NameUnresolved,
    NothingThere,
    SourceChanging,
    StoreUnavailable,
)
from bootstrap.job import Endpoint
from bootstrap.storage.endpoint import host_of, style_of
from bootstrap.storage.key_source import KeySource
from bootstrap.storage.keys import Keys
from bootstrap.storage.local import Window, explain
from bootstrap.storage.refusals import cause_of, is_expiry, skew, tls_trouble
from bootstrap.storage.store import ENCRYPTED, Entry, Multipart, Patience

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

T = TypeVar("T")

_CHUNK = 1 << 20
_SINGLE_PUT = 64 << 20  # above it multipart; OBS takes single PUTs up to 5 GB, but a lost one costs all of it
_CONNECT_TIMEOUT = 10.0
_READ_TIMEOUT = 60.0
_ATTEMPTS = 2  # of botocore itself, for a connection that was closed on us; outage.py is for what takes longer
_CONNECTIONS = 64
_RENEWALS = 5  # of the keys for one request; a source that makes up new wrong ones for ever must not hold us

# What an answer always has, and has not where its head broke off.
_LISTING = ("IsTruncated",)
_WRITTEN = ("ETag",)
_OBJECT = ("ContentLength", "ETag", "LastModified")

_NETWORK = (
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.ConnectionError,
    botocore.exceptions.ResponseStreamingError,
    botocore.exceptions.IncompleteReadError,
    botocore.parsers.ResponseParserError,  # XML that broke off where there was no length to tell
    ValueError,  # a date that did
    urllib3.exceptions.HTTPError,
    OSError,
)


class ObsStore:
    """One bucket."""

    lane = None

    def __init__(self, bucket: str, endpoint: Endpoint, keys: Keys) -> None:
        self.bucket = bucket
        self.endpoint = endpoint
        self.patience = Patience(endpoint.patience)
        self._keys = keys
        self._client = self._connect()
        self._v1 = False  # this store's listing knows only the first version

    def entries(self, prefix: str) -> Iterator[Entry]:
        for page in self._pages(prefix):
            for found in page.get("Contents", []):
                yield Entry(
                    found["Key"], found["Size"], found.get("ETag", "").strip('"'), found["LastModified"].timestamp()
                )

    def children(self, prefix: str) -> list[str]:
        page = self._ask(
            "cannot list",
            prefix,
            lambda: self._client.list_objects(Bucket=self.bucket, Prefix=prefix, Delimiter="/"),
            needs=_LISTING,
        )
        names = [found["Prefix"] for found in page.get("CommonPrefixes", [])]
        names += [found["Key"] for found in page.get("Contents", [])]
        return sorted(name[len(prefix) :] for name in names if name != prefix)

    def stat(self, key: str) -> Entry | None:
        try:
            found = self._ask(
                "cannot look at", key, lambda: self._client.head_object(Bucket=self.bucket, Key=key), needs=_OBJECT
            )
        except NothingThere:
            return None
        except BootstrapError:
            # An answer to HEAD has no body, so it cannot say which of a dozen causes it was. A listing can.
            return next((entry for entry in self._first_page(key) if entry.key == key), None)
        return Entry(key, found["ContentLength"], found["ETag"].strip('"'), found["LastModified"].timestamp())

    def read(self, key: str, *, start: int = 0, end: int | None = None, etag: str = "") -> ObsBody:
        options: dict[str, Any] = {}
        if start or end is not None:
            options["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        answer = self._ask(
            "cannot read", key, lambda: self._client.get_object(Bucket=self.bucket, Key=key, **options), needs=_OBJECT
        )
        body = ObsBody(self, key, answer)
        if etag and etag != body.entry.etag:  # compared here: not every store and proxy honours If-Match
            body.close()
            raise SourceChanging("an object changed while it was read", where=f"obs://{self.bucket}/{key}")
        return body

    def write(self, key: str, content: Path | bytes) -> Entry:
        if isinstance(content, bytes):
            answer = self._ask(
                "cannot write",
                key,
                lambda: self._client.put_object(Bucket=self.bucket, Key=key, Body=content),
                needs=_WRITTEN,
            )
            return Entry(key, len(content), answer["ETag"].strip('"'))
        try:
            with open(content, "rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                if size > _SINGLE_PUT:
                    config = TransferConfig(multipart_threshold=_SINGLE_PUT, multipart_chunksize=16 << 20)
                    self._ask(
                        "cannot write",
                        key,
                        lambda: self._client.upload_file(str(content), self.bucket, key, Config=config),
                    )
                    return Entry(key, size)

                def put() -> Any:  # from the beginning each time: newer keys send it all again
                    body: Any = Window(file.fileno(), 0, size)
                    return self._client.put_object(Bucket=self.bucket, Key=key, Body=body)

                answer = self._ask("cannot write", key, put, needs=_WRITTEN)
        except OSError as error:
            raise explain(error, content, "cannot read what is to be delivered") from error
        return Entry(key, size, answer["ETag"].strip('"'))

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

            answer = self._ask("cannot look at an upload", key, page, needs=_LISTING)
            for part in answer.get("Parts", []):
                found[part["PartNumber"]] = (part["Size"], part["ETag"].strip('"'))
            if not answer.get("IsTruncated") or not answer.get("Parts"):
                return found

    def put_part(self, key: str, upload: str, number: int, file: int, start: int, size: int) -> str:
        def put() -> Any:
            body: Any = Window(file, start, size)
            return self._client.upload_part(Bucket=self.bucket, Key=key, UploadId=upload, PartNumber=number, Body=body)

        return str(self._ask("cannot write a part of", key, put, needs=_WRITTEN)["ETag"]).strip('"')

    def finish(self, key: str, upload: str, etags: list[str]) -> str:
        parts: Any = {"Parts": [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]}
        answer = self._ask(
            "cannot finish an upload",
            key,
            lambda: self._client.complete_multipart_upload(
                Bucket=self.bucket, Key=key, UploadId=upload, MultipartUpload=parts
            ),
            needs=_WRITTEN,
        )
        return answer["ETag"].strip('"')

    def abandon(self, key: str, upload: str) -> None:
        self._ask(
            "cannot give up an upload",
            key,
            lambda: self._client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload),
        )

    # --- listing ---

    def _pages(self, prefix: str) -> Iterator[Any]:
        token = ""
        while True:
            page = self._page(prefix, token)
            yield page
            if not page.get("IsTruncated"):
                return
            token = page.get("NextContinuationToken", "")
            if not token:  # a store that knows only version 1 takes the request for one of those
                self._v1 = True
            if self._v1:
                token = page.get("NextMarker") or page["Contents"][-1]["Key"]

    def _page(self, prefix: str, token: str) -> Any:
        if not self._v1:
            options: dict[str, Any] = {"ContinuationToken": token} if token else {}
            try:
                return self._ask(
                    "cannot list",
                    prefix,
                    lambda: self._client.list_objects_v2(Bucket=self.bucket, Prefix=prefix, **options),
                    needs=_LISTING,
                )
            except StoreUnavailable as error:
                if token or error.facts.get("store_code") not in ("NotImplemented", "InvalidArgument"):
                    raise
                self._v1 = True
        return self._ask(
            "cannot list",
            prefix,
            lambda: self._client.list_objects(Bucket=self.bucket, Prefix=prefix, Marker=token),
            needs=_LISTING,
        )

    def _first_page(self, prefix: str) -> Iterator[Entry]:
        for found in self._page(prefix, "").get("Contents", []):
            yield Entry(found["Key"], found["Size"], found["ETag"].strip('"'), found["LastModified"].timestamp())

    # --- the client ---

    def _connect(self) -> S3Client:
        core = botocore.session.Session()
        core.set_config_variable("profile", None)  # an AWS_PROFILE of the image is none of our business
        core.get_component("credential_provider").insert_before("env", KeySource(self._keys))
        logging.getLogger("urllib3.connection").setLevel(logging.ERROR)  # tells of broken heads with a traceback
        if not self.endpoint.verify:  # said once by who opened us; urllib3 would say it at every connection
            warnings.filterwarnings("ignore", category=urllib3.exceptions.InsecureRequestWarning)
        client = boto3.session.Session(botocore_session=core).client(
            "s3",
            endpoint_url=self.endpoint.url,
            region_name=self.endpoint.region or "us-east-1",  # version 4 signs some region; unnamed ones accept any
            verify=(self.endpoint.ca_bundle or True) if self.endpoint.verify else False,
            config=botocore.config.Config(
                signature_version="s3v4",
                s3={"addressing_style": "virtual" if style_of(self.endpoint) == "virtual" else "path"},
                # OBS and OSS refuse the checksum trailers that botocore 1.36 began to send.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                connect_timeout=_CONNECT_TIMEOUT,
                read_timeout=_READ_TIMEOUT,
                retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
                max_pool_connections=_CONNECTIONS,
            ),
        )
        client.meta.events.register("before-call.s3", _never_redirected)
        return client

    def _ask(self, what: str, key: str, request: Callable[[], T], *, needs: tuple[str, ...] = ()) -> T:
        """Make one request. Newer credentials, where there are some, get a chance; then the error gets words.

        An answer without all it ``needs`` is one whose head broke off: to Python's HTTP client the end of a connection
        is as good as the empty line that ends a head.
        """
        for renewals in range(_RENEWALS + 1):
            used = self._keys.current()
            try:
                answer = request()
                _check_whole(answer, needs)
            except (
                botocore.exceptions.ClientError,
                botocore.exceptions.BotoCoreError,
                boto3.exceptions.Boto3Error,
                *_NETWORK,
            ) as error:
                if renewals == _RENEWALS or not is_expiry(_code(error)) or not self._keys.renewed(used):
                    raise self.refusal(error, what, key) from error
            else:
                self._keys.accepted(used)
                return answer
        raise AssertionError("the last round returns or raises")

    # --- errors ---

    def refusal(self, error: BaseException, what: str, key: str) -> BootstrapError:
        """An exception of boto3 and what is below it, as one of ours."""
        where = f"obs://{self.bucket}/{key}"
        below = getattr(error, "kwargs", {}).get("error")  # botocore wraps what happens in a body that it reads
        for each in (error, below):
            if isinstance(each, BootstrapError):
                return each
        if isinstance(error, boto3.exceptions.S3UploadFailedError) and error.__context__ is not None:
            error = error.__context__
        if isinstance(error, botocore.exceptions.ClientError):
            return self._answered(error, what, where)
        return self._unanswered(error, what, where)

    def _answered(self, error: botocore.exceptions.ClientError, what: str, where: str) -> BootstrapError:
        detail, meta = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
        headers = meta.get("HTTPHeaders", {})
        code, status = str(detail.get("Code", "")), int(meta.get("HTTPStatusCode", 0))
        cause, remedy = cause_of(code, status)
        request = headers.get("x-obs-request-id") or headers.get("x-amz-request-id") or meta.get("RequestId") or "none"
        text = detail.get("Message", "").rstrip(". ")
        why = f"{code} (HTTP {status}){f': {text}' if text else ''}; request id {request}"
        if cause is BucketMissing:
            where = f"obs://{self.bucket} at {self.endpoint.url}"
        elif cause is EndpointWrong:
            named = detail.get("Endpoint") or headers.get("x-amz-bucket-region") or detail.get("Region")
            why += f"; the store names {named}" if named else ""
            asked = f"{style_of(self.endpoint)} addressing, region {self.endpoint.region or 'unset'}"
            why += f"; asked {self.endpoint.url}, {asked}"
        elif cause is ClockSkewed:
            why += skew(headers.get("date", ""))
        facts = {"store_code": code, "http_status": status, "request_id": request}
        return cause(what, where=where, why=why, remedy=remedy, **facts)

    def _unanswered(self, error: BaseException, what: str, where: str) -> BootstrapError:
        host = host_of(self._client.meta.endpoint_url)
        if style_of(self.endpoint) == "virtual":
            host = f"{self.bucket}.{host}"
        if isinstance(error, botocore.exceptions.SSLError | urllib3.exceptions.SSLError):
            return tls_trouble(error, what, self.endpoint.url)
        if isinstance(error, botocore.exceptions.NoCredentialsError | botocore.exceptions.PartialCredentialsError):
            return CredentialsMissing(what, where=where, why=str(error))
        if isinstance(error, botocore.exceptions.EndpointConnectionError):
            try:
                socket.getaddrinfo(host, None)
            except socket.gaierror as failure:
                why = f"{host} has no address: {failure.strerror}"
                remedy = "check S3_ENDPOINT and the node's resolver"
                temporary = failure.errno == socket.EAI_AGAIN  # the resolver did not answer: not a word about the name
                return NameUnresolved(what, where=where, why=why, remedy=remedy, temporary=temporary)
        why = str(error).rstrip(". ") or type(error).__name__
        return StoreUnavailable(what, where=where, why=f"{why}; asked {self.endpoint.url}")


class ObsBody:
    """One answer to a GET. Ends the connection's use when it is iterated to its end or closed."""

    def __init__(self, store: ObsStore, key: str, answer: Any) -> None:
        self._store = store
        self._stream = answer["Body"]
        self._length = answer["ContentLength"]
        whole = answer.get("ContentRange", "").rpartition("/")[2] or self._length
        etag = answer.get("ETag", "").strip('"')
        if answer.get("ServerSideEncryption") not in (None, "AES256") or answer.get("SSECustomerAlgorithm"):
            etag += ENCRYPTED
        self.entry = Entry(key, int(whole), etag, answer["LastModified"].timestamp())

    def __iter__(self) -> Iterator[bytes]:
        read = 0
        try:
            while piece := self._stream.read(_CHUNK):
                read += len(piece)
                yield piece
        except (botocore.exceptions.BotoCoreError, *_NETWORK) as error:
            raise self._store.refusal(error, "a body broke off", self.entry.key) from error
        finally:
            self.close()
        if read != self._length:
            where = f"obs://{self._store.bucket}/{self.entry.key}"
            raise StoreUnavailable("a body ended early", where=where, why=f"{read} of {self._length} bytes came")

    def close(self) -> None:
        self._stream.close()


def _never_redirected(context: dict[str, Any], **_: object) -> None:
    """Tell botocore that it has followed a redirect already, so that it follows none.

    It would ask ``HeadBucket`` for the region, whose own refusal it would follow the same way, without end; and an
    endpoint that was configured is not to be left for another. The refusal itself says what to set.
    """
    context.setdefault("s3_redirect", {})["redirected"] = True


def _check_whole(answer: Any, needs: tuple[str, ...]) -> None:
    missing = [name for name in needs if name not in answer]
    if missing or ("ETag" in needs and answer["ETag"].count('"') % 2):
        raise ConnectionResetError(f"the head of an answer broke off ({', '.join(missing or needs)})")


def _code(error: BaseException | None) -> str:
    """The store's code, also when boto3's transfers have wrapped its answer; "" for anything else."""
    if isinstance(error, boto3.exceptions.S3UploadFailedError):
        error = error.__context__
    if isinstance(error, botocore.exceptions.ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""
