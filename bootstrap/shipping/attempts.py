"""What a listing of a log directory holds of each attempt and node, by the names of `ground/log_names.py`."""

from __future__ import annotations

from collections.abc import Iterable

from ..ground.log_names import HEARTBEAT, LIVE, LogPart, directory_and_name, part_of
from ..storage.model.store import Entry
from ..values import dataclass, field


@dataclass
class Attempt:
    """What one attempt of one node has in the store. ``parts`` are in order, and may overlap where they were merged."""

    log: str
    directory: str
    node: int
    number: int
    began: str
    parts: list[tuple[LogPart, Entry]] = field(default_factory=list)
    heartbeat: Entry | None = None
    live: dict[str, str] = field(default_factory=dict)
    """The keys of what else was sent while it ran: the run record and the samples."""


def attempts(entries: Iterable[Entry], directory: str) -> list[Attempt]:
    """All attempts among ``entries`` (of the log directory, whose key ``directory`` is), the newest last."""
    found: dict[str, Attempt] = {}
    for entry in entries:
        known = directory_and_name(entry.key[len(directory) :])
        if known is None:
            continue
        whose, name = known
        below = directory + whose.path
        attempt = found.setdefault(below, Attempt(whose.log, below, whose.node, whose.attempt, whose.began))
        part = part_of(name)
        if part is not None:
            attempt.parts.append((part, entry))
        elif name == HEARTBEAT:
            attempt.heartbeat = entry
        elif name in LIVE:
            attempt.live[name] = entry.key
    for attempt in found.values():
        attempt.parts.sort(key=lambda item: item[0])
    return sorted(found.values(), key=lambda attempt: (attempt.log, attempt.node, attempt.began, attempt.number))
