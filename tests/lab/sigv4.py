"""Signature version 4 as a store checks it; apart from the product's own signer, which is under test."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"


def canonical_path(path: str) -> str:
    """An encoded path, encoded as S3 signs it: once, slashes and folding of ``..`` left alone."""
    return quote(unquote(path), safe="/-_.~")


def canonical_query(parameters: Iterable[tuple[str, str]]) -> str:
    encoded = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in parameters)
    return "&".join(f"{name}={value}" for name, value in encoded)


def signature(
    secret: str,
    scope: str,
    moment: str,
    method: str,
    path: str,
    parameters: Iterable[tuple[str, str]],
    headers: Iterable[tuple[str, str]],
    payload: str,
) -> str:
    """The hex signature. ``headers`` are the signed ones; ``scope`` is DAY/REGION/s3/aws4_request."""
    lines = sorted((name.lower(), re.sub(" +", " ", value.strip())) for name, value in headers)
    request = "\n".join(
        [
            method,
            canonical_path(path),
            canonical_query(parameters),
            *(f"{name}:{value}" for name, value in lines),
            "",
            ";".join(name for name, _ in lines),
            payload,
        ]
    )
    text = "\n".join([ALGORITHM, moment, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def authorization(key_id: str, scope: str, signed: Iterable[str], seal: str) -> str:
    names = ";".join(sorted(name.lower() for name in signed))
    return f"{ALGORITHM} Credential={key_id}/{scope}, SignedHeaders={names}, Signature={seal}"
