"""A real store that behaves like Huawei's OBS in the ways that bite: a strict proxy stands in front of it.

No server out of a wheel refuses what OBS refuses, so this one does, with OBS' codes and texts, and passes on what OBS
would accept, signed again for the store behind:

- a bucket in the path is ``VirtualHostDomainRequired`` (403) at the domain; an IP endpoint (a private OBS) takes it;
- aws-chunked bodies and checksum trailers, which boto3 sends by default since 1.36, are ``XAmzContentSHA256Mismatch``;
- ``DeleteObjects`` needs Content-MD5;
- V4 signatures are checked against the proxy's own keys, tokens, region and clock, all adjustable while it runs;
- every answer has a request id, and an error's body repeats it: Huawei's support asks for it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import ipaddress
import re
import ssl
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from email.utils import formatdate
from urllib.parse import quote
from xml.sax.saxutils import escape

from tests.lab import sigv4
from tests.lab.proxy import Handler, Proxy, Request
from tests.lab.stores import REGION, Bucket, Store

DOMAIN = f"obs.{REGION}.lab.test"
SKEW = 15 * 60  # seconds that a request's time may be off

# OBS API reference, "Error Codes": status and text; what is not listed there follows Amazon's wording.
ERRORS = {
    "AccessDenied": (403, "Access denied"),
    "AuthorizationHeaderMalformed": (400, "The authorization header is malformed"),
    "BadDigest": (400, "The specified value of Content-MD5 does not match the value received by OBS"),
    "ExpiredToken": (400, "The provided token has expired"),
    "InternalError": (500, "An internal error occurs. Retry later"),
    "InvalidAccessKeyId": (403, "The AWS access key Id you provided does not exist in our records"),
    "InvalidRequest": (400, "Missing required header for this request: Content-MD5"),
    "InvalidSecurity": (403, "The provided security credentials are not valid"),
    "MissingRegion": (400, "Region is missing in the request and the default region is also unavailable"),
    "PermanentRedirect": (301, "The requested bucket can be accessed only through the specified address"),
    "RequestTimeTooSkewed": (403, "The difference between the request time and the current time is too large"),
    "ServiceUnavailable": (503, "The server is overloaded or has internal errors"),
    "SignatureDoesNotMatch": (
        403,
        "The request signature we calculated does not match the signature you provided. "
        "Check your secret access key and signing method",
    ),
    "SlowDown": (503, "Reduce your request frequency"),
    "VirtualHostDomainRequired": (403, "Virtual host domain is required when you access a specific bucket"),
    "XAmzContentSHA256Mismatch": (400, "The provided content-sha256 does not match what was computed"),
}


@dataclass
class Key:
    """A key pair that the store knows; a temporary one has a token and an end (epoch seconds)."""

    secret: str
    token: str = ""
    expires: float | None = None


@dataclass
class Seen:
    """A request and how it was answered, for tests that look at what went over the wire."""

    request: Request
    bucket: str
    key: str
    status: int = 0
    code: str = ""

    @property
    def method(self) -> str:
        return self.request.method


class Refused(Exception):
    def __init__(self, code: str, **details: str) -> None:
        super().__init__(code)
        self.code = code
        self.details = details


@dataclass
class Policy:
    """What the operator of the store can change while it runs."""

    keys: dict[str, Key] = field(default_factory=dict)
    region: str = REGION
    clock_offset: float = 0.0  # seconds that the store's clock is ahead of ours
    expired_as: str = "InvalidSecurity"  # the docs name no code for an ended token; AWS says ExpiredToken
    elsewhere: dict[str, str] = field(default_factory=dict)  # bucket -> the endpoint of its region
    forbid: Callable[[str, str, str], bool] = lambda method, bucket, key: False


class Obs(Proxy):
    """The strict proxy. ``store`` is what a job sees, ``behind`` what the tests fill and empty at will."""

    def __init__(self, real: Store, domain: str = DOMAIN, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(real.endpoint, tls)
        self.real = real
        self.domain = domain
        self.policy = Policy()
        self.seen: list[Seen] = []
        self.buckets: list[Bucket] = []
        self.store = replace(
            real,
            name="obs",
            endpoint=f"{self.scheme}://{domain}:{self.port}",
            access_key="OBSACCESSKEY00000001",
            secret_key="obs/secret+key/of/forty/characters/00001",
            addressing="virtual",
        )
        self.policy.keys[self.store.access_key] = Key(self.store.secret_key)

    # --- for tests

    def env(self) -> dict[str, str]:
        """A job's variables, without the region: on the platforms the endpoint's name has to do for it."""
        variables = self.store.env()
        del variables["S3_REGION"]
        return {**variables, "S3_USE_HTTPS": "1" if self.scheme == "https" else "0"}

    def make_bucket(self, name: str = "") -> Bucket:
        """A bucket, with the verbs going to the store behind: what the test does itself is not seen or refused."""
        bucket = self.real.make_bucket(name)
        self.buckets.append(bucket)
        return bucket

    def names(self) -> list[str]:
        """The host names of this store: the domain and each bucket made here (a hosts file knows no wildcards)."""
        return [self.domain, *(f"{bucket.name}.{self.domain}" for bucket in self.buckets)]

    def issue(self, seconds: float = 3600) -> Store:
        """The store with temporary credentials that end in so many seconds of the store's clock."""
        key_id, secret, token = (uuid.uuid4().hex for _ in range(3))
        self.policy.keys[key_id] = Key(secret, token, self.now() + seconds)
        return replace(self.store, access_key=key_id, secret_key=secret, token=token)

    def end(self, issued: Store) -> None:
        """Temporary credentials end now, whatever was said when they were issued."""
        self.policy.keys[issued.access_key].expires = self.now()

    def now(self) -> float:
        return time.time() + self.policy.clock_offset

    # --- the proxy

    def serve(self, handler: Handler, request: Request) -> None:
        bucket, key, by_path = self._address(request)
        seen = Seen(request, bucket, key)
        self.seen.append(seen)
        number = uuid.uuid4().hex.upper()
        ids = [
            ("x-amz-request-id", number),
            ("x-obs-request-id", number),
            ("x-amz-id-2", base64.b64encode(b"lab" * 8).decode()),
        ]
        ids += [("Server", "OBS"), ("Date", formatdate(self.now(), usegmt=True))]
        try:
            self._check(request, bucket, key, by_path)
            with self._relayed(handler, request, bucket, key) as response:
                seen.status = response.status
                handler.relay(response, [*ids, *_renamed(response)])
        except Refused as refusal:
            status, text = ERRORS[refusal.code]
            seen.status, seen.code = status, refusal.code
            details = {"Code": refusal.code, "Message": text, "RequestId": number, "HostId": "bGFi", **refusal.details}
            inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in details.items())
            body = f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?><Error>{inner}</Error>'.encode()
            handler.answer(status, [*ids, ("Content-Type", "application/xml")], body)

    def _address(self, request: Request) -> tuple[str, str, bool]:
        """Bucket, key, and whether the bucket was in the path."""
        if request.host.endswith(f".{self.domain}"):
            return request.host[: -len(self.domain) - 1], request.key, False
        bucket, _, key = request.key.partition("/")
        return bucket, key, bool(bucket)

    def _check(self, request: Request, bucket: str, key: str, by_path: bool) -> None:
        if by_path and not _is_address(request.host):
            raise Refused("VirtualHostDomainRequired", BucketName=bucket)
        self._authenticate(request)
        if bucket in self.policy.elsewhere:
            raise Refused("PermanentRedirect", Endpoint=self.policy.elsewhere[bucket], Bucket=bucket)
        if self.policy.forbid(request.method, bucket, key):
            raise Refused("AccessDenied")
        headers = request.headers
        claimed = headers.get("x-amz-content-sha256", "")
        # The x-amz-checksum headers of plain HTTP are refused with the rest: sent over HTTPS they are trailers.
        if (
            claimed.startswith("STREAMING-")
            or "aws-chunked" in headers.get("Content-Encoding", "")
            or any(
                name.lower() == "x-amz-trailer" or re.match("x-amz-(sdk-)?checksum-(?!mode)", name.lower())
                for name in headers
            )
        ):
            raise Refused("XAmzContentSHA256Mismatch")
        if request.method == "POST" and request.query.split("=")[0] == "delete" and "Content-MD5" not in headers:
            raise Refused("InvalidRequest")

    def _authenticate(self, request: Request) -> None:
        said = re.fullmatch(
            rf"{sigv4.ALGORITHM} Credential=([^/,]+)/(\d{{8}})/([^/,]*)/s3/aws4_request, ?"
            r"SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})",
            request.headers.get("Authorization", ""),
        )
        if not said:
            raise Refused("AccessDenied" if "Authorization" not in request.headers else "AuthorizationHeaderMalformed")
        key_id, day, region, names, seal = said.groups()
        known = self.policy.keys.get(key_id)
        token = request.headers.get("x-amz-security-token", "")
        if known is None or (known.token and not token):
            raise Refused("InvalidAccessKeyId", AWSAccessKeyId=key_id)
        if token != known.token:
            raise Refused("InvalidSecurity")
        if not region:
            raise Refused("MissingRegion")
        if region != self.policy.region:
            raise Refused("AuthorizationHeaderMalformed", Region=self.policy.region)
        moment = request.headers.get("x-amz-date", "")
        self._check_clock(moment, day)
        signed = [(name, ",".join(request.headers.get_all(name, []))) for name in names.split(";")]
        must = {"host", *(name.lower() for name in request.headers if name.lower().startswith("x-amz-"))}
        if must - set(names.split(";")):
            raise Refused("AccessDenied", HeadersNotSigned=", ".join(sorted(must - set(names.split(";")))))
        scope = f"{day}/{region}/s3/aws4_request"
        payload = request.headers.get("x-amz-content-sha256", "")
        ours = sigv4.signature(
            known.secret, scope, moment, request.method, request.path, request.parameters, signed, payload
        )
        if not hmac.compare_digest(ours, seal):
            raise Refused("SignatureDoesNotMatch", AWSAccessKeyId=key_id)
        if known.expires is not None and self.now() >= known.expires:
            raise Refused(self.policy.expired_as)

    def _check_clock(self, moment: str, day: str) -> None:
        try:
            said = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()
        except ValueError:
            raise Refused("AccessDenied") from None
        if abs(said - self.now()) > SKEW or not moment.startswith(day):
            server = datetime.fromtimestamp(self.now(), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            raise Refused(
                "RequestTimeTooSkewed",
                RequestTime=moment,
                ServerTime=server,
                MaxAllowedSkewMilliseconds=str(SKEW * 1000),
            )

    @contextmanager
    def _relayed(self, handler: Handler, request: Request, bucket: str, key: str) -> Iterator[http.client.HTTPResponse]:
        """The request, signed for the store behind, by path; the body is streamed and checked on the way."""
        path = "/" + quote(f"{bucket}/{key}" if bucket else "", safe="/-_.~")
        moment = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{moment[:8]}/{self.real.region}/s3/aws4_request"
        ours = {
            "host": f"{self.behind[0]}:{self.behind[1]}",
            "x-amz-date": moment,
            "x-amz-content-sha256": sigv4.UNSIGNED,
        }
        dropped = {
            *ours,
            "authorization",
            "x-amz-security-token",
            "connection",
            "expect",
            "content-length",
            "transfer-encoding",
        }
        passed = [(name, value) for name, value in request.headers.items() if name.lower() not in dropped]
        signed = [
            *ours.items(),
            *((n, v) for n, v in passed if n.lower().startswith("x-amz-") or n.lower() == "content-md5"),
        ]
        seal = sigv4.signature(
            self.real.secret_key, scope, moment, request.method, path, request.parameters, signed, sigv4.UNSIGNED
        )
        passed += list(ours.items())
        passed.append(("authorization", sigv4.authorization(self.real.access_key, scope, dict(signed), seal)))
        length = int(request.headers.get("Content-Length") or 0)
        if length or request.method in ("PUT", "POST"):
            passed.append(("content-length", str(length)))
        query = sigv4.canonical_query(request.parameters)
        body = self._checked(handler, request) if length else None
        yield handler.forward(request.method, f"{path}?{query}" if query else path, passed, body)

    @staticmethod
    def _checked(handler: Handler, request: Request) -> Iterator[bytes]:
        """The body, its last piece held back until the digests are known to fit: a wrong one never gets stored."""
        sha, md5 = hashlib.sha256(), hashlib.md5()
        claimed_sha = request.headers.get("x-amz-content-sha256", "")
        claimed_md5 = request.headers.get("Content-MD5")
        held = b""
        for piece in handler.body:
            if held:
                yield held
            held = piece
            if claimed_sha != sigv4.UNSIGNED:
                sha.update(piece)
            if claimed_md5:
                md5.update(piece)
        wrong = ""
        if claimed_sha != sigv4.UNSIGNED and sha.hexdigest() != claimed_sha:
            wrong = "XAmzContentSHA256Mismatch"
        elif claimed_md5 and base64.b64encode(md5.digest()).decode() != claimed_md5:
            wrong = "BadDigest"
        if wrong:
            handler.drop_upstream()
            raise Refused(wrong)
        yield held


def _renamed(response: http.client.HTTPResponse) -> list[tuple[str, str]]:
    """OBS answers in both dialects; the native one where clients look for it."""
    kept = response.getheader("x-amz-storage-class")
    return [("x-obs-storage-class", kept)] if kept else []


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
