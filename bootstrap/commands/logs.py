"""``bootstrap logs``: the log of a job, running, ended or killed, from anywhere.

    bootstrap logs obs://bucket/logs/                 what there is, of the first node
    bootstrap logs -f obs://bucket/logs/              and what comes, until the job ends
    bootstrap logs -f --node all obs://bucket/logs/   of all nodes, each line with its node in front
    bootstrap logs obs://bucket/                      the jobs that have logs below, newest first

The URL is the job's log directory (``--log``). The log itself goes to stdout, what is known of the job to stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping

from ..errors import NothingThere, StoreUnavailable, UsageError
from ..masking.registry import Secrets
from ..reporting.prose import counted
from ..shipping.jobs import FoundJob, jobs_below
from ..shipping.reading import Follower, NodeLog
from ..storage.model.store import Store
from ..storage.schemes import parse
from .support.stderr_log import StderrLog
from .support.stores import add_store_options, open_stores, store_options

_POLL = 1.0  # seconds between two looks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", help="the job's log directory: obs://, s3://, file:// or a path")
    parser.add_argument("-f", "--follow", action="store_true", help="keep printing what comes, until the job ends")
    parser.add_argument("--node", metavar="N|all", default="", help="of this node (default: the first one), or of all")
    parser.add_argument("--attempt", metavar="N", type=int, help="of an earlier attempt, where a job was restarted")
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="json: the state of each node's log, or the jobs below the URL",
    )
    add_store_options(parser, without=("verify", "store_timeout"))  # each look is one try; --follow looks again


def main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    if not (arguments.node in ("", "all") or arguments.node.isdecimal()):
        raise UsageError(f"--node cannot be {arguments.node!r}", remedy="say the number of a node, or all")
    if arguments.follow and arguments.format == "json":
        raise UsageError(
            "--follow does not go with --format json", remedy="leave one out: JSON tells what is there now"
        )
    store, base = _open(arguments, environ)
    follower = Follower(store, base, int(arguments.node) if arguments.node.isdecimal() else None, arguments.attempt)
    follower.look()
    if not arguments.node and follower.logs:
        others = follower.narrow(follower.logs[0].node)
        if others:
            _say(f"this is node {follower.logs[0].node}; there are others: {_listed(others)} (--node N, --node all)")
    if not follower.logs and not arguments.follow:
        below = jobs_below(store, base) if not arguments.node and arguments.attempt is None else []
        if not below:
            raise NothingThere("there is no log of that job, node and attempt", where=arguments.url)
        _print_jobs(below, arguments)
        return 0
    if arguments.format == "json":
        print(json.dumps([_told(log) for log in follower.logs], indent=2))
        return 0
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


def _print_jobs(found: list[FoundJob], arguments: argparse.Namespace) -> None:
    """The jobs below the URL, newest first, each with the URL that shows its log."""
    root = arguments.url if arguments.url.endswith("/") else f"{arguments.url}/"
    if arguments.format == "json":
        told = [
            {"url": f"{root}{job.directory}/", "mtime": job.mtime, "nodes": list(job.nodes)}
            | {"attempts": job.attempts, "running": job.running}
            for job in found
        ]
        print(json.dumps(told, indent=2, ensure_ascii=False))
        return
    for job in found:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.mtime)) if job.mtime else "-"
        much = (
            f"{counted(len(job.nodes), 'node')}, {counted(job.attempts, 'attempt')}{', running' if job.running else ''}"
        )
        print(f"{when:<16}  {much:<22}  {root}{job.directory}/")
    jobs = counted(len(found), "job")
    _say(f"{jobs} below this URL, newest first; say which: bootstrap logs {root}{found[0].directory}/")


def _told(log: NodeLog) -> dict[str, object]:
    """What is known of one node's log, for programs; the log itself is text."""
    size = (
        log.whole.size
        if log.whole is not None
        else sum(entry.size for _, entry in log.attempt.parts)
        if log.attempt
        else 0
    )
    return {
        "node": log.node,
        "name": log.name,
        "attempt": log.attempt.number if log.attempt else None,
        "bytes": size,
        "ended": log.ended,
        "vanished": log.vanished,
        "last_seen": log.heartbeat.last_seen if log.heartbeat else None,
        "phase": log.heartbeat.phase if log.heartbeat else None,
        "state": log.state(),
    }


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
    stores = open_stores(environ, secrets, StderrLog(secrets, quiet=True), **store_options(arguments))
    location = parse(arguments.url)
    if location.is_remote:
        return stores.open(location), location.as_directory().path
    return stores.open(location), os.path.join(os.path.abspath(location.path), "").lstrip("/")


def _say(text: str) -> None:
    print(f"bootstrap logs: {text}", file=sys.stderr, flush=True)


def _listed(nodes: list[int]) -> str:
    return ", ".join(map(str, nodes))
