"""``https://`` and ``http://``: one file, with its checksum where somebody knows it (``#sha256=...``)."""

from __future__ import annotations

import re
import urllib.parse
from typing import TYPE_CHECKING

from ...errors import UrlInvalid
from ...ground.patterns import pattern
from ..common.way import check_authorities
from ..model.scheme import Scheme, StoreContext
from ..model.url import Location, shown

if TYPE_CHECKING:
    from ..model.store import Store

_NOT_IN_A_URL = pattern(r"[\x00-\x20\x7f\\\"<>^`{|}]")
_SHA256 = pattern(r"sha256=([0-9a-fA-F]{64})")
_STORE_HOST = pattern(r"(?:(?P<bucket>[^./]+(?:\.[^./]+)*?)\.)?(?:obs|oss|s3|cos)[.-][^/]*\.[a-z]+", re.IGNORECASE)


def _parse(name: str, text: str, rest: str) -> Location:
    where = shown(text)
    if not rest.startswith("//"):
        raise UrlInvalid(f"{name}: needs two slashes", where=where)
    address, _, fragment = rest[2:].partition("#")
    address, _, query = address.partition("?")
    authority, _, path = address.partition("/")
    userinfo, _, host = authority.rpartition("@")
    try:
        parts = urllib.parse.urlsplit(f"{name}://{host}/")
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        usable = False
    if not usable:
        raise UrlInvalid("a web address without a host", where=where)
    if _NOT_IN_A_URL.search(address + query):
        raise UrlInvalid("a web address with a character that has none", where=where, remedy="write a space as %20")
    if not path or path.endswith("/"):
        raise UrlInvalid(
            "a web address that is no file's",
            where=where,
            why="web servers list nothing, so that only single files can be had",
            remedy=_of_a_store(host, path) or "name a file, such as an archive of the tree: https://host/code.tar.gz",
        )
    digest = _SHA256.fullmatch(fragment)
    if fragment and digest is None:
        remedy = "write #sha256= and the 64 hexadecimal digits, or nothing"
        raise UrlInvalid("what stands behind the # is no checksum", where=where, remedy=remedy)
    sha256 = digest[1].lower() if digest else ""
    return Location(name, path, host, sha256=sha256, userinfo=userinfo, query=query)


def _of_a_store(host: str, path: str) -> str:
    """How to write the address of an object store's directory: the bucket is in the host, or first in the path."""
    found = _STORE_HOST.fullmatch(host.partition(":")[0])
    if found is None:
        return ""
    return f"write obs://{found['bucket']}/{path}" if found["bucket"] else f"write obs://{path}"


def _open(location: Location, context: StoreContext) -> Store:
    from .store import WebStore  # which loads an HTTP client

    around = context.surroundings
    check_authorities(f"{location.scheme}:", verify=around.verify, ca_bundle=around.ca_bundle)
    return WebStore(location, around)


def _scheme(name: str) -> Scheme:
    def parse(text: str, rest: str) -> Location:
        return _parse(name, text, rest)

    return Scheme(name, f"{name}://host/code.tar.gz", parse, _open, needs_keys=False, writable=False, single=True)


HTTPS, HTTP = _scheme("https"), _scheme("http")
