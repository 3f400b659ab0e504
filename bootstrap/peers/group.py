"""The other nodes of a job: met before the fetch, waited for before the command, told when this one has failed.

Nodes meet only where something needs it: a launcher, the barrier, or a wish about failures of others. A plain job of
several nodes goes on without a port of ours, as it always did, and nothing of ours can fail it there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BootstrapError, UsageError
from ..job import Cluster, Log, StopRequest
from ..launchers.launcher import Starts
from ..launchers.table import LAUNCHERS
from ..network.addresses import write_address_files
from ..settings import Resolved, Settings, option
from . import first_failure

if TYPE_CHECKING:
    from ..storage.model.share import Share
    from ..storage.open import Stores
    from .marks import Marks
    from .node_info import NodeInfo
    from .note_store import StoreDirectory
    from .session import Arrival, NodeFailure, Peers

_SETTLE = 5.0  # seconds for the others' bad news to come in, when there is some
_LOOK = 4.0  # seconds for all nodes to write down what their processes do


class Group:
    """The nodes of the job as this one knows them: by a session with all of them, by notes in a store, or not at all.

    ``cluster`` has everybody's address once they have met; ``share`` is there where nodes fetch the same together.
    """

    def __init__(self, cluster: Cluster, session: Peers | None = None, notes: StoreDirectory | None = None) -> None:
        self.cluster = cluster
        self.session = session
        self.share: Share | None = None
        self._notes = notes
        self._told = False

    @property
    def has_met(self) -> bool:
        return self.session is not None or self._notes is not None

    def write_addresses(self, directory: Path, log: Log) -> None:
        """The files that scripts of ModelArts v1 read, where all addresses are known. A place that cannot be written
        costs nothing but them.
        """
        if not self.has_met:
            return
        try:
            write_address_files(directory, self.cluster)
        except BootstrapError as error:
            log.warning(str(error))

    def barrier(
        self, took: Mapping[str, float], *, deadline_s: float, stop: StopRequest, log: Log
    ) -> tuple[Arrival, ...]:
        """Wait until all nodes are ready for the command; node 0 says who took how long. Nobody where none has met.

        ``took`` is what this node spent, in seconds by step. Raises :class:`PeersMissing` after ``deadline_s`` seconds.
        """
        if self.session is None:
            return ()
        from .session import told

        log.info("ready; waiting for the other nodes")
        arrivals = self.session.barrier("ready", took=took, deadline_s=deadline_s, stop=stop)
        if self.share is not None:  # all have fetched
            self.share.close()
        last = max(arrivals, key=lambda arrival: arrival.after)
        log.info(f"all nodes are ready; the last was node {last.rank} ({last.host}), {last.after:.1f} s later")
        if self.session.rank == 0:
            for line in told(arrivals):
                log.info(line)
        return arrivals

    def on_look(self, looker: Callable[[str], object]) -> None:
        """Call ``looker`` (in another thread) when another node asks all to write down what their processes do; this
        node answers by :meth:`looked`.
        """
        if self.session is not None:
            self.session.on_look(looker)

    def look(self, why: str) -> None:
        """Have all nodes write down what their processes do, before this one stops its own."""
        if self.session is not None:
            self.session.look(why)

    def looked(self, stop: StopRequest | None = None) -> None:
        """This node has written it down, or has nothing to look at. With a ``stop`` it returns when all others have as
        well, or a few seconds are over: nobody is to be stopped before everybody has been looked at.
        """
        if self.session is not None:
            self.session.looked()
            if stop is not None:
                self.session.wait_until_all_looked(_LOOK, stop)

    def tell(self, facts: Mapping[str, object], exit_code: int) -> None:
        """How this node ended, once, to the others: before anything is delivered, since they wait or work for nothing.

        ``facts`` are :mod:`.first_failure`'s evidence, empty where this node did not fail by itself.
        """
        if self.session is None or self._told:
            return
        self._told = True
        if facts:
            self.session.failed(facts)
        self.session.ended(exit_code)

    def first_failure(self, facts: Mapping[str, object], stop: StopRequest) -> dict[str, Any] | None:
        """Which node failed first, if any did, when all have told or a few seconds are over; ``facts`` as above."""
        if self.session is None:
            return first_failure.alone(self.cluster, facts) if facts else None
        if not self.session.failures and not facts:
            return None
        return first_failure.of(self.session.all_news(_SETTLE, stop))

    def leave(self, log: Log) -> None:
        """The last word to the other nodes."""
        if self.share is not None:
            self.share.close()
        if self.session is not None:
            self.session.close()
        if self._notes is not None:
            self.take_notes_away(log)

    def take_notes_away(self, log: Log) -> None:
        """This node's own, where its keys may delete at all: whoever comes later believes none of them."""
        assert self._notes is not None
        met, rank = self.cluster.me.address is not None, self.cluster.node_rank
        try:
            # A node takes its note away when it has read node 0's table: while notes lie there, the table must.
            if not (met and rank == 0 and self._notes.has_others):
                self._notes.clear()
        except BootstrapError as error:
            log.debug(f"the notes of the meeting stay: {error}")


