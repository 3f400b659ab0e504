"""Manifests of whatever bytes a bucket holds: a document, or :class:`Unreadable` with the reason."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar, cast

from ...ground.json_text import load_json
from ...values import fields as dataclass_fields
from .manifest import LAST_STATE, SCHEMA, TIMES, Checkpoint, Claim, File, Part, RunManifest

_LARGEST = 1_000_000
"""Of an attempt, a node or their number: what is larger is nonsense, and would be counted up to."""

D = TypeVar("D", Checkpoint, RunManifest, Part, Claim)


class Unreadable(ValueError):
    """A document that is no manifest, or of a schema that is not known here."""


def parsed(cls: type[D], text: bytes) -> D:
    """Raises :class:`Unreadable`."""
    return _built(cls, _load(text, cls.kind))


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


def _built(cls: type[D], found: dict[str, Any]) -> D:
    try:
        names = {one.name for one in dataclass_fields(cast(Any, cls))} - {"listed"}  # which is in no document
        fields = {name: found[name] for name in names if name in found}
        for name in TIMES:
            if name in fields:
                fields[name] = datetime.fromisoformat(fields[name]).timestamp()
        if "files" in fields:
            fields["files"] = tuple(_file(one) for one in fields["files"])
        for name in ("needs", "checkpoints", "undelivered", "unfinished"):
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
        if "path" in fields:
            _stays_inside(fields["path"])
        for name, kind in (("needs", str), ("checkpoints", dict), ("undelivered", dict), ("unfinished", dict)):
            if not all(isinstance(one, kind) for one in fields.get(name, ())):
                raise ValueError(f"{name} holds something else")
        return cls(**fields)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise Unreadable(f"a field is missing or of another kind ({error})") from None


def _stays_inside(path: str) -> None:
    if path.startswith("/") or ".." in path.split("/") or not path or "\0" in path:
        raise ValueError(f"{path!r} leads out of its directory")


def _file(found: Any) -> File:
    path, key = str(found["path"]), str(found["key"])
    for each in (path, key):
        _stays_inside(each)
    modified = datetime.fromisoformat(found["modified"]).timestamp() if "modified" in found else 0.0
    size = int(found["size"])
    if size < 0:
        raise ValueError(f"the size of {path} is {size}")
    data = tuple((int(start), int(end)) for start, end in found["data"]) if "data" in found else None
    edges = [edge for stretch in data or () for edge in stretch]
    if edges != sorted(edges) or (edges and not 0 <= edges[0] <= edges[-1] <= size):
        raise ValueError(f"the stretches of {path} are not in it")
    return File(path, key, size, str(found["sha256"]), modified, data)
