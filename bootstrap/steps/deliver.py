"""Step 6, deliver: the log, then the outputs, inside what is left of the grace period."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..ground.side_by_side import side_by_side
from ..process.stop.plan import Moment
from ..results import Decided, Found, Link, Seen
from ..run import Run
from ..storage.common.units import readable
from ..values import asdict, replace
from . import conclude, evidence
from .connect import shipper_of
from .fetch import summary
from .unlock import without_unlock

if TYPE_CHECKING:
    from ..outputs.delivery import Delivery, Empty

_TOLD = 10  # files and checkpoints, one by one, before the rest are a number


def with_access(run: Run, found: Found) -> Found:
    """``found`` with a way to the stores, if the steps did not come that far: the log that says why may be welcome."""
    if found.decided is None:
        return found
    access = found.access or without_unlock(run, found.decided)
    link = found.link
    if link is None and found.decided.job.log:  # what others have delivered is theirs, however early we end
        if run.shipper is None:
            from ..shipping.succession import BEGAN  # which a job without a log URL need not load

            run.shipper = shipper_of(run, found.decided, access.stores)
            run.record.update(**{BEGAN: run.shipper.succession.began})
        link = Link(None, run.shipper)
    return replace(found, access=access, link=link)


def step(run: Run, found: Found, deliveries: list[Delivery]) -> None:
    """Deliver what there is while the grace allows it. Each output's fate is added to ``deliveries`` as it is known,
    since this step may be left behind.
    """
    time_is_up = run.until(run.plan.deliver_until)
    decided, access = found.decided, found.access
    if decided is None or access is None:  # a defect of ours, before there was anything to deliver
        return
    conclude.tell_others(run, found)
    hurried = time_is_up.left < math.inf
    if hurried:  # the log first, which is small; then the outputs; then what is nice to have
        _log(run, found, decided, time_is_up)
        _outputs(run, found, decided, time_is_up, deliveries)
        evidence.step(run, found, time_is_up)
        return

    def log() -> None:
        _log(run, found, decided, time_is_up)
        evidence.step(run, found, time_is_up)

    works: list[Callable[[], None]] = [log, partial(_outputs, run, found, decided, time_is_up, deliveries)]
    side_by_side(works[: 2 if decided.job.delivered_outputs else 1])


def _log(run: Run, found: Found, decided: Decided, time_is_up: Moment) -> None:
    job = decided.job
    if job.log:
        assert found.link is not None and found.link.shipper is not None  # see with_access
        found.link.shipper.succession.longest_wait = time_is_up.left / 4
        failed = found.link.shipper.deliver(time_is_up)
        for path, why in failed:
            run.console.warning(f"the log was not delivered and stays in {path}: {why}")
        run.record.update(log_delivered=not failed)


def _outputs(run: Run, found: Found, decided: Decided, time_is_up: Moment, deliveries: list[Delivery]) -> None:
    outputs = found.link.outputs if found.link is not None else None
    if outputs is None:
        return
    if found.seen is None:  # a command that never ran has left nothing
        outputs.withdraw(time_is_up)
        return
    empty = empty_is(decided, found.seen)
    for delivery in outputs.deliver(found.seen.ending, empty, time_is_up, lambda: time_is_up.left):
        deliveries.append(delivery)
        _tell(run, delivery)
    run.record.update(delivered=[_recorded(delivery) for delivery in deliveries])


def empty_is(decided: Decided, seen: Seen) -> Empty:
    """What an output means in which there is nothing. Of several nodes the first writes the results, as a rule."""
    if not seen.ending.succeeded or decided.job.cluster.node_rank:
        return "fine"
    return "failure" if decided.settings.require_outputs else "note"


def _tell(run: Run, delivery: Delivery) -> None:
    directory = delivery.output.directory
    if delivery.error is not None:
        run.console.error(f"{directory} was not delivered: {delivery.error}")
    elif delivery.report is not None:
        facts = {
            "to": str(delivery.target),
            "files": delivery.report.files,
            "size": readable(delivery.report.bytes),
            "seconds": delivery.report.seconds,
        }
        if delivery.complete:
            run.console.info("delivered", **facts)
        else:
            run.console.warning("not everything was delivered", **facts, failed=len(delivery.undelivered))
    if delivery.note:
        run.console.warning(delivery.note)
    for path, why in delivery.doubtful:
        run.console.warning(f"{Path(directory, path)} is no complete checkpoint: {why}")
    for one in delivery.undelivered[:_TOLD]:
        verb, size = "cut" if one.cut else "not delivered", f" ({readable(one.size)})" if one.size else ""
        run.console.error(f"{verb}, still on disk: {Path(directory, one.path)}: {one.why}{size}")
    if len(delivery.undelivered) > _TOLD:
        run.console.error(f"and {len(delivery.undelivered) - _TOLD} more, all named in the run record")
    left_out = delivery.report.left_out if delivery.report is not None else ()
    for name, why in left_out[:_TOLD]:
        run.console.warning(f"left out: {Path(directory, name)}: {why}")
    if len(left_out) > _TOLD:
        run.console.warning(f"and {len(left_out) - _TOLD} more left out, all named in the run record")


def _recorded(delivery: Delivery) -> dict[str, object]:
    report = delivery.report
    return {
        "directory": delivery.output.directory,
        "url": str(delivery.target),
        "complete": delivery.complete,
        "error": str(delivery.error) if delivery.error else None,
        **({"note": delivery.note} if delivery.note else {}),
        "checkpoints": list(delivery.checkpoints),
        "undelivered": [asdict(one) for one in delivery.undelivered],
        **(summary(report) if report is not None else {}),
    }