def need_to_meet(resolved: Resolved) -> str:
    """What needs a meeting, in words; empty where nothing does."""
    chosen, source = resolved.settings, resolved.sources
    if chosen.launcher != "direct":
        return f"--launcher {chosen.launcher}"
    if chosen.barrier:
        return option("barrier")
    if chosen.share_fetch == "yes":
        return f"{option('share_fetch')} yes"
    if source["on_peer_failure"] != "default" and chosen.on_peer_failure == "stop":
        return source["on_peer_failure"]
    return ""


def check_possible(chosen: Settings, log_url: str) -> None:
    """Raises :class:`UsageError` where something needs a conversation, and ``--meet`` gives addresses alone."""
    wants = [option("barrier")] if chosen.barrier else []
    row = LAUNCHERS.get(chosen.launcher)
    wants += [f"--launcher {chosen.launcher}"] if row and row.starts is Starts.NODE_0 else []
    if wants:
        raise UsageError(
            f"{wants[0]} needs the nodes to talk to each other",
            where=f"--meet {chosen.meet}",
            remedy="leave --meet out, or say --meet port",
        )
    if chosen.meet == "store" and not log_url:
        raise UsageError("--meet store needs a log URL: the addresses are exchanged there", remedy="give --log URL")


def meet_by_port(
    cluster: Cluster,
    own: NodeInfo,
    chosen: Settings,
    job_id: str,
    *,
    marks: Marks,
    on_failure: Callable[[NodeFailure], object],
    stop: StopRequest,
    log: Log,
) -> Group:
    """All nodes through node 0's port. ``marks`` keep jobs apart that have no id, and no secret that somebody gave;
    ``on_failure`` hears of another node's failure, in another thread.
    """
    from . import meeting, protocol
    from .node_info import placed

    session = meeting.meet(
        cluster,
        own,
        port=chosen.meet_port,
        secret=protocol.secret_of(cluster, job_id, chosen.peer_secret),
        deadline_s=chosen.peer_timeout,
        stop=stop,
        log=log,
        silence_s=chosen.peer_silence,
        marks=None if job_id or chosen.peer_secret else marks,
    )
    session.on_failure(on_failure)
    return Group(placed(cluster, session.members), session)


def meet_by_store(
    cluster: Cluster, own: NodeInfo, chosen: Settings, job_id: str, stores: Stores, *, stop: StopRequest, log: Log
) -> Group:
    """All nodes' addresses through notes below the log URL."""
    from ..storage.schemes import parse
    from . import by_store, protocol
    from .node_info import placed
    from .note_store import StoreDirectory

    place = parse(chosen.log)  # all nodes' own, which the job's own log URL need not be
    notes = StoreDirectory(stores.open(place), place.child(f".meeting-{job_id or 'job'}/"))
    try:
        members = by_store.meet_by_store(
            cluster,
            own,
            notes,
            secret=protocol.secret_of(cluster, job_id, chosen.peer_secret),
            deadline_s=chosen.peer_timeout,
            stop=stop,
            log=log,
        )
    except BootstrapError:
        Group(cluster, notes=notes).leave(log)
        raise
    group = Group(placed(cluster, members), notes=notes)
    if cluster.node_rank > 0:
        group.take_notes_away(log)  # the note has been read; its absence tells node 0 that the table was, too
    return group
