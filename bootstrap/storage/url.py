"""What people write for a place, and the one value it becomes.

``obs://bucket/key``, ``s3://bucket/key``, ``file:///path`` and plain paths; ModelArts v1's console form
``/bucket/key/`` only when the caller says that it speaks that dialect. Nothing is opened or looked up here.
"""

from __future__ import annotations

import os
import re
import urllib.parse
from dataclasses import dataclass, replace
from pathlib import Path

from bootstrap.errors import UrlInvalid, UrlSchemeUnknown

LONGEST_KEY = 1024
"""Bytes of UTF-8 in an object's key; OBS and S3 documentation agree."""

_REMOTE = ("obs", "s3")
_KNOWN = (*_REMOTE, "file")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(/{0,2})(.*)", re.DOTALL)
_SLASH_FORGOTTEN = re.compile(r"(?:obs|s3):/?(?!/)", re.IGNORECASE)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
_SIGNATURE = re.compile(r"[?&](X-Amz-|AWSAccessKeyId=|AccessKeyId=|Signature=|x-obs-|x-amz-)", re.IGNORECASE)
_STORE_HOST = re.compile(r"(?:(?P<bucket>[^./]+(?:\.[^./]+)*?)\.)?(?:obs|oss|s3|cos)[.-][^/]*\.[a-z]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Location:
    """A file, an object, or a tree of them.

    ``scheme`` is ``file`` or ``obs`` (S3 is spoken to both ways). ``path`` is a local path or a key; it keeps a
    trailing ``/``, which says "directory". An empty ``path`` in a bucket is the whole bucket.
    """

    scheme: str
    path: str
    bucket: str = ""

    @property
    def is_remote(self) -> bool:
        return self.scheme == "obs"

    @property
    def is_directory(self) -> bool:
        """Whether it was *written* as a directory; one without the slash may still turn out to be one."""
        return self.path.endswith("/") or (self.is_remote and not self.path)

    @property
    def name(self) -> str:
        """The last directory or file name; a bucket's own name for its root, empty for ``/`` and ``.``."""
        last = self.path.rstrip("/").rpartition("/")[2]
        if self.is_remote:
            return last or self.bucket
        return "" if last in (".", "..") else last

    @property
    def local(self) -> Path:
        """The local path. For ``file`` only."""
        return Path(self.path)

    @property
    def parent(self) -> Location:
        """The directory above, written as one. The root's parent is the root."""
        above, slash, _ = self.path.rstrip("/").rpartition("/")
        if self.is_remote:
            return replace(self, path=above + slash)
        return replace(self, path=os.path.join(os.path.dirname(os.path.normpath(self.path)) or ".", ""))

    def as_directory(self) -> Location:
        """The same place, written with its trailing slash."""
        return self if self.is_directory else replace(self, path=self.path + "/")

    def child(self, relative: str) -> Location:
        """A place below this one; ``relative`` uses ``/`` and may itself end in one."""
        return replace(self, path=self.as_directory().path + relative)

    def __str__(self) -> str:
        return f"obs://{self.bucket}/{self.path}" if self.is_remote else self.path


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
    match = _SCHEME.fullmatch(text)
    if match is None:
        if console_form and text.startswith("/"):
            return _remote(text, text.lstrip("/"))
        return Location("file", text)
    scheme, slashes, rest = match[1].lower(), match[2], match[3]
    if scheme == "file":
        return _file(text, slashes + rest)
    if scheme in _REMOTE:
        if slashes != "//":
            remedy = f"write {shown(f'{scheme}://{rest}')}"
            raise UrlInvalid(f"{scheme}: needs two slashes", where=shown(text), remedy=remedy)
        return _remote(text, rest)
    if slashes == "//":
        raise _unknown(scheme, rest, text)
    return Location("file", text)  # a colon in a file's name is legal


def shown(text: str) -> str:
    """``text`` fit for printing: without the userinfo and the query that may carry keys and signatures."""
    head, separator, rest = text.partition("://")
    if forgotten := _SLASH_FORGOTTEN.match(text):
        head, separator, rest = "", forgotten[0], text[forgotten.end() :]
    elif not separator:
        head, rest = "", text
    authority, slash, path = rest.partition("/")
    authority = authority.rpartition("@")[2]
    signed = _SIGNATURE.search(path)
    if signed is not None:
        path = path[: path.index("?")] if "?" in path else path[: signed.start()]
    return (head + separator + authority + slash + path).replace("\0", "\\0")


def _remote(text: str, rest: str) -> Location:
    if "@" in rest.partition("/")[0]:
        raise UrlInvalid(
            "a URL with keys in front of the bucket",
            where=shown(text),
            why="keys in a URL end up in logs and process lists, so they are not used",
            remedy="set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY, and leave the URL without them",
        )
    if _SIGNATURE.search(rest):
        raise UrlInvalid("a signed URL", where=shown(text), why="the query is not part of an object's name")
    bucket, _, key = rest.partition("/")
    if not bucket:
        raise UrlInvalid("a URL without a bucket", where=shown(text))
    if not _BUCKET.fullmatch(bucket):
        raise UrlInvalid(
            f"{bucket!r} cannot be a bucket's name",
            where=shown(text),
            why="buckets have 2 to 63 letters, digits, dots and dashes",
        )
    size = len(key.encode("utf-8", "surrogateescape"))
    if size > LONGEST_KEY:
        raise UrlInvalid(f"a key of {size} bytes", where=shown(text)[:120] + "...", why=f"the most is {LONGEST_KEY}")
    return Location("obs", key, bucket)


def _file(text: str, rest: str) -> Location:
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        if host not in ("", "localhost"):
            remedy = f"write file:///{host}/{path} for the path /{host}/{path}"
            raise UrlInvalid(f"file:// with the host {host!r}", where=shown(text), remedy=remedy)
        rest = slash + path
    if not rest.startswith("/"):
        raise UrlInvalid("file: needs an absolute path", where=shown(text))
    return Location("file", urllib.parse.unquote(rest, errors="surrogateescape"))


def _unknown(scheme: str, rest: str, text: str) -> UrlSchemeUnknown:
    remedy = ""
    if scheme in ("http", "https"):
        host, _, path = shown("x://" + rest)[4:].partition("/")
        found = _STORE_HOST.fullmatch(host.partition(":")[0])
        path = path.partition("?")[0]
        if found is not None:
            # Both styles of an object's web address: the bucket in the host, or first in the path.
            remedy = f"write obs://{found['bucket']}/{path}" if found["bucket"] else f"write obs://{path}"
        else:
            remedy = "write obs://bucket/prefix/ and put the store's address into S3_ENDPOINT"
    elif scheme in ("s3a", "s3n", "oss", "cos", "gs", "tos"):
        remedy = f"write {shown('s3://' + rest)} and put the store's address into S3_ENDPOINT"
    else:
        import difflib  # wanted for this one sentence only

        near = difflib.get_close_matches(scheme, _KNOWN, n=1, cutoff=0.5)
        if near:
            remedy = f"did you mean {shown(f'{near[0]}://{rest}')}?"
    return UrlSchemeUnknown(f"unknown scheme {scheme}://", where=shown(text), remedy=remedy)
