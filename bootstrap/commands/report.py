"""``bootstrap report``: one page that shows a whole run: why it ended, its steps, its machine, what was delivered.

    bootstrap report obs://bucket/logs/               a job's log directory; writes report.html
    bootstrap report --output why.html ./logs/        the same of a directory
    bootstrap report /tmp/job.run                     the run dir of a job on this machine
    bootstrap report --attempt 1 --lang zh obs://bucket/logs/

The page loads nothing from anywhere, and is at most 1 MB. `bootstrap run --report` delivers one beside the log.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Mapping

from ..errors import NothingThere, PathUnusable
from ..ground.plain_text import plain
from ..masking.registry import Secrets
from ..masking.stream import Redactor
from ..report.gather import from_store
from ..report.model import RunReport
from ..report.outputs import delivered
from ..report.page import html, is_report
from ..reporting.language import language
from ..storage.model.url import shown
from ..storage.schemes import parse
from .support.stderr_log import StderrLog
from .support.stores import add_store_options, open_stores, store_options

_OUTPUTS = 30.0  # seconds for the manifests of what was delivered, which may be in another store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL|DIR", help="the job's log directory, or a run dir of this machine")
    parser.add_argument("--output", metavar="FILE", help="where to write the page (default: report.html; -: stdout)")
    parser.add_argument("--attempt", metavar="N", type=int, help="an earlier attempt of a job that was restarted")
    parser.add_argument("--lang", choices=("auto", "en", "zh"), default="auto", help="default: as LANG says")
    add_store_options(parser)


def main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    arguments.secrets = secrets = Secrets()  # for whoever tells how it ended
    stores = open_stores(environ, secrets, StderrLog(secrets, quiet=True), **store_options(arguments))
    location = parse(arguments.url)
    if not location.is_remote and not location.local.is_dir():
        raise NothingThere("there is no such directory", where=arguments.url)
    target = location.as_directory() if location.is_remote else location
    base = target.path if target.is_remote else os.path.join(os.path.abspath(target.path), "").lstrip("/")
    mask = Redactor(secrets).mask
    nodes, left_out = from_store(stores.open(target), base, arguments.attempt, mask)
    time_is_up = threading.Event()
    timer = threading.Timer(_OUTPUTS, time_is_up.set)
    timer.daemon = True
    timer.start()
    outputs = delivered(stores, nodes, time_is_up, mask)
    timer.cancel()
    report = RunReport(mask(shown(arguments.url)), tuple(nodes), outputs, left_out)
    _write(arguments.output, html(report, language(arguments.lang, environ)))
    return 0


def _write(output: str | None, page: str) -> None:
    data = page.encode()
    if output == "-":
        sys.stdout.buffer.write(data)
        return
    path = output or "report.html"
    try:
        if output is None and os.path.exists(path):
            with open(path, "rb") as there:
                if not is_report(there.read(4096)):
                    raise PathUnusable("report.html is somebody's file", where=path, remedy="say --output FILE")
        with open(path, "wb") as file:
            file.write(data)
    except OSError as error:
        why = error.strerror or str(error)
        raise PathUnusable("the report cannot be written", where=path, why=why, remedy="say --output FILE") from error
    print(plain(os.path.abspath(path)))
