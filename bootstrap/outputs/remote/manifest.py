"""The manifests below ``URL/.bootstrap/``, as docs/outputs.md describes them: values, their JSON, their keys, the rule.

Everything that decides what is complete is here and has no I/O: publisher, resume and ``bootstrap outputs`` share it.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar, cast

from ...ground.json_text import load_json
from ...reporting.prose import counted
from ...reporting.record import utc
from ...values import asdict, dataclass, field, replace
from ...values import fields as dataclass_fields

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

T = TypeVar("T")


class Unreadable(ValueError):
    """A document that is no manifest, or of a schema that is not known here."""


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
        return _dump({"schema": SCHEMA, "kind": "checkpoint", **_told(self)})

    @classmethod
    def read(cls, text: bytes) -> Checkpoint:
        """Raises :class:`Unreadable`."""
        return _built(cls, _load(text, "checkpoint"))


@dataclass(frozen=True, slots=True)
class RunManifest:
    """One node's manifest of a whole run (attempt); ``complete`` when everything that was ordered is there."""

    attempt: int
    node: int
    nodes: int
    started: float
    ended: float
    complete: bool
    files: tuple[File, ...] = ()
    checkpoints: tuple[Mapping[str, Any], ...] = ()
    undelivered: tuple[Mapping[str, Any], ...] = ()
    job: str = ""

    @property
    def key(self) -> str:
        return f"{HOME}runs/{self.attempt}/node-{self.node}.json"

    def text(self) -> bytes:
        return _dump({"schema": SCHEMA, "kind": "run", **_told(self)})

    @classmethod
    def read(cls, text: bytes) -> RunManifest:
        return _built(cls, _load(text, "run"))


@dataclass(frozen=True, slots=True)
class Part:
    """Files that are no checkpoint, as one look found them: a later part's files replace an earlier one's."""

    attempt: int
    node: int
    number: int
    files: tuple[File, ...]

    @property
    def key(self) -> str:
        return f"{HOME}runs/{self.attempt}/node-{self.node}.files/{self.number:06d}.json"

    def text(self) -> bytes:
        return _dump({"schema": SCHEMA, "kind": "files", **_told(self)})

    @classmethod
    def read(cls, text: bytes) -> Part:
        return _built(cls, _load(text, "files"))


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """A node's word that it has begun an attempt. Of two of one node, the greater is the newer."""

    attempt: int
    run: str
    started: float = field(default=0.0, compare=False)
    node: int = field(default=0, compare=False)
    nodes: int = field(default=1, compare=False)
    job: str = field(default="", compare=False)
    host: str = field(default="", compare=False)

    @property
    def key(self) -> str:
        return f"{HOME}claims/node-{self.node}/{self.attempt:06d}-{self.run}.json"

    def text(self) -> bytes:
        return _dump({"schema": SCHEMA, "kind": "claim", **_told(self)})

    @classmethod
    def read(cls, text: bytes) -> Claim:
        return _built(cls, _load(text, "claim"))


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


@dataclass(frozen=True, slots=True)
class WholeCheckpoint:
    """All nodes' manifests of one version of a checkpoint, and ``missing``: what it lacks to be complete, in words."""

    path: str
    attempt: int
    version: int
    nodes: Mapping[int, Checkpoint]
    missing: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return not self.missing

    @property
    def saved(self) -> float:
        return max((each.saved for each in self.nodes.values()), default=0.0)

    @property
    def published(self) -> float:
        return max((each.published for each in self.nodes.values()), default=0.0)

    @property
    def size(self) -> int:
        return sum(each.size for each in self.nodes.values())

    @property
    def format(self) -> str:
        return next((each.format for each in self.nodes.values() if each.files), "")

    @property
    def job(self) -> str:
        return next((each.job for each in self.nodes.values()), "")

    @property
    def age_key(self) -> tuple[int, float, int]:
        """The greater, the newer."""
        return self.attempt, self.saved, self.version

    @property
    def identity(self) -> tuple[str, int, int]:
        return self.path, self.attempt, self.version

    def files_for(self, node: int) -> list[File]:
        """The files as ``node`` is to have them: all nodes', and its own where several nodes have a path."""
        found: dict[str, File] = {}
        for rank in sorted(self.nodes, key=lambda rank: (rank == node, -rank)):
            found.update((file.path, file) for file in self.nodes[rank].files)
        return [found[path] for path in sorted(found)]


