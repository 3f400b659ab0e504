"""``bootstrap doctor [OPTIONS] -- COMMAND``: what would fail, before anything is fetched or started.

    bootstrap doctor                                  this container, as the platform's environment says
    bootstrap doctor --code obs://bucket/mnist/ --output out=obs://bucket/models/ -- python mnist/train.py
    bootstrap doctor --format json -- python train.py

Takes the arguments of `bootstrap run`. Every target is written to and what was written removed; every source is listed
and read from. Answers 1 when a job would fail.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping

from ..errors import UsageError
from ..preflight.checks import check
from ..preflight.findings import Finding, Level, of_error, warning
from ..preflight.telling import as_json, as_table, worst
from ..reporting.colour import in_colour
from ..reporting.language import Words
from ..steps.preflight import subject
from .support import beforehand
from .support.job_arguments import ALONE, add_settings

__all__ = ["ALONE", "add_arguments", "main"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("text", "json"), default="text")
    add_settings(parser)


def main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    began = time.monotonic()
    found = beforehand.look(arguments, environ)
    lang = found.decided.language
    findings: list[Finding] = [
        of_error("settings", trouble)
        for trouble in found.troubles
        if not (isinstance(trouble, UsageError) and not found.decided.job.command and trouble.what.startswith("no com"))
    ]
    findings += [warning("settings", Words(text, text)) for text in found.warnings]
    if not any(finding.level is Level.FAILURE for finding in findings):
        findings += check(subject(found.decided, found.access, found.environ))
    seconds = time.monotonic() - began
    if arguments.format == "json":
        print(as_json(findings, lang, found.mask, seconds))
    else:
        width = 0
        if sys.stdout.isatty():
            from .support.helptext import width as columns

            width = columns()
        for line in as_table(findings, lang, found.mask, seconds, width=width, colour=in_colour(sys.stdout)):
            print(line)
    return int(worst(findings) is Level.FAILURE)
