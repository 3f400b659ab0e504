"""Step 6, deliver: the log, then the outputs, inside what is left of the grace period."""

from __future__ import annotations

from pathlib import Path

from ..shipping.logs import deliver_files
from ..shipping.outputs import Delivery, deliver_outputs
from ..storage.url import parse
from . import cluster
from .fetch import summary
from .run import Run
from .unlock import close_to_others, open_stores


def step(run: Run) -> None:
    if run.job is None or run.resolved is None:  # a defect of ours, before there was anything to deliver
        return
    if run.stores is None:  # an early failure: the log that says so may still be welcome
        if run.hardening is None:
            close_to_others(run)
        open_stores(run)
    cluster.tell(run)
    job, stores = run.job, run.stores
    assert stores is not None
    if job.log:
        if run.shipper is not None:
            failed = run.shipper.deliver(run.time_is_up)
        else:  # we did not come that far
            failed = deliver_files(stores, parse(job.log), [Path(job.log_file)], stop=run.time_is_up, log=run.console)
        for path, why in failed:
            run.console.warning(f"the log was not delivered and stays in {path}: {why}")
        run.record.update(log_delivered=not failed)
    if run.ending is None:  # a command that never ran has left nothing
        return
    chosen = run.resolved.settings
    shared, links = chosen.shared_outputs, chosen.links
    for delivery in deliver_outputs(job, stores, shared=shared, links=links, stop=run.time_is_up, log=run.console):
        run.deliveries.append(delivery)
        _tell(run, delivery)
    run.record.update(delivered=[_recorded(delivery) for delivery in run.deliveries])


def _tell(run: Run, delivery: Delivery) -> None:
    report = delivery.report
    if report is None or delivery.error is not None:
        run.console.error(f"{delivery.output.directory} was not delivered: {delivery.error}")
        return
    for name, why in report.failed[:10]:
        run.console.error(f"not delivered, still on disk: {Path(delivery.output.directory, name)}: {why}")
    if len(report.failed) > 10:
        run.console.error(f"and {len(report.failed) - 10} more files, all named in the run record")


def _recorded(delivery: Delivery) -> dict[str, object]:
    return {
        "directory": delivery.output.directory,
        "url": str(delivery.target),
        "complete": delivery.complete,
        "error": str(delivery.error) if delivery.error else None,
        **(summary(delivery.report) if delivery.report else {}),
    }
