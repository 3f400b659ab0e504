"""The jobs whose logs lie below a URL: for who knows where logs go, and not what a job's own directory is called."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..storage.model.store import Entry, Store
from ..values import dataclass
from .reading import NodeLog, look

_LOG = re.compile(r".*\.log(\.parts)?")  # the whole log of a node, or the directory of its parts
_NODE = re.compile(r"(?:.*/)?node-\d+")  # below a job's directory: of it, and no job of its own
MOST = 50
"""Jobs that are looked at: each costs a listing."""


@dataclass(frozen=True, slots=True)
class FoundJob:
    """A directory of logs. ``mtime`` is its newest change, in seconds of the epoch; ``attempts`` counts from 1."""

    directory: str
    mtime: float
    nodes: tuple[int, ...]
    attempts: int
    running: bool


def jobs_below(store: Store, base: str) -> list[FoundJob]:
    """Every job with a log below the directory ``base`` (a key that ends in ``/``, or nothing), newest first."""
    newest = sorted(_directories(store.entries(base), base).items(), key=lambda item: -item[1][0])
    return [_described(store, base, directory, *seen) for directory, seen in newest[:MOST]]


def _directories(entries: Iterable[Entry], base: str) -> dict[str, tuple[float, int]]:
    """Directories of jobs with their newest change, and how many attempts have left a name."""
    found: dict[str, tuple[float, set[str]]] = {}
    for entry in entries:
        words = entry.key[len(base) :].split("/")
        place = next((number for number, word in enumerate(words) if _LOG.fullmatch(word)), None)
        if place is None:
            continue
        directory = "/".join(words[:place])
        if _NODE.fullmatch(directory):
            directory = directory.rpartition("/")[0]
        if not directory:
            continue
        mtime, attempts = found.get(directory, (0.0, set[str]()))
        attempts.update(re.findall(r"\.attempt-(\d+)", words[place]))
        found[directory] = (max(mtime, entry.mtime), attempts)
    return {directory: (mtime, len(attempts) + 1) for directory, (mtime, attempts) in found.items()}


def _described(store: Store, base: str, directory: str, mtime: float, attempts: int) -> FoundJob:
    logs: list[NodeLog] = look(store, f"{base}{directory}/")
    number = max((log.attempt.number for log in logs if log.attempt is not None), default=0)
    running = any(not log.ended and not log.vanished for log in logs)
    return FoundJob(directory, mtime, tuple(sorted({log.node for log in logs})), max(attempts, number), running)
