"""``bootstrap logs``: the log of a job, running, ended or killed, from anywhere.

    bootstrap logs obs://bucket/logs/                 what there is, of the first node
    bootstrap logs -f obs://bucket/logs/              and what comes, until the job ends
    bootstrap logs -f --node all obs://bucket/logs/   of all nodes, each line with its node in front

The URL is the job's log directory (``--log``). The log itself goes to stdout, what is known of the job to stderr.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping

from ..credentials.registry import Secrets
from ..errors import NothingThere, StoreUnavailable, UsageError
from ..shipping.reading import Follower, NodeLog
from ..storage.store import Store
from ..storage.url import parse
from .copy import Terminal
from .stores import open_stores

_POLL = 1.0  # seconds between two looks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", help="the job's log directory: obs://, s3://, file:// or a path")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes, until the job ends")
    parser.add_argument("--node", metavar="N|all", default="", help="which node (default: the first one)")
    parser.add_argument("--attempt", metavar="N", type=int, help="an earlier attempt of a job that was restarted")
    parser.add_argument(
        "--addressing", choices=("auto", "virtual", "path"), help="where the bucket's name goes in URLs"
    )


def main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    if not (arguments.node in ("", "all") or arguments.node.isdecimal()):
        raise UsageError(f"--node cannot be {arguments.node!r}", remedy="say the number of a node, or all")
    store, base = _open(arguments, environ)
    follower = Follower(store, base, int(arguments.node) if arguments.node.isdecimal() else None, arguments.attempt)
    follower.look()
    if not arguments.node and follower.logs:
        others = follower.narrow(follower.logs[0].node)
        if others:
            _say(f"this is node {follower.logs[0].node}; there are others: {_listed(others)} (--node N, --node all)")
    if not follower.logs and not arguments.follow:
        raise NothingThere("there is no log of that job, node and attempt", where=arguments.url)
    printer = Printer(prefixed=arguments.node == "all")
    said: dict[int, bool] = {}
    while True:
        try:
            for log, data in follower.new():
                printer.write(log, data)
        except StoreUnavailable as error:
            if not arguments.follow:
                raise
            _say(f"{error} Going on.")
        else:
            if not arguments.follow or follower.ended:
                break
        sys.stdout.buffer.flush()
        for log in follower.logs:
            if log.vanished != said.get(log.node, False):
                said[log.node] = log.vanished
                _say(log.state())
        time.sleep(_POLL)
        try:
            follower.look()
        except StoreUnavailable as error:
            _say(f"{error} Going on.")
    printer.finish()
    for log in follower.logs:
        if log.attempt is not None:
            _say(log.state())
    return 0


class Printer:
    """stdout, with whole lines behind their node's number where there are several nodes."""

    def __init__(self, *, prefixed: bool) -> None:
        self._prefixed = prefixed
        self._begun: dict[int, bytes] = {}

    def write(self, log: NodeLog, data: bytes) -> None:
        out = sys.stdout.buffer
        if not self._prefixed:
            out.write(data)
            return
        *lines, begun = (self._begun.get(log.node, b"") + data).split(b"\n")
        for line in lines:
            out.write(b"[%d] %s\n" % (log.node, line))
        self._begun[log.node] = begun

    def finish(self) -> None:
        """The last lines, which had no end."""
        for node, begun in sorted(self._begun.items()):
            if begun:
                sys.stdout.buffer.write(b"[%d] %s\n" % (node, begun))
        sys.stdout.buffer.flush()


def _open(arguments: argparse.Namespace, environ: Mapping[str, str]) -> tuple[Store, str]:
    arguments.secrets = secrets = Secrets()  # for whoever tells how it ended
    given = {"addressing": arguments.addressing} if arguments.addressing else {}
    stores = open_stores(environ, secrets, Terminal(secrets, quiet=True), **given)
    location = parse(arguments.url)
    if location.is_remote:
        return stores.open(location), location.as_directory().path
    return stores.open(location), os.path.join(os.path.abspath(location.path), "").lstrip("/")


def _say(text: str) -> None:
    print(f"bootstrap logs: {text}", file=sys.stderr, flush=True)


def _listed(nodes: list[int]) -> str:
    return ", ".join(map(str, nodes))
