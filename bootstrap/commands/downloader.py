"""``bootstrap downloader``: what ``modelarts-downloader.py`` has always been asked to do, with its flags.

    bootstrap downloader -r -s obs://bucket/a/code/ -d ./   makes ./code/
    bootstrap downloader -s model.bin -d obs://bucket/m/    uploads, and replaces what is there

One of source and destination is remote (``obs://`` or ``s3://``), the other local. A directory keeps its last name
below the destination (``-r -s obs://bucket/a/code/ -d ./`` makes ``./code/``) unless ``--skip-creating-dir``. What is
there already is replaced. Anything that goes wrong gives exit status 255, which callers of the old script check for.

Known from public copies of an early version and from logs of later ones; its mistakes are not kept: it said
"success" before it began, skipped uploads whose key existed, and left out files that vanished without failing.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import NoReturn

from ..errors import BootstrapError, NothingThere, OutputsUndelivered, PathUnusable, UsageError
from ..ground.safe_files import replace_own
from ..job import Log
from ..masking.registry import Secrets
from ..storage.model.url import Location
from ..storage.open import Stores
from ..storage.schemes import check_writable, parse
from ..storage.transfer import deliver, fetch
from .support.stderr_log import StderrLog
from .support.stores import open_stores

FAILED = 255
TRACE_SUFFIX = ".upst"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-s", "--src", required=True, metavar="URL|PATH", help="what to copy")
    parser.add_argument("-d", "--dst", required=True, metavar="PATH|URL", help="the directory to copy it into")
    parser.add_argument("-r", "--recursive", action="store_true", help="the source is a directory")
    parser.add_argument(
        "--skip-creating-dir", action="store_true", help="copy the directory's content, without its own name"
    )
    parser.add_argument(
        "-t",
        "--trace",
        action="store_true",
        help=f"note the state of an upload in <file>{TRACE_SUFFIX}: uploading, uploaded",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="accepted: what is copied is always printed")
    parser.add_argument("--type", default="common", help="accepted, without any effect")


def main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    # An exception, since it also ends a call of the store's client that would wait for minutes; every partial file is
    # removed on its way.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    arguments.secrets = secrets = Secrets()  # for whoever tells of a defect
    log = StderrLog(secrets, quiet=False)
    try:
        _copy(arguments, environ, secrets, log)
    except BootstrapError as error:
        log.error(f"{error} [{error.id}]")
        return FAILED
    return 0


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _copy(arguments: argparse.Namespace, environ: Mapping[str, str], secrets: Secrets, log: Log) -> None:
    source, target = parse(arguments.src), parse(arguments.dst)
    if source.is_remote == target.is_remote:
        raise UsageError(
            "one of source and destination must be remote and the other local",
            where=f"--src {source}, --dst {target}",
            remedy="write the remote one as obs://bucket/path or s3://bucket/path",
        )
    stores = open_stores(environ, secrets, log)
    if source.is_remote:
        _download(arguments, stores, source, target, log)
        log.info(f"download '{source}' -> '{target}' success")
    else:
        _upload(arguments, stores, source.local, target, log)
        log.info(f"Upload '{source}' -> '{target}' success")


def _download(arguments: argparse.Namespace, stores: Stores, source: Location, target: Location, log: Log) -> None:
    if arguments.recursive:
        source = source.as_directory()
    elif source.is_directory:
        raise UsageError("the source is a directory", where=str(source), remedy="add -r")
    direct = arguments.skip_creating_dir
    fetch(stores, source, target.local, direct=direct, unpack=False, stop=threading.Event(), log=log)


def _upload(arguments: argparse.Namespace, stores: Stores, source: Path, target: Location, log: Log) -> None:
    check_writable(target, str(target))
    if not source.exists():
        raise NothingThere("there is nothing to upload", where=os.path.abspath(source))
    target = target.as_directory()
    if source.is_dir() and not arguments.skip_creating_dir:
        target = target.child(os.path.basename(os.path.abspath(source)) + "/")
    trace = Trace(source, arguments.trace)
    report = deliver(stores, source, target, stop=threading.Event(), log=log)
    if not report.complete:
        name, reason = report.failed[0]
        more = f" and {len(report.failed) - 1} more" if len(report.failed) > 1 else ""
        raise OutputsUndelivered(
            "not everything was uploaded", where=f"{name}{more}", why=reason, remedy="run the same upload again"
        )
    trace.uploaded()


class Trace:
    """The files by which others see an upload go on: ``uploading`` beside the source, then ``uploaded`` at each file.

    Those of an earlier upload are removed first, so that they are neither believed nor uploaded themselves.
    """

    def __init__(self, source: Path, wanted: bool) -> None:
        self._source = Path(os.path.abspath(source))
        self._wanted = wanted
        if wanted:
            for file in list(_files(self._source)):
                if file.name.endswith(TRACE_SUFFIX):
                    file.unlink()
            self._write(self._source, "uploading")

    def uploaded(self) -> None:
        if self._wanted:
            for file in list(_files(self._source)):
                self._write(file, "uploaded")
            self._write(self._source, "uploaded")

    def _write(self, path: Path, state: str) -> None:
        trace = path.with_name(path.name + TRACE_SUFFIX)
        try:
            replace_own(trace, state.encode())
        except OSError as error:
            raise PathUnusable("a trace file cannot be written", where=str(trace), why=str(error.strerror)) from error


def _files(root: Path) -> Iterator[Path]:
    """The file itself, or every file below the directory."""
    if root.is_dir():
        yield from (path for path in sorted(root.rglob("*")) if path.is_file())
    else:
        yield root
