"""How the objects of a live log are called, so that a listing alone tells what belongs together, and in what order.

For the log ``dls-task-0.log`` in the log directory::

    dls-task-0.log.parts/node-0.attempt-1.20261122T013000Z/0000000000000000-0000000000004096
    dls-task-0.log.parts/node-0.attempt-1.20261122T013000Z/0000000000004096-0000000000008000
    dls-task-0.log.parts/node-0.attempt-1.20261122T013000Z/heartbeat.json
    dls-task-0.log                                    the whole log, after a clean end; the parts are gone then

The numbers are bytes of the output, from and to (not included). The node and the moment of the start keep two nodes
and two attempts apart, even when the second one could not see what the first had left.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..storage.store import Entry

PARTS = ".parts/"
HEARTBEAT = "heartbeat.json"

_ATTEMPT = re.compile(r"node-(\d+)\.attempt-(\d+)\.(\d{8}T\d{6}Z)")
_RANGE = re.compile(r"(\d{16})-(\d{16})")


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """Bytes ``start`` to ``end`` (not included) of the output; ``merges`` is how often they were written before."""

    start: int
    end: int
    merges: int = field(default=0, compare=False)

    @property
    def size(self) -> int:
        return self.end - self.start

    @property
    def name(self) -> str:
        return f"{self.start:016d}-{self.end:016d}"


def attempt_directory(log_name: str, node: int, attempt: int, began: float) -> str:
    """Where one attempt's parts go, relative to the log directory."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(began))
    return f"{log_name}{PARTS}node-{node}.attempt-{attempt}.{moment}/"


@dataclass
class Attempt:
    """What one attempt of one node has in the store. ``parts`` are in order, and may overlap where they were merged."""

    log: str
    directory: str
    node: int
    number: int
    began: str
    parts: list[tuple[Part, Entry]] = field(default_factory=list)
    heartbeat: Entry | None = None


def attempts(entries: Iterable[Entry], directory: str) -> list[Attempt]:
    """All attempts among ``entries`` (of the log directory, whose key ``directory`` is), the newest last."""
    found: dict[str, Attempt] = {}
    for entry in entries:
        log, divider, rest = entry.key[len(directory) :].partition(PARTS)
        whose, _, name = rest.partition("/")
        who = _ATTEMPT.fullmatch(whose)
        if not divider or who is None:
            continue
        below = f"{directory}{log}{PARTS}{whose}/"
        attempt = found.setdefault(below, Attempt(log, below, int(who[1]), int(who[2]), who[3]))
        part = _RANGE.fullmatch(name)
        if part is not None:
            attempt.parts.append((Part(int(part[1]), int(part[2])), entry))
        elif name == HEARTBEAT:
            attempt.heartbeat = entry
    for attempt in found.values():
        attempt.parts.sort(key=lambda item: item[0])
    return sorted(found.values(), key=lambda attempt: (attempt.log, attempt.node, attempt.began, attempt.number))
