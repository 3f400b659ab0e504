"""Exceptions of boto3 and of what is below it, as ours: with cause, evidence and remedy."""

from __future__ import annotations

import socket

import boto3.exceptions
import botocore.exceptions
import botocore.parsers
import urllib3.exceptions

from ...errors import (
    BootstrapError,
    BucketMissing,
    ClockSkewed,
    CredentialsMissing,
    EndpointWrong,
    NameUnresolved,
    StoreUnavailable,
)
from ...job import Endpoint
from ..common.http_answer import BrokenAnswer
from ..common.way import host_of, proxy_for, without_password
from .endpoint import style_of
from .error_codes import cause_of, is_overload, may_pass, skew, tls_trouble

NETWORK = (
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.ConnectionError,
    botocore.exceptions.ResponseStreamingError,
    botocore.exceptions.IncompleteReadError,
    botocore.parsers.ResponseParserError,  # XML that broke off where there was no length to tell
    ValueError,  # a date that did
    urllib3.exceptions.HTTPError,
    OSError,
)
"""What the network does, in all the classes that it is raised as."""


CHECK = "check S3_ENDPOINT: its host, its port (not the console's) and whether the network lets us through"
"""What to do where no object store answers."""

A_PAGE = "a web page came, as a console's port or a network's login page sends it"

_OF_A_PROXY = (403, 407, 502, 503, 504)


class NoStore(ConnectionResetError):
    """Something answers that is no object store."""


class NoEtag(ConnectionResetError):
    """An answer to what was written that has no ETag. ``head`` are the names of the headers that it has."""

    def __init__(self, head: frozenset[str]) -> None:
        super().__init__("the head of an answer broke off (ETag)")
        self.head = head


class Refusals:
    """What went wrong with requests to one bucket, which messages write as ``url``."""

    def __init__(self, bucket: str, url: str, endpoint: Endpoint) -> None:
        self._bucket, self._url, self._endpoint = bucket, url, endpoint

    def of(self, error: BaseException, what: str, key: str) -> BootstrapError:
        """An exception of boto3 and what is below it, as one of ours."""
        where = f"{self._url}/{key}"
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
        code, status = str(detail.get("Code") or ""), int(meta.get("HTTPStatusCode", 0))
        cause, remedy = cause_of(code, status)
        request = headers.get("x-obs-request-id") or headers.get("x-amz-request-id") or meta.get("RequestId") or "none"
        text = str(detail.get("Message") or "").rstrip(". ")  # Ceph's are empty
        if "server side encryption" in text.lower() or ("customer" in text.lower() and status == 400):
            remedy = "objects encrypted with keys of the customer's own (SSE-C) cannot be had without those keys"
        why = f"{code} (HTTP {status}){f': {text}' if text else ''}; request id {request}"
        if cause is BucketMissing:
            where = f"{self._url} at {self._endpoint.url}"
        elif cause is EndpointWrong:
            named = detail.get("Endpoint") or headers.get("x-amz-bucket-region") or detail.get("Region")
            why += f"; the store names {named}" if named else ""
            asked = f"{style_of(self._endpoint)} addressing, region {self._endpoint.region or 'unset'}"
            why += f"; asked {self._endpoint.url}, {asked}"
        elif cause is ClockSkewed:
            why += skew(headers.get("date", ""))
        if status in _OF_A_PROXY and code in ("", str(status)) and (proxy := proxy_for(self._endpoint.url)):
            why += f"; it came through the proxy {without_password(proxy)}, and may be that one's answer"
            remedy = remedy or "give the proxy what it asks for, or name the store's host in NO_PROXY"
        facts: dict[str, object] = {"store_code": code, "http_status": status, "request_id": request}
        if issubclass(cause, StoreUnavailable):
            facts.update(temporary=may_pass(code, status), overload=is_overload(status))
        return cause(what, where=where, why=why, remedy=remedy, **facts)

    def _unanswered(self, error: BaseException, what: str, where: str) -> BootstrapError:
        host = host_of(self._endpoint.url)
        if style_of(self._endpoint) == "virtual":
            host = f"{self._bucket}.{host}"
        if isinstance(error, botocore.exceptions.SSLError | urllib3.exceptions.SSLError):
            return tls_trouble(error, what, self._endpoint.url)
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
        why = (_broken(error) or str(error)).rstrip(". ") or type(error).__name__
        if isinstance(error, NoStore) or (_is_page(why) and isinstance(error, botocore.parsers.ResponseParserError)):
            why = A_PAGE if _is_page(why) else why
            return EndpointWrong("no object store answers there", where=self._endpoint.url, why=why, remedy=CHECK)
        if proxy := proxy_for(self._endpoint.url):
            why += f"; through the proxy {without_password(proxy)}"
        return StoreUnavailable(what, where=where, why=f"{why}; asked {self._endpoint.url}")


def _broken(error: BaseException | None) -> str:
    """What was wrong with the answer, which botocore and what is below it say nothing of."""
    while error is not None and not isinstance(error, BrokenAnswer):
        error = error.__cause__ or error.__context__
    return "" if error is None else str(error)


def _is_page(text: str) -> bool:
    """Whether it is HTML that came in the place of XML."""
    return "<html" in text.lower() or "<!doctype html" in text.lower()


def code_of(error: BaseException | None) -> str:
    """The store's code, also when boto3's transfers have wrapped its answer; "" for anything else."""
    if isinstance(error, boto3.exceptions.S3UploadFailedError):
        error = error.__context__
    if isinstance(error, botocore.exceptions.ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""
