"""The end: what is still to go, within the time that there is, and the run's manifest last.

With time, everything goes. Under a deadline the newest checkpoint that fits goes first, all connections on one file,
and its pointers behind it; then the next one. What did not go is named, with its size, and whether cut or failed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

from ..errors import BootstrapError, NothingThere
from ..job import Ending, StopRequest
from ..storage.common.workers import TransferStopped
from ..storage.report import Report
from ..storage.upload.send import IN_HASTE, NOT_BY_DEADLINE, NOT_WHEN_STOPPED
from ..values import dataclass
from .delivery import Delivery, Undelivered
from .local import units
from .local.integrity import tells_its_end
from .local.scan import Look
from .local.units import Unit
from .publisher import MOMENT, QUIET, Publisher, in_order
from .remote.manifest import RunManifest
from .remote.shelf import files_of

_MANIFESTS = 0.5
"""Seconds that manifests may need at the end of what was sent."""

_CUT = (NOT_BY_DEADLINE, NOT_WHEN_STOPPED)


@dataclass
class _Haste:
    """Whether a unit is worth a try in the time that is left, by the rate at which the last ones went: one that hardly
    fits is, unless a smaller one behind it would be lost by it.
    """

    publisher: Publisher
    seconds_left: Callable[[], float]
    behind: list[Unit]

    def fits(self, unit: Unit) -> bool:
        self.behind = [one for one in self.behind if one is not unit]
        left, rate = self.seconds_left() - _MANIFESTS, self.publisher.sender.rate
        if left <= 0:
            return False
        if not rate or self._todo(unit) / rate <= left:
            return True
        return not any(self._todo(one) / rate <= left for one in self.behind if one.kind == "checkpoint")

    def _todo(self, unit: Unit) -> int:
        return sum(item.size for item in unit.items if not self.publisher.shelf.is_there(item))


def deliver(publisher: Publisher, *, ending: Ending, stop: StopRequest, seconds_left: Callable[[], float]) -> Delivery:
    """Bring one output to its end. ``seconds_left`` is infinite as long as nobody waits for us."""
    output, target = publisher.output, publisher.target.url.child(publisher.options.prefix)
    began, sent, before = time.monotonic(), publisher.sender.sent, dict(publisher.shelf.known)
    try:
        found = publisher.look()
    except NothingThere:
        error = NothingThere(
            "the directory of an output is gone",
            where=output.directory,
            why="it was made before the command started, which has removed or renamed it",
            remedy="have the command leave its results in that directory",
        )
        return Delivery(output, target, error=error)
    except BootstrapError as error:
        return Delivery(output, target, error=error)
    everything = publisher.units_of(found)
    publisher.say_of_sparse(found)
    doubtful = doubts(publisher, everything, found, ending)
    publisher.failed = {}  # everything is tried again now
    failure: BootstrapError | None = None
    try:
        publisher.refresh()
        todo = [unit for unit in everything if publisher.shelf.differs(unit)]
        _send(publisher, todo, everything, doubtful, stop, seconds_left)
        if seconds_left() > 0:
            publisher.settle()
    except TransferStopped:
        pass
    except BootstrapError as error:
        failure = error
    undelivered = _undelivered(publisher, everything, found.failed, failure)
    files = sum(before.get(name) != known for name, known in publisher.shelf.known.items())
    named = tuple((item.path, f"{item.why} ({item.size} bytes)") for item in undelivered)
    report = Report(
        str(target),
        files,
        publisher.sender.sent - sent,
        len(before),
        time.monotonic() - began,
        named,
        tuple(found.left_out),
    )
    if failure is None and seconds_left() > 0:
        failure = _conclude(publisher, everything, undelivered, doubtful, ending)
    mine = sorted(publisher.shelf.manifests.values(), key=lambda each: each.saved, reverse=True)
    return Delivery(
        output,
        target,
        report,
        failure,
        undelivered,
        tuple(each.path for each in mine),
        doubtful=tuple(doubtful.items()),
    )


def doubts(publisher: Publisher, everything: Sequence[Unit], found: Look, ending: Ending) -> dict[str, str]:
    """The checkpoints that the command left unfinished, with reasons.

    A command that succeeded has finished what it did, as far as files do not say themselves that they have not. One
    that was killed may have been at work on what it wrote in its last moment.
    """
    doubtful = {}
    ended = publisher.clock.now() - (time.time() - ending.ended)  # as the files' times are, which may be a NAS' own
    for unit in everything:
        if unit.kind != "checkpoint" or not publisher.shelf.differs(unit):
            continue  # what is in the store as it is here was seen to be whole
        quiet = 0.0 if ending.succeeded else QUIET
        elsewhere = publisher.shelf.is_of_others(unit.path)
        why = units.unfinished(unit, found.items, ended, quiet, nodes=publisher.options.nodes, elsewhere=elsewhere)
        why = why or units.lacking(unit, found.failed)
        if not why and ending.signal is not None and not unit.is_directory and ended - unit.modified < MOMENT:
            tells = all(item.path is not None and tells_its_end(item.path) for item in unit.items)
            why = "" if tells else "it was written to in the moment in which the command was killed"
        if why:
            doubtful[unit.path] = why
    return doubtful


def _send(
    publisher: Publisher,
    todo: Sequence[Unit],
    everything: Sequence[Unit],
    doubtful: dict[str, str],
    stop: StopRequest,
    seconds_left: Callable[[], float],
) -> None:
    publisher.sender.throttle.rate = 0.0  # the trainer has gone
    left = seconds_left()
    if left == math.inf:
        publisher.publish(todo, everything, stop=stop, doubtful=doubtful)
        return
    order = in_order(todo, doubtful)
    haste = _Haste(publisher, seconds_left, order)
    left_over = publisher.publish(
        order, everything, stop=stop, parts=IN_HASTE, group=1 << 20, fits=haste.fits, doubtful=doubtful
    )
    for unit in left_over:
        publisher.failed.setdefault(unit.path, NOT_BY_DEADLINE)


def _undelivered(
    publisher: Publisher, everything: Sequence[Unit], failed: Sequence[tuple[str, str]], failure: BootstrapError | None
) -> tuple[Undelivered, ...]:
    found = [Undelivered(path, 0, why, False) for path, why in failed]
    for unit in everything:
        if not publisher.shelf.differs(unit) or unit.path in dict(failed):
            continue
        missing = [item for item in unit.items if not publisher.shelf.is_there(item)]
        if not missing:
            continue  # not whole, and said so elsewhere; its files are there
        whys = [
            publisher.failed[name] for name in (unit.path, *(item.name for item in missing)) if name in publisher.failed
        ]
        why = whys[0] if whys else publisher.waiting.get(unit.path, "") if unit.kind == "pointer" else ""
        why = why or (str(failure) if failure is not None else NOT_WHEN_STOPPED)
        size = sum(item.size for item in missing)
        found.append(Undelivered(unit.path, size, why, why in _CUT))
    return tuple(found)


def _conclude(
    publisher: Publisher,
    everything: Sequence[Unit],
    undelivered: Sequence[Undelivered],
    doubtful: Mapping[str, str],
    ending: Ending,
) -> BootstrapError | None:
    """The run's manifest, which is the last thing that is written."""
    shelf = publisher.shelf
    attempt = shelf.attempt_of()
    of_checkpoints = {file.path for each in shelf.manifests.values() for file in each.files}
    of_checkpoints |= {item.name for unit in everything if unit.path in doubtful for item in unit.items}
    run = RunManifest(
        attempt=attempt,
        node=publisher.options.node,
        nodes=publisher.options.nodes,
        started=publisher.claim.started,
        ended=time.time(),
        complete=not undelivered and ending.succeeded,
        files=tuple(file for file in files_of(shelf.known) if file.path not in of_checkpoints),
        checkpoints=tuple({"path": each.path, "version": each.version} for each in shelf.manifests.values()),
        undelivered=tuple({"path": each.path, "size": each.size, "why": each.why} for each in undelivered),
        unfinished=tuple({"path": path, "why": why} for path, why in doubtful.items()),
        job=publisher.options.job,
    )
    try:
        publisher.target.put(run.key, run.text())
    except BootstrapError as error:
        return error
    except TransferStopped:
        return None
    try:
        if publisher.has_parts:
            parts = [entry.key for entry in publisher.target.listed(f"{run.key.removesuffix('.json')}.files/")]
            publisher.target.delete(parts)  # all that they have said is in the manifest
        shelf.sweep(at_end=True)
    except BootstrapError as error:  # a key that may write, and not delete
        publisher.log.debug(f"what the run's manifest says is there twice: {error}")
    except TransferStopped:
        pass
    return None


__all__ = ["Delivery", "Undelivered", "deliver"]
