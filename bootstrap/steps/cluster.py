"""The other nodes: met before the fetch, waited for before the command, told when this one has failed.

Nodes meet only where something needs it: a launcher, the barrier, or a wish about failures of others. A plain job of
several nodes goes on without a port of ours, as it always did, and nothing of ours can fail it there.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BootstrapError, PeersMissing, UsageError
from ..job import AskedBy, Cluster
from ..network.addresses import write_address_files
from ..settings import option
from ..storage.url import parse
from . import first_failure
from .run import Run

if TYPE_CHECKING:
    from ..network.cards import Card
    from ..network.peers import Failure

_SETTLE = 5.0  # seconds for the others' bad news to come in, when there is some


def meet(run: Run) -> None:
    """Meet the other nodes if there is a need for it; the job's cluster then has everybody's address.

    Raises :class:`PeersMissing` at the deadline, and :class:`UsageError` for wishes that contradict each other.
    """
    assert run.job is not None and run.resolved is not None
    chosen, cluster = run.resolved.settings, run.job.cluster
    if cluster.size == 1:
        return
    need = _need(run)
    if chosen.meet in ("no", "store"):
        _check_possible(run)
    if chosen.meet == "no" or (chosen.meet == "auto" and not need):
        return
    from ..network.cards import Card

    assert run.interface is not None
    began = time.monotonic()
    own = Card(cluster.me.host or os.uname().nodename, run.interface.address, run.interface.name)
    placed = _by_store(run, own) if chosen.meet == "store" else _by_port(run, own, chosen.on_peer_failure == "stop")
    run.job = replace(run.job, facts=replace(run.job.facts, cluster=placed))
    seconds = time.monotonic() - began
    run.console.info(f"met all {cluster.size} nodes ({need or 'asked for'})", seconds=round(seconds, 1))
    addresses = [node.address for node in placed.nodes]
    run.record.update(met={"seconds": round(seconds, 3), "why": need or "asked for", "addresses": addresses})


def _need(run: Run) -> str:
    """What needs a meeting, in words."""
    assert run.resolved is not None
    chosen, source = run.resolved.settings, run.resolved.sources
    if chosen.launcher != "direct":
        return f"--launcher {chosen.launcher}"
    if chosen.barrier:
        return option("barrier")
    if source["on_peer_failure"] != "default" and chosen.on_peer_failure == "stop":
        return source["on_peer_failure"]
    return ""


def _check_possible(run: Run) -> None:
    """What needs a conversation, and not addresses alone."""
    from ..launchers.table import FROM_NODE_0

    assert run.job is not None and run.resolved is not None
    chosen = run.resolved.settings
    wants = [option("barrier")] if chosen.barrier else []
    wants += [f"--launcher {chosen.launcher}"] if chosen.launcher in FROM_NODE_0 else []
    if wants:
        raise UsageError(
            f"{wants[0]} needs the nodes to talk to each other",
            where=f"--meet {chosen.meet}",
            remedy="leave --meet out, or say --meet port",
        )
    if chosen.meet == "store" and not run.job.log:
        raise UsageError("--meet store needs a log URL: the addresses are exchanged there", remedy="give --log URL")


def _by_port(run: Run, own: Card, stop_with_others: bool) -> Cluster:
    from ..network import meeting, wire  # asyncio behind it costs more than a plain job's whole connect
    from ..network.cards import placed

    assert run.job is not None and run.resolved is not None
    chosen, cluster = run.resolved.settings, run.job.cluster
    run.peers = meeting.meet(
        cluster,
        own,
        port=chosen.meet_port,
        secret=wire.secret_of(cluster, run.job.facts.job_id, chosen.peer_secret),
        deadline_s=chosen.peer_timeout,
        stop=run.signals.stop,
        log=run.console,
        silence_s=chosen.peer_silence,
    )

    def heard(failure: Failure) -> None:
        run.console.warning(f"{failure}" + ("" if stop_with_others else "; going on"))
        if stop_with_others and run.ending is None and not run.signals.stop.is_set():
            run.signals.request_stop(AskedBy.PEER, str(failure))

    run.peers.on_failure(heard)
    return placed(cluster, run.peers.cards)


def _by_store(run: Run, own: Card) -> Cluster:
    from ..network import board, wire
    from ..network.cards import placed
    from ..shipping.board import StoreBoard

    assert run.job is not None and run.resolved is not None and run.stores is not None
    chosen, cluster = run.resolved.settings, run.job.cluster
    log = parse(chosen.log)  # all nodes' own, which job.log need not be
    place = log.child(f".meeting-{run.job.facts.job_id or 'job'}/")
    run.board = StoreBoard(run.stores.open(log), place)
    cards = board.meet_by_board(
        cluster,
        own,
        run.board,
        secret=wire.secret_of(cluster, run.job.facts.job_id, chosen.peer_secret),
        deadline_s=chosen.peer_timeout,
        stop=run.signals.stop,
        log=run.console,
    )
    if cluster.node_rank > 0:
        _take_notes_away(run)  # the card has been read; its absence tells node 0 that the table was, too
    return placed(cluster, cards)


def write_addresses(run: Run) -> None:
    """The files that scripts of ModelArts v1 read, where all addresses are known. A place that cannot be written costs
    nothing but them.
    """
    assert run.job is not None
    if run.peers is None and run.board is None:
        return
    try:
        write_address_files(Path(run.job.work_dir), run.job.cluster)
    except BootstrapError as error:
        run.console.warning(str(error))


def gather(run: Run) -> None:
    """Wait until all nodes are ready for the command, if that is wished; node 0 says who took how long.

    Raises :class:`PeersMissing`.
    """
    assert run.resolved is not None
    chosen = run.resolved.settings
    if not chosen.barrier or run.peers is None:
        return
    from ..network.peers import told

    run.console.info("ready; waiting for the other nodes")
    arrivals = run.peers.barrier(
        "ready", took=run.record.durations(), deadline_s=chosen.peer_timeout, stop=run.signals.stop
    )
    last = max(arrivals, key=lambda arrival: arrival.after)
    run.console.info(f"all nodes are ready; the last was node {last.rank} ({last.host}), {last.after:.1f} s later")
    if run.peers.rank == 0:
        for line in told(arrivals):
            run.console.info(line)
    run.record.update(
        barrier=[{"node": one.rank, "host": one.host, "took": one.took, "after": one.after} for one in arrivals]
    )


def tell(run: Run) -> None:
    """How this node ended, once, to the others: before anything is delivered, since they wait or work for nothing."""
    if run.peers is None or run.told:
        return
    run.told = True
    facts = first_failure.own(run)
    if facts:
        run.peers.failed(facts)
    failed = run.failure.code if run.failure else 128 + (run.stopped_by or 0)
    run.peers.ended(run.ending.exit_code if run.ending else failed)


def settle(run: Run) -> None:
    """Find out which node failed first, if any did, when all have told or a few seconds are over."""
    if run.peers is None:
        # Whoever was missing at the meeting may have failed long before, and we do not know.
        knows = run.job is not None and not isinstance(run.failure, PeersMissing)
        facts = first_failure.own(run) if knows else None
        run.first_failure = first_failure.alone(run, facts) if facts else None
    elif run.peers.failures or first_failure.own(run):
        run.first_failure = first_failure.of(run.peers.all_news(_SETTLE, run.time_is_up))
    if run.first_failure is not None:
        run.record.update(first_failure=run.first_failure)


def leave(run: Run) -> None:
    """The last word to the other nodes."""
    if run.peers is not None:
        run.peers.close()
    if run.board is not None:
        _take_notes_away(run)


def _take_notes_away(run: Run) -> None:
    """This node's own, where its keys may delete at all: whoever comes later believes none of them."""
    assert run.job is not None and run.board is not None
    met, rank = run.job.cluster.me.address is not None, run.job.cluster.node_rank
    try:
        # A node takes its card away when it has read node 0's table: while cards lie there, the table must.
        if not (met and rank == 0 and run.board.has_others):
            run.board.clear()
    except BootstrapError as error:
        run.console.debug(f"the notes of the meeting stay: {error}")