def whole(manifests: Iterable[Checkpoint], ended: frozenset[int] = frozenset()) -> WholeCheckpoint:
    """The rule. ``manifests`` are of one version of one checkpoint; ``ended`` are the nodes whose run manifest of that
    attempt is complete, so that what they have not named they do not have.
    """
    nodes = {each.node: each for each in manifests}
    first = next(iter(nodes.values()))
    wanted = max(each.nodes for each in nodes.values())
    there = set(nodes) | {node for node in ended if node < wanted}
    missing = []
    if len(there) < wanted:
        absent = [str(node) for node in range(wanted) if node not in there]
        missing.append(
            f"node{'s' if len(absent) > 1 else ''} {', '.join(absent[:8])}{', ...' if len(absent) > 8 else ''}"
        )
    paths = {file.path for each in nodes.values() for file in each.files}
    lacking = sorted({path for each in nodes.values() for path in each.needs} - paths)
    missing += lacking[:3] + ([counted(len(lacking) - 3, "more file")] if len(lacking) > 3 else [])
    if not paths and not missing:
        missing.append("files")
    return WholeCheckpoint(first.path, first.attempt, first.version, nodes, tuple(missing))


@dataclass(frozen=True, slots=True)
class Contents:
    """What the manifests below one URL say. ``unreadable`` pairs keys with reasons."""

    checkpoints: tuple[WholeCheckpoint, ...] = ()
    """The newest first."""

    runs: tuple[RunManifest, ...] = ()
    claims: tuple[Claim, ...] = ()
    loose: Mapping[int, Mapping[str, File]] = field(default_factory=dict)
    """Files that are no checkpoint, by node and path, of the newest attempt that has written each."""

    attempts: Mapping[tuple[int, str], int] = field(default_factory=dict)
    """By node and path, the attempt that has written each of those."""

    unreadable: tuple[tuple[str, str], ...] = ()

    def of_job(self, job: str) -> Contents:
        """Only what attempts of this job have written."""
        others = {claim.attempt for claim in self.claims if claim.job != job}
        mine = {claim.attempt for claim in self.claims if claim.job == job}
        others -= mine  # before the second of two claims was seen, both had the number
        loose = {
            node: {path: file for path, file in files.items() if self.attempts.get((node, path)) not in others}
            for node, files in self.loose.items()
        }
        return replace(
            self,
            checkpoints=tuple(one for one in self.checkpoints if one.job == job),
            runs=tuple(run for run in self.runs if run.job == job),
            claims=tuple(claim for claim in self.claims if claim.job == job),
            loose=loose,
        )

    @property
    def newest(self) -> WholeCheckpoint | None:
        """The newest complete checkpoint."""
        return next((each for each in self.checkpoints if each.complete), None)

    @property
    def attempt(self) -> int:
        """The newest attempt of the job; 0 without any."""
        return max([claim.attempt for claim in self.claims] + [run.attempt for run in self.runs], default=0)

    def ended(self, attempt: int) -> bool:
        """Whether all nodes of the attempt have told their end."""
        found = {run.node: run for run in self.runs if run.attempt == attempt}
        return bool(found) and len(found) >= max(run.nodes for run in found.values())

    def run_complete(self, attempt: int) -> bool:
        """Whether all nodes' run manifests of the attempt say so."""
        found = {run.node: run for run in self.runs if run.attempt == attempt}
        wanted = max((run.nodes for run in found.values()), default=0)
        return bool(wanted) and len(found) >= wanted and all(run.complete for run in found.values())


