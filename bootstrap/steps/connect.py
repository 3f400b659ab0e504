"""Step 3, connect: this node's interface, the stores that must answer, and the other nodes where there is a need."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..ground import log_names
from ..ground.side_by_side import both
from ..job import AskedBy, Job
from ..peers.group import Group, check_possible, meet_by_port, meet_by_store, need_to_meet
from ..peers.interface import needed_interface
from ..results import Access, Decided, Link
from ..run import Run
from ..settings import option
from ..storage.schemes import is_shared, parse
from ..values import replace
from .explaining import samples

if TYPE_CHECKING:
    from ..outputs.session import Session
    from ..peers.marks import Marks
    from ..peers.session import NodeFailure
    from ..sharing.share import Offer
    from ..shipping.logs import LogShipper
    from ..storage.open import Stores


def step(run: Run, decided: Decided, access: Access) -> Link:
    """The interface chosen, the outputs' targets claimed, and the log on its way from here on."""
    job = decided.job
    interface = needed_interface(decided.resolved, several_nodes=job.cluster.size > 1)
    if interface is not None:
        name, address, speed = interface.name, interface.address, interface.speed
        run.console.info(f"{name} {address}{f', {speed} Mb/s' if speed else ''} ({interface.reason})")
        run.record.update(interface={"name": name, "address": address, "speed_mbps": speed})
    else:
        run.console.info("a single node needs no interface")
    claim, ship = partial(_claim, run, decided, access.stores), partial(start_shipping, run, decided, access.stores)
    if job.delivered_outputs and job.log:
        return Link(interface, *both(ship, claim))
    return Link(interface, ship() if job.log else None, claim() if job.delivered_outputs else None)


def _claim(run: Run, decided: Decided, stores: Stores) -> Session:
    from ..outputs.session import Session  # which a job without outputs need not load

    return Session.begin(decided.job, decided.settings, stores, run.signals.stop, run.console)


def start_shipping(run: Run, decided: Decided, stores: Stores) -> LogShipper:
    """What an earlier attempt delivered set aside, and the log sent from here on: a fetch may take an hour, too."""
    from ..shipping.succession import BEGAN  # which a job without a log URL need not load

    shipper = run.shipper = shipper_of(run, decided, stores)
    shipper.succession.begin(Path(decided.job.log_file))
    run.record.update(**{BEGAN: shipper.succession.began})
    shipper.start()
    return shipper


def shipper_of(run: Run, decided: Decided, stores: Stores) -> LogShipper:
    """What sends the log; nothing is looked at before it begins."""
    from ..shipping.in_directory import InDirectory
    from ..shipping.live_files import LiveFiles
    from ..shipping.logs import LogShipper
    from ..shipping.succession import Succession

    job = decided.job
    target, log_file, node = parse(job.log), Path(job.log_file), job.cluster.node_rank
    names = [log_file.name, *(path.name for path in decided.record_files), log_names.report(log_file.name)]
    kind = Succession if target.is_remote or _is_in(log_file, target.local) else InDirectory
    succession = kind(
        stores,
        target,
        names,
        node=node,
        began=run.record.began,
        scratch=Path(job.run_dir),
        log=run.console,
        least=run.record.attempt,
    )
    interval = decided.settings.log_interval
    paths = {log_names.RECORD: Path(job.run_dir, log_names.RECORD), log_names.SAMPLES: Path(samples(job))}
    return LogShipper(
        stores,
        target,
        log_file,
        unwritten=run.unwritten,
        succession=succession,
        files=LiveFiles(paths, since=run.record.began, interval=interval, mask=run.record.mask),
        interval=interval,
        node=node,
        phase=lambda: run.record.phase,
        log=run.console,
    )


def _is_in(file: Path, directory: Path) -> bool:
    try:
        return file.parent.samefile(directory)
    except OSError:
        return False


def meet(run: Run, decided: Decided, access: Access, link: Link) -> Group:
    """Meet the other nodes if there is a need for it; the group's cluster then has everybody's address.

    Raises :class:`PeersMissing` at the deadline, and :class:`UsageError` for wishes that contradict each other.
    """
    chosen, job = decided.settings, decided.job
    cluster, stop = job.cluster, run.signals.stop
    if cluster.size == 1:
        return Group(cluster)
    need = need_to_meet(decided.resolved)
    if chosen.meet in ("no", "store"):
        check_possible(chosen, job.log)
    if chosen.meet == "no" or (chosen.meet == "auto" and not need):
        return Group(cluster)
    from ..peers.node_info import NodeInfo

    assert link.interface is not None  # several nodes always have one
    began = time.monotonic()
    own = NodeInfo(cluster.me.host or os.uname().nodename, link.interface.address, link.interface.name)
    if chosen.meet == "store":
        group = meet_by_store(cluster, own, chosen, job.facts.job_id, access.stores, stop=stop, log=run.console)
    else:
        heard = partial(_heard, run, chosen.on_peer_failure == "stop")
        offer = _offer(decided, link.interface.address)
        own = replace(own, share=offer.told if offer is not None else "")
        try:
            group = meet_by_port(
                cluster, own, chosen, job.facts.job_id, marks=_marks(job), on_failure=heard, stop=stop, log=run.console
            )
        except BaseException:
            if offer is not None:
                offer.close()
            raise
        if offer is not None and group.session is not None:
            group.share = offer.among(group.session.members, cluster.node_rank)
    seconds = time.monotonic() - began
    run.console.info(f"met all {cluster.size} nodes ({need or 'asked for'})", seconds=round(seconds, 1))
    addresses = [node.address for node in group.cluster.nodes]
    run.record.update(met={"seconds": round(seconds, 3), "why": need or "asked for", "addresses": addresses})
    return group


def _offer(decided: Decided, address: str) -> Offer | None:
    """Where the other nodes get what we have fetched, if they are to."""
    job, chosen = decided.job, decided.settings
    urls = [url for url in (job.code, *(item.url for item in job.inputs)) if url and is_shared(parse(url))]
    if chosen.share_fetch == "no" or not urls:
        return None
    from ..peers.protocol import secret_of
    from ..sharing import share  # which a node alone need not load

    secret = secret_of(job.cluster, job.facts.job_id, chosen.peer_secret)
    return share.listen(address, secret, urls, least=share.LEAST if chosen.share_fetch == "auto" else 1)


def _marks(job: Job) -> Marks:
    """What this job may be known by where it has no id."""
    from ..peers.marks import Marks

    return Marks.of(
        sure={"MASTER_PORT": job.cluster.master.port, option("code"): job.code},
        likely={"the command": job.command},
    )


def _heard(run: Run, stop_with_others: bool, failure: NodeFailure) -> None:
    """Another node's failure: in a thread of the session's."""
    run.console.warning(f"{failure}" + ("" if stop_with_others else "; going on"))
    if stop_with_others and not run.signals.stop.is_set():
        run.signals.request_stop(AskedBy.PEER, str(failure))


def placed(decided: Decided, group: Group) -> Decided:
    """What was decided, with the addresses that the nodes have told each other."""
    facts = replace(decided.job.facts, cluster=group.cluster)
    return replace(decided, job=replace(decided.job, facts=facts))
