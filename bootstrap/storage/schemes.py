"""The kinds of places there are, and what people write for them.

``obs://bucket/key``, ``s3://bucket/key``, ``file:///path`` and plain paths; ModelArts v1's console form
``/bucket/key/`` only when the caller says that it speaks that dialect. docs/sources.md has all others. A new kind is a
file with a
:class:`~.model.scheme.Scheme` and a line in :data:`SCHEMES`.
"""

from __future__ import annotations

import re

from ..errors import UrlInvalid, UrlSchemeUnknown
from ..ground.patterns import pattern
from .file_systems.scheme import ABFS, ABFSS, AZ, GCS, GS, HDFS, OSS, SFTP
from .git.scheme import GIT_FILE, GIT_HTTP, GIT_HTTPS, GIT_SSH
from .hub.scheme import HF
from .local.scheme import FILE
from .model.scheme import Scheme
from .model.url import LOCAL, Location, bucket_location, shown
from .s3.scheme import OBS, S3
from .web.scheme import HTTP, HTTPS

SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        OBS,
        S3,
        FILE,
        HTTPS,
        HTTP,
        GIT_HTTPS,
        GIT_HTTP,
        GIT_SSH,
        GIT_FILE,
        HF,
        GS,
        GCS,
        AZ,
        ABFS,
        ABFSS,
        OSS,
        SFTP,
        HDFS,
    )
}
"""By what stands before the colon."""

_CONSOLE = OBS.name
_URL = pattern(r"([A-Za-z][A-Za-z0-9+.-]*):(/{0,2})(.*)", re.DOTALL)
_SPEAK_S3 = ("s3a", "s3n", "cos", "tos")
"""Schemes of stores that speak S3 as well."""


def parse(text: str, *, console_form: bool = False) -> Location:
    """Turn ``text`` into a :class:`Location`.

    ``console_form``: a text that starts with ``/`` is ``/bucket/key/``, as ModelArts v1's console writes its OBS
    paths, and not a local path.

    Raises :class:`UrlInvalid` or :class:`UrlSchemeUnknown`; neither repeats a password or a signature.
    """
    if not text.strip():
        raise UrlInvalid("an empty URL", why="there is nothing between the quotes")
    if "\0" in text:
        raise UrlInvalid("a URL with a NUL byte in it", where=shown(text))
    match = _URL.fullmatch(text)
    if match is None:
        if console_form and text.startswith("/"):
            return bucket_location(_CONSOLE, text, text.lstrip("/"))
        return Location(LOCAL, text)
    name, slashes, rest = match[1].lower(), match[2], match[3]
    if name in SCHEMES:
        return SCHEMES[name].parse(text, slashes + rest)
    if slashes == "//":
        raise _unknown(name, rest, text)
    return Location(LOCAL, text)  # a colon in a file's name is legal


def check_ready(location: Location) -> None:
    """Raises :class:`SupportMissing` where this machine lacks what the place's scheme needs."""
    SCHEMES[location.scheme].ready()


def check_writable(location: Location, where: str) -> None:
    """Raises :class:`UrlInvalid`, with ``where``, for a place that nothing can be delivered to."""
    if not SCHEMES[location.scheme].writable:
        why = f"{location.scheme}:// can be read only"
        remedy = "name a store (obs://bucket/prefix/, s3://...) or an absolute path"
        raise UrlInvalid("nothing can be delivered there", where=where, why=why, remedy=remedy)


def is_shared(location: Location) -> bool:
    """Whether nodes that fetch the same may give each other a part of it."""
    return SCHEMES[location.scheme].shared


def secret_variables() -> frozenset[str]:
    """The variables that hold the keys of other places than the object store, or lead to them."""
    return frozenset(name for scheme in SCHEMES.values() for name in scheme.secrets)


def needs_keys(location: Location) -> bool:
    """Whether the job's key pair for the object store has to be there for this place."""
    return SCHEMES[location.scheme].needs_keys


def _unknown(scheme: str, rest: str, text: str) -> UrlSchemeUnknown:
    remedy = ""
    if scheme in _SPEAK_S3:
        remedy = f"write {shown('s3://' + rest)} and put the store's address into S3_ENDPOINT"
    else:
        import difflib  # wanted for this one sentence only

        usual = (OBS.name, S3.name, FILE.name)  # osb is as near to oss, which few have
        near = difflib.get_close_matches(scheme, usual, n=1, cutoff=0.5)
        near = near or difflib.get_close_matches(scheme, SCHEMES, n=1, cutoff=0.5)
        if near:
            remedy = f"did you mean {shown(f'{near[0]}://{rest}')}?"
    return UrlSchemeUnknown(f"unknown scheme {scheme}://", where=shown(text), remedy=remedy)
