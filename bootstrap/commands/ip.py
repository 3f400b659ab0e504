"""``bootstrap ip``: addresses, one a line on stdout, for scripts; how they were found is on stderr.

    bootstrap ip                       this node, on the interface that a job would use (ib0 where there is one)
    bootstrap ip --interface eth0      this node, on eth0 and no other
    bootstrap ip --all                 every node of the job, in their order, as the name service knows them
    bootstrap ip --exchange            the same, each on its own interface: all nodes run this and tell each other
    bootstrap ip HOST[:PORT] ...       these hosts, as the name service knows them

Nothing is final before a deadline: a peer's name exists only once its container is ready, and a node may start late.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import ClusterMismatch, UsageError
from ..job import Cluster, Log, Node
from ..network.addresses import write_address_files
from ..network.resolve import resolve_all
from ..peers.interface import chosen_interface
from ..platforms.hosts import split_host
from ..reporting.console import Console
from ..values import replace
from .support import here


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--interface", metavar="NAME", help="the address on this interface, and on no other")
    parser.add_argument("--all", action="store_true", help="the addresses of all nodes of the job, by their names")
    parser.add_argument(
        "--exchange", action="store_true", help="the same, as the nodes tell each other: all of them have to run this"
    )
    parser.add_argument(
        "--files", action="store_true", help="with --exchange: write .cluster_ib_ips and .local_ib_ip here, too"
    )
    parser.add_argument("--own-role", action="store_true", help="only nodes of this node's role")
    parser.add_argument("--own", metavar="HOST:PORT", help="with --exchange: which of the hosts given is this node")
    parser.add_argument(
        "--peer-secret",
        metavar="TEXT",
        help="with --exchange: shared secret by which the nodes authenticate each other (default: the job's id)",
    )
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="json: rank, host, address and port of each node"
    )
    parser.add_argument("--ports", action="store_true", help="print ADDRESS:PORT where a port is known")
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=float,
        default=300.0,
        help="how long to wait for names and nodes (default: 300)",
    )
    parser.add_argument("hosts", metavar="HOST[:PORT]", nargs="*", help="resolve these hosts instead of the job's")


def main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    log = Console(sys.stderr)
    if arguments.exchange:
        cluster = _exchange(arguments, environ, log)
        if arguments.files:
            write_address_files(Path.cwd(), cluster)
        nodes = cluster.nodes
    elif arguments.all or arguments.hosts:
        if arguments.interface:
            raise UsageError("--interface says nothing about nodes that are found by name", remedy="use --exchange")
        nodes = _resolve(_cluster(arguments, environ).nodes, arguments.timeout, log)
    else:
        nodes = (_this_node(arguments, environ),)
    if arguments.format == "json":
        told = [{"rank": node.rank, "host": node.host, "address": node.address, "port": node.port} for node in nodes]
        print(json.dumps(told, indent=2))
        return 0
    print("\n".join(_joined(node, arguments.ports) for node in nodes))
    return 0


def _look(arguments: argparse.Namespace, environ: Mapping[str, str]) -> here.Here:
    given = {"interface": arguments.interface, "peer_secret": arguments.peer_secret}
    return here.look(environ, **{name: value for name, value in given.items() if value})


def _this_node(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Node:
    found = _look(arguments, environ)
    chosen = chosen_interface(found.resolved)
    print(f"{chosen.name}: {chosen.reason}", file=sys.stderr)
    return replace(found.facts.cluster.me, address=chosen.address)


def _cluster(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Cluster:
    """The hosts given, or the platform's. Raises what is wrong with the platform's environment."""
    if arguments.hosts:
        hosts = [split_host(text, text) for text in arguments.hosts]
        own = split_host(arguments.own, "--own") if arguments.own else hosts[0]
        if own not in hosts:
            raise ClusterMismatch("this node is not among the hosts", where=f"--own {arguments.own}")
        return Cluster(tuple(Node(rank, *host) for rank, host in enumerate(hosts)), hosts.index(own))
    found = _look(arguments, environ)
    found.check()
    cluster = found.facts.cluster
    if not arguments.own_role:
        return cluster
    ours = [node for node in cluster.nodes if node.role == cluster.me.role]
    nodes = tuple(replace(node, rank=rank) for rank, node in enumerate(ours))
    return replace(cluster, nodes=nodes, node_rank=ours.index(cluster.me))


def _resolve(nodes: Iterable[Node], timeout: float, log: Log) -> tuple[Node, ...]:
    nodes = tuple(nodes)
    hosts = [node.address or node.host for node in nodes]
    found = resolve_all(hosts, deadline_s=timeout, stop=threading.Event(), log=log)
    for host in found:
        print(f"{host}: {found[host][0]}", file=sys.stderr)
    return tuple(replace(node, address=found[host][0]) for node, host in zip(nodes, hosts, strict=True))


def _exchange(arguments: argparse.Namespace, environ: Mapping[str, str], log: Log) -> Cluster:
    from ..peers import meeting, protocol
    from ..peers.node_info import NodeInfo, placed

    if arguments.hosts and not arguments.own:
        raise UsageError("--exchange needs to know which of the hosts this one is", remedy="say --own HOST:PORT")
    found, cluster = _look(arguments, environ), _cluster(arguments, environ)
    chosen = chosen_interface(found.resolved)
    print(f"{chosen.name}: {chosen.reason}", file=sys.stderr)
    if cluster.size == 1:
        return replace(cluster, nodes=(replace(cluster.me, address=chosen.address),))
    met = meeting.meet(
        cluster,
        NodeInfo(socket.gethostname(), chosen.address, chosen.name),
        port=cluster.master.port or meeting.DEFAULT_PORT,
        secret=protocol.secret_of(cluster, found.facts.job_id, found.resolved.settings.peer_secret),
        deadline_s=arguments.timeout,
        stop=threading.Event(),
        log=log,
    )
    try:
        return placed(cluster, met.members)
    finally:
        met.close()


def _joined(node: Node, with_port: bool) -> str:
    address = node.address or ""
    if not with_port or node.port is None:
        return address
    return f"[{address}]:{node.port}" if ":" in address else f"{address}:{node.port}"
