"""Step 6, deliver: the log, then the outputs, then the record of it all, inside what is left of the grace period."""

from __future__ import annotations

import time
from pathlib import Path

from ..errors import BootstrapError
from ..process.budget import Budget
from ..process.signals import Signals
from ..shipping.logs import deliver_files
from ..shipping.outputs import Delivery, deliver_outputs
from ..storage.url import parse
from .conclude import decide
from .fetch import summary
from .run import Run


class TimeIsUp:
    """A :class:`bootstrap.job.StopRequest` for deliveries: a stop request does not end them, the end of its grace does.

    Without one they take as long as they need. One that comes while they run starts the clock then.
    """

    def __init__(self, signals: Signals, budget: Budget) -> None:
        self._signals = signals
        self._budget = budget

    def is_set(self) -> bool:
        return self._budget.left(self._signals.stopped_at) <= 0

    def wait(self, timeout: float | None = None) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.is_set():
            left = self._budget.left(self._signals.stopped_at)
            if deadline is not None:
                left = min(left, deadline - time.monotonic())
                if left <= 0:
                    break
            # Once stopped only time matters; before that, the stop itself shortens what is left.
            if self._signals.stop.is_set():
                time.sleep(left)
            else:
                self._signals.stop.wait(None if left == float("inf") else left)
        return self.is_set()


def step(run: Run) -> None:
    if run.job is None or run.resolved is None or run.stores is None:
        run.outcome = decide(run)
        run.record.conclude(run.outcome.exit_code, run.outcome.reason)
        return
    chosen, job, stores = run.resolved.settings, run.job, run.stores
    time_is_up = TimeIsUp(run.signals, Budget(chosen.grace))
    target = parse(job.log) if job.log else None
    if target is not None:
        failed = deliver_files(stores, target, [Path(job.log_file)], stop=time_is_up, log=run.console)
        for path, why in failed:
            run.console.warning(f"the log was not delivered and stays in {path}: {why}")
        if not failed:
            run.console.info(f"log -> {target.child(Path(job.log_file).name)}")
    if run.ending is not None:  # a command that never ran has left nothing
        run.deliveries = deliver_outputs(job, stores, shared=chosen.shared_outputs, stop=time_is_up, log=run.console)
        for delivery in run.deliveries:
            _tell(run, delivery)
    run.record.update(delivered=[_recorded(delivery) for delivery in run.deliveries])
    run.outcome = decide(run)
    run.record.conclude(run.outcome.exit_code, run.outcome.reason)
    if target is not None:
        lines, record = run.record_files
        try:
            stores.open(target).write(target.child(record.name).path, run.record.text().encode())
            deliver_files(stores, target, [lines], stop=time_is_up, log=run.console)
        except BootstrapError as error:
            run.console.warning(f"the run record was not delivered and stays in {job.run_dir}: {error}")


def _tell(run: Run, delivery: Delivery) -> None:
    report = delivery.report
    if report is None or delivery.error is not None:
        run.console.error(f"{delivery.output.directory} was not delivered: {delivery.error}")
        return
    if report.files or not report.failed:
        run.console.info(
            f"{delivery.output.directory} -> {delivery.target}: "
            f"{report.files} files, {report.bytes / 1e6:.1f} MB in {report.seconds:.1f} s"
        )
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
