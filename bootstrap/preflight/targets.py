"""What is to be delivered: a file of a few bytes is written to every target, and removed again."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..errors import BootstrapError
from ..job import Job
from ..reporting.language import Words
from ..storage.destination import destination
from ..storage.model.url import Location
from ..storage.open import Stores
from ..values import dataclass
from .findings import Finding, Level, of_error, ok, warning
from .places import probe


@dataclass(frozen=True, slots=True)
class TargetToCheck:
    """``needed``: a job fails without it; the log is only missed."""

    name: str
    url: Location
    needed: bool


def of_job(job: Job, *, allow_undelivered: bool) -> list[TargetToCheck]:
    """The outputs that are ours to deliver, and the log. Raises :class:`UrlInvalid` and its kin."""
    found = [
        TargetToCheck(
            f"output {output.name or output.directory}", destination(output.url, output.source), not allow_undelivered
        )
        for output in job.delivered_outputs
    ]
    if job.log:
        found.append(TargetToCheck("the log", destination(job.log, job.log_source), False))
    return found


def check(target: TargetToCheck, stores: Stores) -> Sequence[Finding]:
    """Whether ``target`` can be written. A store that does not let us remove what we wrote is told of, with its name:
    deliveries do not need that, but then something of ours stays.
    """
    where = f"{target.name} -> {target.url}"
    try:
        left = _probe(target.url, stores)
    except BootstrapError as error:
        return [of_error("target", error, Level.FAILURE if target.needed else Level.WARNING)]
    if left is not None:
        name, why = left
        en, zh = f"{where} can be written, but nothing removed: {name} stays ({why.what}: {why.why})", "可写但不可删除"
        remedy = Words(
            "grant the right to delete, or leave it: old checkpoints stay then, too", "授予删除权限，或保持现状"
        )
        return [warning("target", Words(en, f"{where}：{zh}，{name} 留在该处"), remedy)]
    return [ok("target", f"{where} can be written", f"{where} 可写")]


def _probe(url: Location, stores: Stores) -> tuple[str, BootstrapError] | None:
    if not url.is_remote:
        error = probe(url.path)
        if error is not None:
            raise error
        return None
    store = stores.open(url)
    place = url.child(f".bootstrap-{os.urandom(8).hex()}.probe")
    store.write(place.path, b"bootstrap doctor was here\n")
    try:
        store.delete(place.path)
    except BootstrapError as error:
        return str(place), error
    return None
