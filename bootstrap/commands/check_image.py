"""``bootstrap check-image``: what would fail in an image, before anybody pays for accelerators.

    bootstrap check-image                             the container that we are in
    bootstrap check-image image.tar                   of docker save, docker export, podman save; a root or OCI layout
    bootstrap check-image --base base.tar image.tar -- python train.py

Answers 1 when a job would fail.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence

from ..errors import UsageError
from ..images.contracts import CONTRACTS
from ..images.findings import ImageFinding, Question, Severity
from ..images.rules import check, question
from ..images.sources import read
from ..reporting.prose import counted
from ..values import asdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument(
        "--platform",
        choices=tuple(CONTRACTS),
        default="",
        help="whose rules to apply: dls is ModelArts v1, modelarts is v2 (default: what the image looks like)",
    )
    parser.add_argument(
        "--base", metavar="IMAGE", help="the image that this one was made from, to see what was changed"
    )
    parser.add_argument(
        "words",
        metavar="[ROOT|IMAGE-TAR] [-- COMMAND...]",
        nargs=argparse.REMAINDER,
        help="the image (default: /, this container), and behind -- a command that is to run in it",
    )


def main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    source, argv = _image_and_command(arguments.words)
    base = read(arguments.base, digests=True) if arguments.base else None
    image = read(source, digests=base is not None, environ=environ)
    asked = question(image, contract=arguments.platform, base=base, argv=argv)
    found = check(asked)
    print(_json(asked, found) if arguments.format == "json" else _text(asked, found))
    return int(any(finding.level is Severity.ERROR for finding in found))


def _image_and_command(words: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """``[IMAGE] [-- COMMAND...]``. argparse alone would take the command for the image where none is given."""
    front = list(words[: words.index("--")] if "--" in words else words)
    if len(front) > 1:
        raise UsageError(
            f"unexpected: {' '.join(front[1:])}", remedy="options go before the image, a command behind it and --"
        )
    return (front[0] if front else "/"), tuple(words[words.index("--") + 1 :] if "--" in words else ())


def _json(asked: Question, found: list[ImageFinding]) -> str:
    told = {
        "image": asked.image.source,
        "kind": asked.image.kind,
        "platform": asked.contract.name,
        "platform_reason": asked.why_contract,
        "files": len(asked.image.entries),
        "size": asked.image.size,
        "findings": [asdict(finding) for finding in found],
    }
    return json.dumps(told, indent=2, ensure_ascii=False)


def _text(asked: Question, found: list[ImageFinding]) -> str:
    lines = [
        f"{asked.image.source}: {asked.image.kind}, {counted(len(asked.image.entries), 'file')}",
        f"checked for {asked.contract.title} ({asked.why_contract})",
        "",
    ]
    for finding in found:
        lines.append(f"{finding.level.value:<8} {finding.what} [{finding.id}]")
        for label, text in (("where", finding.where), ("why", finding.why), ("do", finding.remedy)):
            if text:
                lines.append(f"{'':<8} {label}: {text}")
    counts = [sum(finding.level is level for finding in found) for level in Severity]
    lines += ["", "{} errors, {} warnings, {} notes".format(*counts)]
    return "\n".join(lines)
