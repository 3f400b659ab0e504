"""``bootstrap copy``: files and trees between this machine and object stores, in every direction, for people.

    bootstrap copy obs://bucket/a/train.py ./             into a directory: the target ends in / or is one already
    bootstrap copy model.bin obs://bucket/models/v2.bin   to a name
    bootstrap copy -r obs://bucket/data/ /cache/data      the *content* of the source becomes the content of the target
    bootstrap copy -r obs://bucket/a/ s3://other/b/       from store to store
    bootstrap copy -r --exclude '*.tmp' --exclude cache/ out/ obs://bucket/out/   without some of them
    bootstrap copy -r --dry-run obs://bucket/data/ data/  what would move

It is the engine of ``bootstrap run``: parallel, verified, files appear whole or not at all. Run again into a local
directory, it brings only what has changed; what goes to a store is sent again. Exit code 0, or that of the cause (see
README), 206 when some files could not be sent.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path

from ..errors import NothingThere, OutputsUndelivered, PathUnusable, UsageError
from ..ground.abandonable import After, unless
from ..masking.registry import Secrets
from ..reporting.prose import counted
from ..storage.common.choice import Choice
from ..storage.common.units import readable
from ..storage.model.url import Location
from ..storage.open import Stores
from ..storage.report import Report
from ..storage.schemes import check_writable, parse
from ..storage.transfer import TransferStopped, deliver, fetch
from .support.stderr_log import StderrLog
from .support.stores import add_store_options, open_stores, store_options

_TIDY = 2.0  # seconds for a copy to notice that it is to stop, and to take its partial files away


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SRC", help="obs://, s3://, file:// or a path")
    parser.add_argument("target", metavar="DST", help="the same")
    parser.add_argument(
        "-r", "--recursive", action="store_true", help="copy a whole directory: its content goes into DST"
    )
    parser.add_argument(
        "--delete", action="store_true", help="with -r, where DST is local: delete there what SRC does not have"
    )
    parser.add_argument(
        "--keep-changed",
        action="store_true",
        help="from a store to a local DST: keep files that were changed here since the last copy",
    )
    parser.add_argument(
        "--links",
        choices=("follow", "all", "record", "skip"),
        default="follow",
        help="symbolic links on their way to a store: send what they lead to in the tree (all: wherever), record them"
        " as NAME.rclonelink (of which a download with this option makes links again), or leave them out; from local to"
        " local they stay links",
    )
    parser.add_argument(
        "--include",
        metavar="PATTERN",
        action="append",
        default=[],
        help="with -r, copy only files like this, as in '*.py'; repeatable",
    )
    parser.add_argument(
        "--exclude",
        metavar="PATTERN",
        action="append",
        default=[],
        help="with -r, leave out what is like this, as in '*.tmp' or cache/; repeatable",
    )
    parser.add_argument("-n", "--dry-run", action="store_true", help="print what would be copied, and copy nothing")
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="json: what was (or would be) done, on stdout"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print only what goes wrong")
    add_store_options(parser, without=())


def main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    stop = threading.Event()
    asked: list[int] = []

    def ask(number: int, _frame: object) -> None:
        asked.append(number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask)
    arguments.secrets = secrets = Secrets()  # for whoever tells how it ended
    log = StderrLog(secrets, quiet=arguments.quiet)
    stores = open_stores(environ, secrets, log, **store_options(arguments))
    reports: list[Report] = []
    planned: list[tuple[str, int]] = []
    tell = (lambda name, size: planned.append((name, size))) if arguments.dry_run else None
    choice = Choice(tuple(arguments.include), tuple(arguments.exclude), tell)
    try:
        finished = unless(After(stop, _TIDY), lambda: reports.append(_copy(arguments, choice, stores, stop, log)))
    except TransferStopped:
        finished = True
    if asked:
        log.warning(f"stopped: what is whole stays, and the same command brings the rest to {arguments.target}")
        if not finished:
            os._exit(128 + asked[0])  # a store that never answers: its thread would be waited for by an orderly exit
        return 128 + asked[0]
    report = reports[0]
    _print(arguments, report, planned)
    if report.failed:
        for name, reason in report.failed:
            log.error(f"not copied: {name}", reason=reason)
        raise OutputsUndelivered(
            f"not copied: {counted(len(report.failed), 'file')}",
            where=report.root,
            remedy="see the reasons above, and run the same command again",
        )
    return 0


def _print(arguments: argparse.Namespace, report: Report, planned: list[tuple[str, int]]) -> None:
    """What was done for programs; what would be done for people, too."""
    if arguments.format == "json":
        import json

        told: dict[str, object] = {"source": arguments.source, "target": arguments.target, "dry_run": arguments.dry_run}
        if arguments.dry_run:
            told |= {"files": [{"name": name, "size": size} for name, size in planned]}
        else:
            told |= {"files": report.files, "bytes": report.bytes, "unchanged": report.skipped}
            told["verified"] = dict(report.verified)
            told["seconds"] = round(report.seconds, 3)
        told["failed"] = [{"name": name, "reason": reason} for name, reason in report.failed]
        told["left_out"] = [{"name": name, "reason": reason} for name, reason in report.left_out]
        print(json.dumps(told, indent=2))
    elif arguments.dry_run:
        for name, size in planned:
            print(f"{readable(size):>9}  {name}")
        total = sum(size for _, size in planned)
        print(f"{readable(total):>9}  in {counted(len(planned), 'file')} would go to {arguments.target}")


def _copy(
    arguments: argparse.Namespace, choice: Choice, stores: Stores, stop: threading.Event, log: StderrLog
) -> Report:
    source, target = parse(arguments.source), parse(arguments.target)
    check_writable(target, str(target))
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
            choice=choice,
            terminal=log.terminal,
            stop=stop,
            log=log,
        )
    if source.is_remote:
        from ..storage.relay import relay  # which the other ways need not load

        tree = arguments.recursive
        return relay(stores, source, target, tree=tree, choice=choice, terminal=log.terminal, stop=stop, log=log)
    if not source.local.exists():
        raise NothingThere("there is nothing to copy", where=os.path.abspath(source.path))
    links, terminal = arguments.links, log.terminal
    return deliver(stores, source.local, target, links=links, choice=choice, terminal=terminal, stop=stop, log=log)


def _check_options(arguments: argparse.Namespace, source: Location, target: Location) -> None:
    """No option is taken in silence that would do nothing, or more than was meant."""
    if arguments.delete and not arguments.recursive:
        raise UsageError("--delete is for whole directories", where=str(source), remedy="add -r, or leave --delete out")
    patterns = [*arguments.include, *arguments.exclude]
    if patterns and not arguments.recursive:
        raise UsageError("--include and --exclude are for whole directories", where=str(source), remedy="add -r")
    if patterns and arguments.delete:
        why = "what is left out would be deleted"
        raise UsageError("--delete does not go with --include and --exclude", where=str(source), why=why)
    if target.is_remote and (arguments.delete or arguments.keep_changed):
        option = "--delete" if arguments.delete else "--keep-changed"
        raise UsageError(f"{option} is for a local DST", where=str(target), remedy="leave it out")
    if arguments.keep_changed and not source.is_remote:
        why = "only copies from a store note what the files were like"
        raise UsageError("--keep-changed is for an SRC in a store", where=str(source), why=why, remedy="leave it out")


def _place(target: Location) -> tuple[Path, str]:
    """The directory to copy into, and the name there if it is not the source's own."""
    if target.is_directory or target.local.is_dir():
        return target.local, ""
    if target.local.exists() and not target.local.is_file():  # the new file would take the device's name
        raise PathUnusable("neither a file nor a directory", where=str(target), remedy="choose another DST")
    return target.local.parent, target.local.name
