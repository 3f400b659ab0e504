"""Where the object store is, out of every spelling that images and platforms use for it."""

from __future__ import annotations

import ipaddress
import re
import urllib.parse
from collections.abc import Mapping

from ...errors import EndpointWrong
from ...ground.patterns import pattern
from ...job import Endpoint
from ...values import replace
from ..common.way import host_of

ADDRESSES = ("S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "OBS_ENDPOINT")
"""Variables that hold the store's address, the first one set wins. ModelArts v1 writes a bare host, v2 a URL."""

# A store's own name for its region is in its host, and unlike AWS_REGION it cannot be left over from elsewhere.
_REGION_IN_HOST = (
    pattern(r"(?:^|\.)obs\.([a-z0-9]+(?:-[a-z0-9]+)+)\."),  # obs.cn-north-4.myhuaweicloud.com, obs.eu-de.otc...
    pattern(r"(?:^|\.)oss-([a-z0-9-]+?)(?:-internal)?\.aliyuncs\.com$"),
    pattern(r"(?:^|\.)s3[.-](?:dualstack\.)?([a-z0-9]+(?:-[a-z0-9]+)+)\.amazonaws\.com(?:\.cn)?$"),
    pattern(r"(?:^|\.)cos\.([a-z0-9-]+)\.myqcloud\.com$"),
)
_NO = ("0", "false", "no", "off")


def endpoint_from(environ: Mapping[str, str], *, addressing: str = "auto") -> Endpoint:
    """Read the endpoint from ``environ``. ``addressing`` is ``auto``, ``virtual`` or ``path``.

    Without any address the result has an empty ``url``; :func:`for_bucket` complains when a bucket is really
    opened, so that a job whose code is local needs no endpoint. The region is ``S3_REGION``, else what the host
    says, else ``AWS_REGION`` or ``AWS_DEFAULT_REGION``, else empty.

    Raises :class:`EndpointWrong` for an address that cannot be one.
    """
    source = next((name for name in ADDRESSES if environ.get(name, "").strip()), "")
    url = _url(environ[source].strip(), source, _on(environ, "S3_USE_HTTPS")) if source else ""
    region = (
        environ.get("S3_REGION", "").strip()
        or region_of(url)
        or environ.get("AWS_REGION", "").strip()
        or environ.get("AWS_DEFAULT_REGION", "").strip()
    )
    return Endpoint(
        url=url,
        region=region,
        addressing=addressing,
        verify=_on(environ, "S3_VERIFY_SSL"),
        ca_bundle=environ.get("AWS_CA_BUNDLE", "") or environ.get("REQUESTS_CA_BUNDLE", ""),
        source=source,
    )


def for_bucket(endpoint: Endpoint, bucket: str) -> Endpoint:
    """``endpoint`` without ``<bucket>.`` in front of its host or ``/<bucket>`` behind it, which people copy along from
    the console.

    Left in place, it would give ``bucket.bucket.obs...``, or keys that begin with the bucket's name. Raises
    :class:`EndpointWrong` when there is no address.
    """
    if not endpoint.url:
        raise EndpointWrong(
            "no address of an object store",
            where=f"needed for bucket {bucket}",
            why=f"none of {', '.join(ADDRESSES)} is set",
            remedy="set S3_ENDPOINT, for example to https://obs.cn-north-4.myhuaweicloud.com",
        )
    parts = urllib.parse.urlsplit(endpoint.url)
    path = "" if parts.path == f"/{bucket}" else parts.path
    bare = parts._replace(netloc=parts.netloc.removeprefix(f"{bucket}."), path=path)
    if bare == parts:
        return endpoint
    return replace(endpoint, url=urllib.parse.urlunsplit(bare))


def style_of(endpoint: Endpoint) -> str:
    """``virtual`` or ``path``, for good: what ``auto`` comes to for this host.

    Huawei's public OBS (VirtualHostDomainRequired) and Alibaba's OSS (SecondLevelDomainForbidden) refuse buckets in
    the path; an address of digits or a name without a dot has no bucket names in its DNS.
    """
    if endpoint.addressing != "auto":
        return endpoint.addressing
    host = host_of(endpoint.url)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "virtual" if "." in host else "path"
    return "path"


def region_of(url: str) -> str:
    """The region that the host of ``url`` names, or an empty string."""
    host = host_of(url)
    for form in _REGION_IN_HOST:
        found = form.search(host)
        if found is not None:
            return found[1]
    return ""


def _on(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").strip().lower() not in _NO


def _url(text: str, source: str, https: bool) -> str:
    if "://" not in text:
        text = f"{'https' if https else 'http'}://{text}"
    parts = urllib.parse.urlsplit(text)
    try:
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        usable = False
    if not usable or "@" in parts.netloc or re.search(r"\s", text):
        raise EndpointWrong(
            "this is not the address of an object store",
            where=source,
            why=parts.netloc.rpartition("@")[2] or text,
            remedy=f"write {source}=https://HOST[:PORT]",
        )
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
