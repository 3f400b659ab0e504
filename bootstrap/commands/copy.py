"""``bootstrap copy``: files and trees between this machine and object stores, in every direction, for people.

    bootstrap copy obs://bucket/a/train.py ./             into a directory: the target ends in / or is one already
    bootstrap copy model.bin obs://bucket/models/v2.bin   to a name
    bootstrap copy -r obs://bucket/data/ /cache/data      the *content* of the source becomes the content of the target
    bootstrap copy -r obs://bucket/a/ s3://other/b/       from store to store

It is the engine of ``bootstrap run``: parallel, verified, files appear whole or not at all. Run again into a local
directory, it brings only what has changed; what goes to a store is sent again. Exit code 0, or that of the cause (see
README), 206 when some files could not be sent.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from ..credentials.registry import Secrets
from ..errors import NothingThere, OutputsUndelivered, PathUnusable, UsageError
from ..patience import unless
from ..process.redact import Redactor
from ..storage.open import Stores
from ..storage.transfer import Report, TransferStopped, deliver, fetch, relay
from ..storage.url import Location, parse
from .stores import open_stores


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SRC", help="obs://, s3://, file:// or a path")
    parser.add_argument("target", metavar="DST", help="the same")
    parser.add_argument("-r", "--recursive", action="store_true", help="a whole directory, its content into DST")
    parser.add_argument("--delete", action="store_true", help="with -r, of a local DST: delete what SRC does not have")
    parser.add_argument(
        "--keep-changed", action="store_true", help="of a local DST, from a store: keep what was changed in it since"
    )
    parser.add_argument(
        "--links",
        choices=("follow", "record", "skip"),
        default="follow",
        help="symbolic links on their way to a store: send what they lead to in the tree, record them as"
        " NAME.rclonelink (of which a download with this option makes links again), or leave them out; from local to"
        " local they stay links",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="only what goes wrong")
    parser.add_argument(
        "--store-timeout", metavar="SECONDS", help="wait so long for a store that is out of order (300)"
    )
    parser.add_argument(
        "--addressing", choices=("auto", "virtual", "path"), help="where the bucket's name goes in URLs"
    )


def main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    stop = threading.Event()
    asked: list[int] = []

    def ask(number: int, _frame: object) -> None:
        asked.append(number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask)
    arguments.secrets = secrets = Secrets()  # for whoever tells how it ended
    log = Terminal(secrets, quiet=arguments.quiet)
    given = {"addressing": arguments.addressing, "store_timeout": arguments.store_timeout}
    stores = open_stores(environ, secrets, log, **{name: value for name, value in given.items() if value})
    reports: list[Report] = []
    try:
        finished = unless(stop, lambda: reports.append(_copy(arguments, stores, stop, log)))
    except TransferStopped:
        return 128 + asked[0]
    if not finished:
        os._exit(128 + asked[0])  # a store that never answers: its thread would be waited for by an orderly exit
    if asked:
        return 128 + asked[0]
    report = reports[0]
    if report.failed:
        for name, reason in report.failed:
            log.error(f"not copied: {name}", reason=reason)
        raise OutputsUndelivered(
            f"{len(report.failed)} files were not copied", where=report.root, remedy="see above, and run it again"
        )
    return 0


def _copy(arguments: argparse.Namespace, stores: Stores, stop: threading.Event, log: Terminal) -> Report:
    source, target = parse(arguments.source), parse(arguments.target)
    if arguments.recursive:
        source, target = source.as_directory(), target.as_directory()
    elif source.is_directory or (not source.is_remote and source.local.is_dir()):
        raise UsageError("the source is a directory", where=str(source), remedy="add -r")
    _check_options(arguments, source, target)
    if not target.is_remote:
        place, name = _place(target)
        return fetch(
            stores,
            source,
            place,
            direct=True,
            tree=arguments.recursive,
            unpack=False,
            rename=name,
            changed="keep" if arguments.keep_changed else "restore",
            extra="delete" if arguments.delete else "keep",
            links=arguments.links,
            terminal=log.terminal,
            stop=stop,
            log=log,
        )
    if source.is_remote:
        return relay(stores, source, target, tree=arguments.recursive, terminal=log.terminal, stop=stop, log=log)
    if not source.local.exists():
        raise NothingThere("there is nothing to copy", where=os.path.abspath(source.path))
    links, terminal = arguments.links, log.terminal
    return deliver(stores, source.local, target, links=links, terminal=terminal, stop=stop, log=log)


def _check_options(arguments: argparse.Namespace, source: Location, target: Location) -> None:
    """No option is taken in silence that would do nothing, or more than was meant."""
    if arguments.delete and not arguments.recursive:
        raise UsageError("--delete is for whole directories", where=str(source), remedy="add -r, or leave --delete out")
    if target.is_remote and (arguments.delete or arguments.keep_changed):
        option = "--delete" if arguments.delete else "--keep-changed"
        raise UsageError(f"{option} is for a local DST", where=str(target), remedy="leave it out")
    if arguments.keep_changed and not source.is_remote:
        why = "of copies from local files nobody notes what they were like"
        raise UsageError("--keep-changed is for an SRC in a store", where=str(source), why=why, remedy="leave it out")


def _place(target: Location) -> tuple[Path, str]:
    """The directory to copy into, and the name there if it is not the source's own."""
    if target.is_directory or target.local.is_dir():
        return target.local, ""
    if target.local.exists() and not target.local.is_file():  # the new file would take the device's name
        raise PathUnusable("neither a file nor a directory", where=str(target), remedy="choose another DST")
    return target.local.parent, target.local.name


class Terminal:
    """What a person sees: plain lines on stderr, masked. structlog takes longer to load than a small copy does."""

    def __init__(self, secrets: Secrets, *, quiet: bool) -> None:
        self._redactor = Redactor(secrets)
        self._quiet = quiet
        self.terminal = sys.stderr if sys.stderr.isatty() and not quiet else None
        """Where a progress bar can be drawn."""

    def debug(self, event: str, **facts: object) -> None:
        """Nobody asked."""

    def info(self, event: str, **facts: object) -> None:
        if not self._quiet:
            self._say(event, facts)

    def warning(self, event: str, **facts: object) -> None:
        self._say(f"warning: {event}", facts)

    def error(self, event: str, **facts: object) -> None:
        self._say(f"error: {event}", facts)

    def _say(self, event: str, facts: dict[str, object]) -> None:
        text = " ".join(["bootstrap:", event, *(f"{name}={value}" for name, value in facts.items())])
        print(self._redactor.mask(text), file=sys.stderr)
