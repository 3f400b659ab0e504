"""The manifests below ``URL/.bootstrap/``, as docs/outputs.md describes them: values, their keys and their JSON.

:mod:`.parsing` reads them, and :mod:`.contents` knows what they say together.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from ...reporting.record import utc
from ...values import asdict, dataclass, field

SCHEMA = 1
HOME = ".bootstrap/"
"""Where all of it is, below the URL of an output."""

VOID = b'{"schema": 1, "kind": "void"}\n'
"""In place of a manifest that may not be removed, and stands for nothing any more."""

NEW = HOME + "new/"
"""Contents on their way to a name that is taken."""

LAST_STATE = 999_999_999
"""The version of a checkpoint that several nodes rewrite in place: one, at the end, and behind all others."""

_CHECKPOINT = re.compile(
    r"checkpoints/(?:(?P<path>.+)/)?@(?P<attempt>\d+)\.(?P<version>\d+)/node-(?P<node>\d+)\.json", re.DOTALL
)
_RUN = re.compile(r"runs/(?P<attempt>\d+)/node-(?P<node>\d+)\.json")
_PART = re.compile(r"runs/(?P<attempt>\d+)/node-(?P<node>\d+)\.files/(?P<number>\d+)\.json")
_CLAIM = re.compile(r"claims/node-(?P<node>\d+)/(?P<attempt>\d+)-(?P<run>[0-9a-f]+)\.json")

_LONGEST_PATH = 200  # bytes

TIMES = ("saved", "published", "started", "ended", "modified")
"""Fields that are seconds of the epoch, and words in JSON."""


@dataclass(frozen=True, slots=True)
class File:
    """One file: ``path`` in the output directory, ``key`` below the URL, bytes, SHA-256, time of its last change.

    ``data``: of a file that has holes, where there is anything but zeros: first bytes, and first bytes behind.
    """

    path: str
    key: str
    size: int
    sha256: str
    modified: float = 0.0
    data: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One node's manifest of one version of a checkpoint. Times are seconds of the epoch."""

    kind = "checkpoint"

    path: str
    format: str
    attempt: int
    version: int
    node: int
    nodes: int
    saved: float
    published: float
    files: tuple[File, ...]
    needs: tuple[str, ...] = ()
    job: str = ""

    @property
    def key(self) -> str:
        """Below the URL."""
        return f"{directory_of(self.path, self.attempt, self.version)}node-{self.node}.json"

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    def text(self) -> bytes:
        return _text(self.kind, self)


@dataclass(frozen=True, slots=True)
class RunManifest:
    """One node's manifest of a whole run (attempt); ``complete`` when everything that was ordered is there."""

    kind = "run"

    attempt: int
    node: int
    nodes: int
    started: float
    ended: float
    complete: bool
    files: tuple[File, ...] = ()
    checkpoints: tuple[Mapping[str, Any], ...] = ()
    undelivered: tuple[Mapping[str, Any], ...] = ()
    unfinished: tuple[Mapping[str, Any], ...] = ()
    """What looks like a checkpoint, and the command had not finished: its files are there, and in no list."""

    job: str = ""

    @property
    def key(self) -> str:
        return f"{HOME}runs/{self.attempt}/node-{self.node}.json"

    def text(self) -> bytes:
        return _text(self.kind, self)


@dataclass(frozen=True, slots=True)
class Part:
    """Files that are no checkpoint, as one look found them: a later part's files replace an earlier one's."""

    kind = "files"

    attempt: int
    node: int
    number: int
    files: tuple[File, ...]

    @property
    def key(self) -> str:
        return f"{HOME}runs/{self.attempt}/node-{self.node}.files/{self.number:06d}.json"

    def text(self) -> bytes:
        return _text(self.kind, self)


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """A node's word that it has begun an attempt. Of two of one node, the greater is the newer."""

    kind = "claim"

    attempt: int
    run: str
    started: float = field(default=0.0, compare=False)
    node: int = field(default=0, compare=False)
    nodes: int = field(default=1, compare=False)
    job: str = field(default="", compare=False)
    host: str = field(default="", compare=False)
    listed: float = field(default=0.0, compare=False)
    """When it was written, by the store's clock, which nodes with different clocks have in common; 0: not known. It is
    in no document.
    """

    @property
    def key(self) -> str:
        return f"{HOME}claims/node-{self.node}/{self.attempt:06d}-{self.run}.json"

    def text(self) -> bytes:
        return _text(self.kind, self, without=("listed",))


def parents(path: str) -> list[str]:
    """The directories that a path or a key is in, the topmost first."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def directory_of(path: str, attempt: int, version: int) -> str:
    """Where the manifests of one version of a checkpoint are. What is newer sorts behind what is older: a listing,
    which is no picture of one moment, has not yet gone past the newer one when the older one is removed.
    """
    below = "" if path == "." else f"{fitting(path)}/"  # "/./" is no part of a key, and none of a path
    return f"{HOME}checkpoints/{below}@{attempt:06d}.{version:09d}/"


def fitting(path: str) -> str:
    """``path`` as a part of a key of ours, which has to have room for the rest of it: a long one by its digest."""
    plain = path.encode("utf-8", "surrogateescape")
    return path if len(plain) <= _LONGEST_PATH else f"sha256-{hashlib.sha256(plain).hexdigest()}"


def kind_of(key: str) -> tuple[str, dict[str, str]]:
    """What the key, without ``.bootstrap/`` before it, is of: checkpoint, run, files, claim or nothing; its parts."""
    for kind, pattern in (("checkpoint", _CHECKPOINT), ("run", _RUN), ("files", _PART), ("claim", _CLAIM)):
        found = pattern.fullmatch(key)
        if found:
            return kind, found.groupdict()
    return "", {}


def _text(kind: str, value: Any, without: Collection[str] = ()) -> bytes:
    fields = {name: _plain(name, one) for name, one in asdict(value).items() if name not in without}
    document = {"schema": SCHEMA, "kind": kind, **fields}
    try:
        return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # a name that is no UTF-8, which only a directory can have
        return json.dumps(document, indent=1).encode() + b"\n"


def _plain(name: str, value: Any) -> Any:
    if name in TIMES:
        return utc(value)
    if isinstance(value, (tuple, list)):
        return [_plain("", one) for one in value]
    if isinstance(value, Mapping):
        return {key: _plain(key, one) for key, one in value.items() if key != "data" or one is not None}
    return value
