"""What is known of a run: a value a node, read from wherever it was, secrets masked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ..values import dataclass, field


@dataclass(frozen=True, slots=True)
class LogEnd:
    """The last lines of a log of ``size`` bytes; ``whole``: they are all there are."""

    name: str
    size: int
    whole: bool
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NodeRun:
    """One node. ``record`` is its run.json, empty where there is none (yet); ``state`` says what is known while it has
    not ended. ``samples`` are the lines of its samples, ``heading`` the first. ``beside``: what else was delivered.
    """

    node: int
    record: Mapping[str, Any]
    heading: Mapping[str, Any] = field(default_factory=dict)
    samples: Sequence[Mapping[str, Any]] = ()
    log: LogEnd | None = None
    state: str = ""
    beside: tuple[tuple[str, int], ...] = ()

    @property
    def host(self) -> str:
        return str(part(self.record, "machine", "host") or "")

    @property
    def exit_code(self) -> int | None:
        return whole(self.record.get("exit_code"))

    @property
    def failed(self) -> bool:
        return self.exit_code not in (None, 0)

    @property
    def began(self) -> float | None:
        return moment(self.record.get("started"))

    @property
    def ended(self) -> float | None:
        return moment(self.record.get("ended"))


@dataclass(frozen=True, slots=True)
class OutputFile:
    path: str
    size: int
    sha256: str
    node: int


@dataclass(frozen=True, slots=True)
class OutputGroup:
    """Files of one output that belong together: ``checkpoint`` is its path, "" for files by themselves."""

    checkpoint: str
    complete: bool
    attempt: int
    files: tuple[OutputFile, ...]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OutputUrl:
    """What the manifests below an output's URL say; ``why`` nothing is said, where that is so."""

    url: str
    groups: tuple[OutputGroup, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class RunReport:
    """All of it. ``source``: where it was read; ``left_out``: other runs that are there as well."""

    source: str
    nodes: tuple[NodeRun, ...]
    outputs: tuple[OutputUrl, ...] = ()
    left_out: int = 0


# --- reading documents that anybody may have written -----------------------------------------------------------------


def part(document: object, *keys: str) -> Any:
    """What is below these keys; None where something else is, or nothing."""
    for key in keys:
        if not isinstance(document, Mapping):
            return None
        document = document.get(key)
    return document


def mapping(document: object, *keys: str) -> Mapping[str, Any]:
    found = part(document, *keys)
    return found if isinstance(found, Mapping) else {}


def listed(document: object, *keys: str) -> list[Any]:
    found = part(document, *keys)
    return found if isinstance(found, list) else []


def number(value: object) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) < 1e18 else None


def whole(value: object) -> int | None:
    found = number(value)
    return int(found) if found is not None and found == int(found) else None


def moment(value: object) -> float | None:
    """Seconds of the epoch of an ISO 8601 text."""
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except (ValueError, OverflowError):
        return None
