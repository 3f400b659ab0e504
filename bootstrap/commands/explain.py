"""``bootstrap explain ID``: what the id of a cause means, whether to try again, and what to do.

    bootstrap explain disk-full
    bootstrap explain --lang zh      all of them
    bootstrap explain --format json

The ids are those in brackets at the end of a message.
"""

from __future__ import annotations

import argparse
import difflib
import json
from collections.abc import Mapping

from ..diagnosis.catalogue import CatalogueEntry, entries
from ..errors import UsageError
from ..reporting.language import Lang, language


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "id",
        metavar="ID",
        nargs="?",
        default="",
        help="as printed in [disk-full, exit 116], or 116 (default: all of them)",
    )
    parser.add_argument(
        "--lang",
        choices=("auto", "en", "zh"),
        default="auto",
        help="language: en, zh or auto, as LANG says (default: auto)",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")


def main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    found = entries(arguments.id)
    if not found:
        known = [entry.id for entry in entries()]
        near = difflib.get_close_matches(arguments.id, known, n=3, cutoff=0.5)
        remedy = f"did you mean {' or '.join(dict.fromkeys(near))}?" if near else "bootstrap explain lists all"
        raise UsageError(f"no cause has the id or exit code {arguments.id!r}", remedy=remedy)
    lang = language(arguments.lang, environ)
    if arguments.format == "json":
        print(json.dumps([_recorded(entry, lang) for entry in found], indent=1, ensure_ascii=False))
        return 0
    print("\n\n".join(_told(entry, lang) for entry in found))
    return 0


def _told(entry: CatalogueEntry, lang: Lang) -> str:
    code = f", exit {entry.code}" if entry.code is not None else ""
    lines = [f"{entry.id} ({entry.kind.value}{code})", f"  {entry.text.to(lang)}"]
    if entry.remedy:
        lines.append(f"  hint: {entry.remedy.to(lang)}")
    lines.append(f"  retry: {entry.retry.value}; fault: {entry.fault.value}")
    return "\n".join(lines)


def _recorded(entry: CatalogueEntry, lang: Lang) -> dict[str, object]:
    return {
        "id": entry.id,
        "class": entry.kind.value,
        "retry": entry.retry.value,
        "fault": entry.fault.value,
        "exit_code": entry.code,
        "text": entry.text.to(lang),
        "remedy": entry.remedy.to(lang),
    }
