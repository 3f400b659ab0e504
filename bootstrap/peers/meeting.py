"""How the bootstraps of a job come together: each finds node 0's server by the meeting port and waits for all others::

    peers = meet(cluster, info, port=..., secret=..., deadline_s=..., stop=..., log=...)
    cluster = placed(cluster, peers.members)   # every node now has its address on the chosen interface

Every node (node 0 too) is a client of the server that node 0 runs (:mod:`bootstrap.peers.server`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing

from ..errors import NameUnresolved, PeersMissing
from ..ground.wait import Wait
from ..job import Cluster, Log, StopRequest
from ..network.resolve import resolve
from ..reporting.prose import counted
from ..values import asdict
from .client import PeerClient, Refused
from .marks import Marks
from .messages import port_of, text_of
from .node_info import NodeInfo, named
from .server import PeerServer, tune
from .session import Peers

DEFAULT_PORT = 29499  # beside torchrun's own, where nothing else is expected
SILENCE = 60.0  # seconds
_ONE_TRY = 10.0  # seconds for one attempt to reach the server


def meet(
    cluster: Cluster,
    info: NodeInfo,
    *,
    port: int,
    secret: bytes,
    deadline_s: float,
    stop: StopRequest,
    log: Log,
    silence_s: float = SILENCE,
    marks: Marks | None = None,
) -> Peers:
    """Meet all nodes of the job within ``deadline_s`` seconds; node 0 listens at ``port`` until all have come.

    From then on a node that is cut off counts as gone after ``silence_s`` seconds (0: never); one whose bootstrap
    died, at once. ``marks`` tell the job from others where it has no id. Raises :class:`PeersMissing` naming who did
    not come (or why node 0 cannot be reached), also when ``stop`` is set.
    """
    wait, marks = Wait("waiting for node 0", deadline_s=deadline_s, stop=stop, log=log), marks or Marks()
    server = PeerServer(cluster.size, secret, port, silence_s, marks) if cluster.node_rank == 0 else None
    peers = None
    try:
        client, refused = _join(cluster, info, marks, port, secret, wait, stop, log)
        tune(client.socket, silence_s)
        peers = Peers(cluster.node_rank, cluster.size, client, server)
        _await_all(peers, server, cluster, wait, stop, log, refused)
    except BaseException:
        if peers is not None:
            peers.close(in_peace=False)  # the others must not count on us
        elif server is not None:
            server.close()
        raise
    return peers


def _join(
    cluster: Cluster, info: NodeInfo, marks: Marks, port: int, secret: bytes, wait: Wait, stop: StopRequest, log: Log
) -> tuple[PeerClient, str]:
    """The way to the server, tried until the deadline; and why it was refused before, if it was."""
    host = "127.0.0.1" if cluster.node_rank == 0 else cluster.master.host
    refused = ""
    while True:
        try:
            addresses = resolve(host, deadline_s=wait.left, stop=stop, log=log)
            timeout_s = min(_ONE_TRY, max(wait.left, 1.0))
            hello = {"rank": cluster.node_rank, "info": asdict(info), "job": marks.told()}
            client, doubt = _connect(addresses, port, hello, secret, timeout_s)
            if doubt and cluster.node_rank:
                log.warning(f"{doubt} is not what it is at node 0 ({host}): is that another job's?")
            return client, refused
        except NameUnresolved as error:
            why = f"{error.what} ({error.why})"
        except Refused as refusal:
            refused = why = f"node 0 refused: {refusal}"
        except (OSError, ValueError) as error:
            why = str(error) or type(error).__name__
        if not wait.again(host=host, port=port, why=why):
            raise PeersMissing(
                f"node 0 could not be reached{wait.cause}",
                where=f"{host}, port {port}",
                # What it said is worth more than that it has given up by now, and is gone.
                why=f"{refused or why}, after {wait.elapsed:.0f} s",
                remedy="look at node 0's log: it must be up, and let this job's nodes reach that port",
            )


def _connect(
    addresses: Sequence[str], port: int, hello: Mapping[str, object], secret: bytes, timeout_s: float
) -> tuple[PeerClient, str]:
    """Through the meeting port to the channel, and what node 0 doubts. Raises :class:`OSError`, ``ValueError`` or
    :class:`Refused`.
    """
    problem: OSError | None = None
    for address in addresses:
        try:
            meeting = PeerClient(address, port, secret, timeout_s)
        except OSError as error:
            problem = error
            continue
        with closing(meeting):
            meeting.say({"rank": hello["rank"]})
            channel_port = port_of(meeting.hear().get("channel"))
        channel = PeerClient(address, channel_port, secret, timeout_s)
        try:
            channel.say(hello)
            welcome = channel.hear()
            if "refused" in welcome:
                raise Refused(text_of(welcome["refused"]))
            doubt = text_of(welcome.get("doubt", ""))
        except BaseException:
            channel.close()
            raise
        return channel, doubt
    raise problem or OSError("the name has no address")


def _await_all(
    peers: Peers, server: PeerServer | None, cluster: Cluster, wait: Wait, stop: StopRequest, log: Log, refused: str
) -> None:
    hosts, trouble = [node.host for node in cluster.nodes], ""
    while True:
        all_here = peers.all_here(min(wait.left, 5.0), stop)
        for warning in server.warnings() if server is not None else ():
            log.warning(warning)
        if all_here:
            return
        if server is not None and server.trouble != trouble:
            trouble = server.trouble
            log.warning(trouble)
        ranks, count = peers.awaited()
        awaited = named(ranks, hosts, count)
        if wait.left > 0 and not peers.lost and not stop.is_set():
            log.info("waiting for nodes", awaited=awaited, left_s=round(wait.left))
            continue
        why = peers.lost or ("asked to stop" if stop.is_set() else "the deadline has passed")
        why = f"{why}; {trouble}" if trouble else why
        raise PeersMissing(
            f"{count} of {counted(cluster.size, 'node')} did not come"
            if awaited
            else "The conversation with node 0 ended before all nodes had come",
            where=awaited,
            why=f"{why}; at first {refused}" if refused else why,
        )
