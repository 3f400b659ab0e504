"""Step 3, connect: this node's interface, the stores that must answer, and the other nodes where there is a need."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from ..errors import BootstrapError, NothingThere, PathUnusable, PermissionDenied
from ..job import Job, Log, Sourced, StopRequest
from ..network.interfaces import Interface, choose
from ..settings import Settings, option, variable
from ..shipping.logs import LogShipper, begin_attempt
from ..storage.local import existing, rights
from ..storage.open import Stores
from ..storage.outage import Outlast
from ..storage.progress import Progress
from ..storage.url import parse
from . import cluster
from .run import Run


def step(run: Run) -> None:
    assert run.job is not None and run.resolved is not None and run.stores is not None
    job, source = run.job, run.resolved.sources["interface"]
    run.interface = choose_interface(job, run.resolved.settings, source)
    if run.interface is not None:
        name, address, speed = run.interface.name, run.interface.address, run.interface.speed
        run.console.info(f"{name} {address}{f', {speed} Mb/s' if speed else ''} ({run.interface.reason})")
        run.record.update(interface={"name": name, "address": address, "speed_mbps": speed})
    else:
        run.console.info("a single node needs no interface")
    probe_outputs(job, run.stores, run.signals.stop, run.console)
    if job.log:
        names = [Path(job.log_file).name, *(path.name for path in run.record_files)]
        run.shipper = start_shipping(run, job, run.stores, names)
    cluster.meet(run)


def start_shipping(run: Run, job: Job, stores: Stores, names: list[str]) -> LogShipper:
    """What an earlier attempt delivered set aside, and the log sent from here on: a fetch may take an hour, too."""
    assert run.resolved is not None
    target, log_file, node = parse(job.log), Path(job.log_file), job.cluster.node_rank
    attempt = begin_attempt(stores, target, log_file, names, node=node, scratch=Path(job.run_dir), log=run.console)
    shipper = LogShipper(
        stores,
        target,
        log_file,
        interval=run.resolved.settings.log_interval,
        node=node,
        attempt=max(attempt, run.record.attempt),
        phase=lambda: run.record.phase,
        log=run.console,
    )
    shipper.start()
    return shipper


def choose_interface(job: Job, chosen: Settings, source: str) -> Interface | None:
    """The interface on which this node talks to the others; None for a single node that asks for none.

    Raises :class:`InterfaceMissing` when a person asked for one that cannot be used; a platform's wish is only a wish.
    """
    by_person = source in (option("interface"), variable("interface"))
    if job.cluster.size == 1 and not by_person:
        return None
    return choose(Sourced(chosen.interface, source) if chosen.interface else None, required=by_person)


def probe_outputs(job: Job, stores: Stores, stop: StopRequest, log: Log) -> None:
    """Look once where each output will go: a wrong bucket or key, or a directory that is closed to us, must fail now,
    not after the training; an outage is waited for.

    A listing is all that is asked, since a probe object would be seen by whoever watches the place. No right to
    list is no proof that writing is refused, so that it only warns. Raises what the store's answer means.
    """
    for output in job.delivered_outputs:
        target = parse(output.url)
        if not target.is_remote:
            there = existing(target.path)
            if os.path.isdir(there) and not os.access(there, os.W_OK | os.X_OK):
                what, where = "an output cannot be delivered", f"{output.source} = {output.url}"
                raise PathUnusable(what, where=where, why=f"no right to write; {rights(there)}")
            continue
        try:
            store, prefix = stores.open(target), target.as_directory().path if target.path else ""
            outlast = Outlast(store.patience, stop, say=Progress(log, "connecting").trouble)
            found = outlast(partial(store.children, prefix))
        except NothingThere:
            found = []
        except PermissionDenied as error:
            log.warning(f"cannot look at the target of an output, and go on: {error.why}", target=str(target))
            continue
        except BootstrapError as error:
            error.where = f"{output.source} = {output.url}: {error.where}"
            raise
        if not found:
            log.info("the target of an output answers and is empty", target=str(target))
        else:
            log.warning(
                "the target of an output is not empty: files of the same names will be replaced",
                target=str(target),
                holds=", ".join(found[:3]) + (", ..." if len(found) > 3 else ""),
            )
