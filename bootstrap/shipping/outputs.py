"""The output directories, to their URLs, with nothing lost in silence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import BootstrapError, NothingThere
from ..job import Job, Log, Output, StopRequest
from ..storage.open import Stores
from ..storage.transfer import Report, deliver
from ..storage.tree import Links
from ..storage.url import Location, parse


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one output. ``error`` is why nothing could be tried at all; ``report`` has single files."""

    output: Output
    target: Location
    report: Report | None = None
    error: BootstrapError | None = None

    @property
    def complete(self) -> bool:
        return self.error is None and self.report is not None and not self.report.failed


def target_of(output: Output, job: Job, shared: bool) -> Location:
    """Where this node's part of ``output`` goes.

    Nodes that wrote the same names into one place would overwrite each other in an order nobody chose, so node 0 has
    the URL itself and node N the directory ``node-N/`` below it, unless the outputs are declared shared.
    """
    target = parse(output.url).as_directory()
    rank = job.cluster.node_rank
    return target if shared or rank == 0 else target.child(f"node-{rank}/")


def deliver_outputs(
    job: Job, stores: Stores, *, shared: bool, links: Links, stop: StopRequest, log: Log
) -> Iterator[Delivery]:
    """Deliver what the command left in each output directory. An empty directory is fine: some jobs write nothing."""
    for output in job.delivered_outputs:
        target = target_of(output, job, shared)
        try:
            if not os.path.lexists(output.directory):
                raise NothingThere(
                    "the directory of an output is gone",
                    where=output.directory,
                    why="it was made before the command started, which has removed or renamed it",
                    remedy="have the command leave its results in that directory",
                )
            report = deliver(stores, Path(output.directory), target, links=links, stop=stop, log=log)
        except BootstrapError as error:
            yield Delivery(output, target, error=error)
        else:
            yield Delivery(output, target, report)
