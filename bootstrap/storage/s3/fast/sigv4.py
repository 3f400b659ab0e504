"""AWS signature version 4 for plain requests, as the S3 API reference describes it ("Authenticating Requests")."""

from __future__ import annotations

import hashlib
import hmac
import time

from ....job import Credentials

EMPTY = hashlib.sha256(b"").hexdigest()
"""The digest of a request without a body."""
UNSIGNED = "UNSIGNED-PAYLOAD"
"""In a digest's place, for bodies that TLS keeps whole. boto3 does the same."""

_ALGORITHM = "AWS4-HMAC-SHA256"


class Signer:
    """Makes the heads of signed requests to one host. What depends on the time is made once a second."""

    def __init__(self, credentials: Credentials, region: str, host: str) -> None:
        self.credentials = credentials
        self._region = region
        self._host = host
        self._second = 0
        self._moment = self._scope = ""
        self._key = b""
        self._names = "host;x-amz-content-sha256;x-amz-date" + ";x-amz-security-token" * bool(credentials.token)

    def head(
        self,
        method: str,
        path: str,
        query: str = "",
        *,
        digest: str = EMPTY,
        copy: str = "",
        checksums: bool = False,
        more: str = "",
    ) -> bytes:
        """The request up to its body. ``path`` and ``query`` are encoded, and ``query`` is in order, already.

        ``digest`` is the body's SHA-256 or :data:`UNSIGNED`, ``copy`` the source of a copy inside the store
        (``/bucket/key``, encoded); ``checksums`` asks for those that the store knows. ``more`` are further header
        lines, each with its line end, left unsigned.
        """
        moment, scope, key = self._now()
        token = self.credentials.token
        names = self._names
        signed = f"host:{self._host}\n"
        if checksums:
            names = names.replace("x-amz-content", "x-amz-checksum-mode;x-amz-content")
            signed += "x-amz-checksum-mode:ENABLED\n"
            more = f"x-amz-checksum-mode: ENABLED\r\n{more}"
        signed += f"x-amz-content-sha256:{digest}\n"
        if copy:
            names = names.replace("x-amz-date", "x-amz-copy-source;x-amz-date")
            signed += f"x-amz-copy-source:{copy}\n"
            more = f"x-amz-copy-source: {copy}\r\n{more}"
        signed += f"x-amz-date:{moment}\n"
        if token:
            signed += f"x-amz-security-token:{token}\n"
            more = f"x-amz-security-token: {token}\r\n{more}"
        canonical = f"{method}\n{path}\n{query}\n{signed}\n{names}\n{digest}"
        text = f"{_ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        seal = hmac.digest(key, text.encode(), "sha256").hex()
        return (
            f"{method} {path}{'?' if query else ''}{query} HTTP/1.1\r\n"
            f"Host: {self._host}\r\n"
            f"x-amz-content-sha256: {digest}\r\n"
            f"x-amz-date: {moment}\r\n"
            f"Authorization: {_ALGORITHM} Credential={self.credentials.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={seal}\r\n"
            f"{more}\r\n"
        ).encode()

    def _now(self) -> tuple[str, str, bytes]:
        """Moment, scope and key, made anew once a second: hundreds of requests are signed in each."""
        second = int(time.time())
        if second != self._second:
            moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
            scope = f"{moment[:8]}/{self._region}/s3/aws4_request"
            key = self._key
            if scope != self._scope:
                key = f"AWS4{self.credentials.secret_key}".encode()
                for part in scope.split("/"):
                    key = hmac.digest(key, part.encode(), "sha256")
            self._moment, self._scope, self._key = moment, scope, key
            self._second = second  # last: whoever sees it on another thread finds the rest
            return moment, scope, key
        return self._moment, self._scope, self._key