def contents(documents: Iterable[tuple[str, bytes]]) -> Contents:
    """Of all documents below ``.bootstrap/``, by their keys without it."""
    grouped: dict[tuple[str, int, int], list[Checkpoint]] = {}
    runs: list[RunManifest] = []
    claims: list[Claim] = []
    parts: list[Part] = []
    bad: list[tuple[str, str]] = []
    for key, text in documents:
        kind = kind_of(key)[0] if text != VOID else ""
        try:
            if kind == "checkpoint":
                found = Checkpoint.read(text)
                grouped.setdefault((found.path, found.attempt, found.version), []).append(found)
            elif kind == "run":
                runs.append(RunManifest.read(text))
            elif kind == "files":
                parts.append(Part.read(text))
            elif kind == "claim":
                claims.append(Claim.read(text))
        except Unreadable as error:
            bad.append((HOME + key, str(error)))
    ended: dict[int, set[int]] = {}
    for one in runs:
        if one.complete:
            ended.setdefault(one.attempt, set()).add(one.node)
    wholes = [whole(each, frozenset(ended.get(attempt, ()))) for (_, attempt, _), each in grouped.items()]
    loose: dict[int, dict[str, File]] = {}
    ordered: list[tuple[int, int, Part | RunManifest]] = [(each.attempt, each.number, each) for each in parts]
    ordered += [(run.attempt, sys.maxsize, run) for run in runs]
    by_attempt: dict[tuple[int, str], int] = {}
    for _, _, each in sorted(ordered, key=lambda one: one[:2]):
        loose.setdefault(each.node, {}).update((file.path, file) for file in each.files)
        by_attempt.update(((each.node, file.path), each.attempt) for file in each.files)
    return Contents(
        tuple(sorted(wholes, key=lambda one: one.age_key, reverse=True)),
        tuple(sorted(runs, key=lambda run: (run.attempt, run.node))),
        tuple(sorted(claims)),
        loose,
        by_attempt,
        tuple(bad),
    )


# --- JSON ---


_LARGEST = 1_000_000
"""Of an attempt, a node or their number: what is larger is nonsense, and would be counted up to."""

_TIMES = ("saved", "published", "started", "ended", "modified")


def _told(value: Any) -> dict[str, Any]:
    return {name: _plain(name, one) for name, one in asdict(value).items()}


def _plain(name: str, value: Any) -> Any:
    if name in _TIMES:
        return utc(value)
    if isinstance(value, (tuple, list)):
        return [_plain("", one) for one in value]
    if isinstance(value, Mapping):
        return {key: _plain(key, one) for key, one in value.items() if key != "data" or one is not None}
    return value


def _dump(document: dict[str, Any]) -> bytes:
    try:
        return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # a name that is no UTF-8, which only a directory can have
        return json.dumps(document, indent=1).encode() + b"\n"


def _load(text: bytes, kind: str) -> dict[str, Any]:
    try:
        found = load_json(text)
    except ValueError as error:
        raise Unreadable(f"it is no JSON ({error})") from None
    if not isinstance(found, dict) or found.get("kind") != kind:
        raise Unreadable(f"it is no manifest of kind {kind!r}")
    if found.get("schema") != SCHEMA:
        raise Unreadable(f"its schema is {found.get('schema')!r}, and only {SCHEMA} is known here")
    return found


def _built(cls: Callable[..., T], found: dict[str, Any]) -> T:
    try:
        fields = {name: found[name] for name in [one.name for one in dataclass_fields(cast(Any, cls))] if name in found}
        for name in _TIMES:
            if name in fields:
                fields[name] = datetime.fromisoformat(fields[name]).timestamp()
        if "files" in fields:
            fields["files"] = tuple(_file(one) for one in fields["files"])
        for name in ("needs", "checkpoints", "undelivered"):
            if name in fields:
                fields[name] = tuple(fields[name])
        for name in ("attempt", "node", "nodes", "version", "number"):
            if name in fields:
                fields[name] = int(fields[name])
                if not 0 <= fields[name] <= (LAST_STATE if name in ("version", "number") else _LARGEST):
                    raise ValueError(f"{name} is {fields[name]}")
        for name in ("path", "run", "job", "host"):
            if not isinstance(fields.get(name, ""), str):
                raise ValueError(f"{name} is no text")
        for name, kind in (("needs", str), ("checkpoints", dict), ("undelivered", dict)):
            if not all(isinstance(one, kind) for one in fields.get(name, ())):
                raise ValueError(f"{name} holds something else")
        return cls(**fields)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise Unreadable(f"a field is missing or of another kind ({error})") from None


def _file(found: Any) -> File:
    path, key = str(found["path"]), str(found["key"])
    for each in (path, key):
        if each.startswith("/") or ".." in each.split("/") or not each or "\0" in each:
            raise ValueError(f"{each!r} leads out of its directory")
    modified = datetime.fromisoformat(found["modified"]).timestamp() if "modified" in found else 0.0
    size = int(found["size"])
    data = tuple((int(start), int(end)) for start, end in found["data"]) if "data" in found else None
    edges = [edge for stretch in data or () for edge in stretch]
    if edges != sorted(edges) or (edges and not 0 <= edges[0] <= edges[-1] <= size):
        raise ValueError(f"the stretches of {path} are not in it")
    return File(path, key, size, str(found["sha256"]), modified, data)
