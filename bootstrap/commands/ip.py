"""``bootstrap ip``: addresses, one a line on stdout, for scripts; how they were found is on stderr.

    bootstrap ip                       this node, on the interface that a job would use (ib0 where there is one)
    bootstrap ip --interface eth0      this node, on eth0 and no other
    bootstrap ip --all [--ports]       every node of the job, in their order, by name
    bootstrap ip HOST[:PORT] ...       these hosts, by name

Names are resolved as soon as they exist, until a deadline: a peer's name is there only once its container is ready.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Mapping

from ..console import Console
from ..errors import UsageError
from ..network.resolve import resolve_all
from ..platforms.hosts import split_host
from . import here

Hosts = list[tuple[str, int | None]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--interface", metavar="NAME", help="this node's address on this interface and no other")
    parser.add_argument("--all", action="store_true", help="the addresses of all nodes of the job, in their order")
    parser.add_argument("--ports", action="store_true", help="ADDRESS:PORT where a port is known")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=float, default=300.0, help="to wait for names to exist (default: 300)"
    )
    parser.add_argument("hosts", metavar="HOST[:PORT]", nargs="*", help="addresses of these hosts instead")


def main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    if arguments.interface and (arguments.all or arguments.hosts):
        raise UsageError("--interface is about this node alone", why="other nodes are found by name")
    if arguments.hosts:
        return _by_name([split_host(text, text) for text in arguments.hosts], arguments)
    found = here.look(environ, **({"interface": arguments.interface} if arguments.interface else {}))
    cluster = found.facts.cluster
    if arguments.all:
        found.check()
        if cluster.size > 1:
            return _by_name([(node.address or node.host, node.port) for node in cluster.nodes], arguments)
    chosen = here.interface(found.resolved)
    print(f"{chosen.name}: {chosen.reason}", file=sys.stderr)
    print(_joined(chosen.address, cluster.me.port if arguments.ports else None))
    return 0


def _by_name(hosts: Hosts, arguments: argparse.Namespace) -> int:
    found = resolve_all(
        [host for host, _ in hosts], deadline_s=arguments.timeout, stop=threading.Event(), log=Console(sys.stderr)
    )
    for host in found:
        print(f"{host}: {found[host][0]}", file=sys.stderr)
    print("\n".join(_joined(found[host][0], port if arguments.ports else None) for host, port in hosts))
    return 0


def _joined(address: str, port: int | None) -> str:
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
