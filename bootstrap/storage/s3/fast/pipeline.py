"""Exchanges over the fast path: requests sent ahead on as many connections as make it faster, answers in their order.

What the fast path cannot do is left over, never lost: an exchange ends with its ``take``, or is left for boto3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ....job import StopRequest
from ....values import dataclass
from ...common.workers import in_parallel
from ...model.pipeline import E, RequestBudget, Several
from .backlog import HEAVY_AT_ONCE, Backlog, alone
from .growth import MOST
from .serving import Client, Holding, serve


@dataclass
class Memory:
    """What transfers have learnt of a store, for the next: the number of connections that was right, and how many
    seconds it thought before it answered, 0 if it is not known yet; seconds of work for opening a connection; and
    connections for long answers that are read, to begin with.
    """

    connections: int = 0
    thinks: float = 0.0
    opening: float = 0.0005
    readers: int = HEAVY_AT_ONCE


class Processes(Holding, Protocol):
    """Those of one transfer."""

    def used(self, left: int) -> tuple[float, int]:
        """Seconds of CPU, and by how many processes, while so many long exchanges are left."""

    def close(self) -> None: ...


class Remembering(Client, Protocol):
    """A bucket's fast client."""

    memory: Memory

    def processes(self) -> Processes | None:
        """Processes of ours for long exchanges that read, where there may be any."""


def run(
    client: Remembering,
    exchanges: Several[E],
    *,
    heavy: int,
    budget: RequestBudget,
    stop: StopRequest,
    beat: Callable[[], None],
) -> Several[E]:
    """As :meth:`bootstrap.storage.model.pipeline.Pipeline.run` has it."""
    memory = client.memory
    backlog = Backlog(
        exchanges,
        heavy=heavy,
        heavy_at_once=memory.readers,
        start=memory.connections,
        thinks=memory.thinks,
        opening=memory.opening,
    )
    processes = client.processes() if backlog.reads else None

    def serve_some(_number: int) -> None:
        serve(client, backlog, budget, stop, processes)

    used = processes.used if processes is not None else alone
    try:
        for ended in in_parallel(backlog.threads(stop, used), serve_some, width=MOST, beat=beat):
            ended.value()
    finally:
        if processes is not None:
            processes.close()
        memory.connections = max(memory.connections // 2, backlog.growth.target)
        memory.thinks, memory.opening = backlog.thinks, backlog.opening
    return backlog.left_over()
