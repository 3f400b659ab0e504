"""The one value that a URL or a path becomes. Nothing is opened or looked up here."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from ...errors import UrlInvalid
from ...ground.patterns import pattern
from ...values import dataclass, field, replace

LOCAL = "file"
"""The scheme of every place on this machine."""

LONGEST_KEY = 1024
"""Bytes of UTF-8 in an object's key; OBS and S3 documentation agree."""

_SLASH_FORGOTTEN = pattern(r"(?:obs|s3):/?(?!/)", re.IGNORECASE)
_BUCKET = pattern(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
_WITH_A_QUERY = pattern(r"(?:[a-z]+\+)?https?://", re.IGNORECASE)
_ESCAPED = ("http", "https")
"""Schemes whose paths are kept as they were written: %2F in one is not a slash."""

_WITHOUT_USERS = ("hf",)
"""Schemes in which an @ stands before a revision, in the first part too."""

_SIGNATURE = pattern(
    r"[?&](?:X-(?:Amz|obs|Goog|Tos|oss)-|(?:AWS|OSS|Google)?AccessKeyId=|GoogleAccessId=|(?:q-)?Signature=|q-sign-"
    r"|sig=|sv=|(?:security-)?token=|password=|delegation=)",
    re.IGNORECASE,
)
"""What S3's kind of stores, Google, Azure (SAS), Tencent and Volcano Engine sign URLs with, and what else opens one."""


@dataclass(frozen=True, slots=True)
class Location:
    """A file, an object, or a tree of them.

    ``scheme`` is as it was written, in small letters, and ``file`` for a plain path. ``path`` is a local path or a key;
    it keeps a trailing ``/``, which says "directory". An empty ``path`` in a bucket is the whole bucket.

    ``bucket`` is whatever is opened as one: a bucket, a web server, one revision of a repository. ``title`` is its
    name as a directory's, where that is not ``bucket``; ``between`` is written between the two. ``sha256`` is what the
    file has to have. ``userinfo`` and ``query`` open the place and are never shown.
    """

    scheme: str
    path: str
    bucket: str = ""
    title: str = ""
    between: str = "/"
    sha256: str = ""
    userinfo: str = field(default="", repr=False)
    query: str = field(default="", repr=False)

    @property
    def is_remote(self) -> bool:
        return self.scheme != LOCAL

    @property
    def is_directory(self) -> bool:
        """Whether it was *written* as a directory; one without the slash may still turn out to be one."""
        return self.path.endswith("/") or (self.is_remote and not self.path)

    @property
    def name(self) -> str:
        """The last directory or file name; a bucket's own name for its root, empty for ``/`` and ``.``."""
        last = self.path.rstrip("/").rpartition("/")[2]
        if self.scheme in _ESCAPED and not set(plain := unquote(last)) & set("/\0"):
            last = plain
        if self.is_remote:
            return last or self.title or self.bucket
        return "" if last in (".", "..") else last

    @property
    def local(self) -> Path:
        """The local path. For places on this machine only."""
        return Path(self.path)

    def as_directory(self) -> Location:
        """The same place, written with its trailing slash."""
        return self if self.is_directory else replace(self, path=self.path + "/")

    def child(self, relative: str) -> Location:
        """A place below this one; ``relative`` uses ``/`` and may itself end in one."""
        return replace(self, path=self.as_directory().path + relative)

    def __str__(self) -> str:
        if not self.is_remote:
            return self.path
        between = self.between if self.path or self.between == "/" else ""
        hidden, digest = "?..." if self.query else "", f"#sha256={self.sha256}" if self.sha256 else ""
        return f"{self.scheme}://{self.bucket}{between}{self.path}{hidden}{digest}"


def shown(text: str) -> str:
    """``text`` fit for printing: without the userinfo and the query that may carry keys and signatures."""
    head, separator, rest = text.partition("://")
    if forgotten := _SLASH_FORGOTTEN.match(text):
        head, separator, rest = "", forgotten[0], text[forgotten.end() :]
    elif not separator:
        head, rest = "", text
    authority, slash, path = rest.partition("/")
    if head.lower() not in _WITHOUT_USERS:
        authority = authority.rpartition("@")[2]
    if _SIGNATURE.search(authority):
        authority = authority.partition("?")[0]
    signed = _SIGNATURE.search(path)
    if "?" in path and _WITH_A_QUERY.fullmatch(head + separator):
        before, _, query = path.partition("?")
        path = before + "?..." + "".join(query.partition("#")[1:])
    elif signed is not None:
        path = path[: path.index("?")] if "?" in path else path[: signed.start()]
    return (head + separator + authority + slash + path).replace("\0", "\\0")


def check_unsigned(text: str, rest: str) -> None:
    """Raises :class:`UrlInvalid` for the URL ``text`` where ``rest`` of it has a signature."""
    if _SIGNATURE.search(rest):
        remedy = "a signed URL is one file of a web server: write https://...; or leave out what stands behind the ?"
        why = "the query is not part of an object's name"
        raise UrlInvalid("a signed URL", where=shown(text), why=why, remedy=remedy)


def bucket_location(scheme: str, text: str, rest: str) -> Location:
    """The place ``rest``, which is ``bucket/key``, of the URL ``text``. Raises :class:`UrlInvalid`."""
    if "@" in rest.partition("/")[0]:
        raise UrlInvalid(
            "a URL with keys in front of the bucket",
            where=shown(text),
            why="keys in a URL end up in logs and process lists, so they are not used",
            remedy="set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY, and leave the URL without them",
        )
    check_unsigned(text, rest)
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
    return Location(scheme, key, bucket)
