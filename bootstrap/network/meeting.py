"""How the bootstraps of a job come together: each finds node 0's hub by the meeting port and waits for all others::

    peers = meet(cluster, card, port=..., secret=..., deadline_s=..., stop=..., log=...)
    cluster = placed(cluster, peers.cards)   # every node now has its address on the chosen interface

Every node (node 0 too) is a client of the hub that node 0 runs (:mod:`bootstrap.network.hub`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from ..errors import NameUnresolved, PeersMissing
from ..job import Cluster, Log, StopRequest
from ..wait import Wait
from .cards import Card, named
from .hub import Hub, tune
from .line import Line, Refused
from .peers import Peers
from .resolve import resolve
from .wire import Forged

DEFAULT_PORT = 29499  # beside torchrun's own, where nothing else is expected
SILENCE = 60.0  # seconds
_ONE_TRY = 10.0  # seconds for one attempt to reach the hub


def meet(
    cluster: Cluster,
    card: Card,
    *,
    port: int,
    secret: bytes,
    deadline_s: float,
    stop: StopRequest,
    log: Log,
    silence_s: float = SILENCE,
) -> Peers:
    """Meet all nodes of the job within ``deadline_s`` seconds; node 0 listens at ``port`` until all have come.

    From then on a node that is cut off counts as gone after ``silence_s`` seconds (0: never); one whose bootstrap
    died, at once. Raises :class:`PeersMissing` naming who did not come (or why node 0 cannot be reached), also when
    ``stop`` is set.
    """
    wait = Wait("waiting for node 0", deadline_s=deadline_s, stop=stop, log=log)
    hub = Hub(cluster.size, secret, port, silence_s) if cluster.node_rank == 0 else None
    peers = None
    try:
        line, refused = _join(cluster, card, port, secret, wait, stop, log)
        tune(line.socket, silence_s)
        peers = Peers(cluster.node_rank, line, hub)
        _await_all(peers, cluster, wait, stop, log, refused)
    except BaseException:
        if peers is not None:
            peers.close(in_peace=False)  # the others must not count on us
        elif hub is not None:
            hub.close()
        raise
    return peers


def _join(
    cluster: Cluster, card: Card, port: int, secret: bytes, wait: Wait, stop: StopRequest, log: Log
) -> tuple[Line, str]:
    """The way to the hub, tried until the deadline; and why it was refused before, if it was."""
    host = "127.0.0.1" if cluster.node_rank == 0 else cluster.master.host
    refused = ""
    while True:
        try:
            addresses = resolve(host, deadline_s=wait.left, stop=stop, log=log)
            patience = min(_ONE_TRY, max(wait.left, 1.0))
            return _connect(addresses, port, cluster.node_rank, card, secret, patience), refused
        except NameUnresolved as error:
            why = f"{error.what} ({error.why})"
        except Refused as refusal:
            refused = why = f"node 0 refused: {refusal}"
        except (OSError, ValueError) as error:
            why = str(error) or type(error).__name__
        if not wait.again(host=host, port=port, why=why):
            raise PeersMissing(
                f"Node 0 could not be reached{wait.cause}",
                where=f"{host}, port {port}",
                # What it said is worth more than that it has given up by now, and is gone.
                why=f"{refused or why}, after {wait.elapsed:.0f} s",
                remedy="look at node 0's log: it must be up, and let this job's nodes reach that port",
            )


def _connect(addresses: Sequence[str], port: int, rank: int, card: Card, secret: bytes, patience_s: float) -> Line:
    """Through the meeting port to the channel. Raises :class:`OSError`, ``ValueError`` or :class:`Refused`."""
    problem: OSError | None = None
    for address in addresses:
        try:
            meeting = Line(address, port, secret, patience_s)
        except OSError as error:
            problem = error
            continue
        with meeting.socket:
            meeting.say({"rank": rank})
            channel_port = meeting.hear().get("channel")
        if not isinstance(channel_port, int):
            raise Forged("node 0 does not tell where it listens")
        channel = Line(address, channel_port, secret, patience_s)
        try:
            channel.say({"rank": rank, "card": asdict(card)})
            welcome = channel.hear()
            if "refused" in welcome:
                raise Refused(welcome["refused"])
        except BaseException:
            channel.socket.close()
            raise
        return channel
    raise problem or OSError("the name has no address")


def _await_all(peers: Peers, cluster: Cluster, wait: Wait, stop: StopRequest, log: Log, refused: str) -> None:
    hosts = [node.host for node in cluster.nodes]
    while not peers.all_here(min(wait.left, 5.0), stop):
        awaited = named(peers.awaited(), hosts)
        if wait.left > 0 and not peers.lost and not stop.is_set():
            log.info("waiting for nodes", awaited=awaited, left_s=round(wait.left))
            continue
        why = peers.lost or ("asked to stop" if stop.is_set() else "the deadline has passed")
        raise PeersMissing(
            f"{len(peers.awaited())} of {cluster.size} nodes did not come"
            if awaited
            else "The conversation with node 0 ended before all nodes had come",
            where=awaited,
            why=f"{why}; at first {refused}" if refused else why,
        )
