"""``bootstrap du``: how many files and bytes there are below a URL, by directory.

    bootstrap du obs://bucket/models/    each name right below, and the sum
    bootstrap du -s obs://bucket/        the sum alone
    bootstrap du --format json ./out

Bytes are those of the objects; what a store charges for unfinished uploads is not among them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

from ..errors import NothingThere
from ..reporting.prose import counted
from ..storage.common.units import readable
from .ls import grouped, open_url, rows_below
from .support.stores import add_store_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", help="obs://, s3://, file://, a path, or what docs/sources.md has")
    parser.add_argument("-s", "--summarize", action="store_true", help="print the sum alone")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    add_store_options(parser)


def main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    store, key = open_url(arguments, environ)
    rows = grouped(rows_below(store, key))
    if not rows:
        raise NothingThere(
            "nothing is there", where=arguments.url, remedy="check the path; a directory's URL ends with /"
        )
    size, files = sum(row.size for row in rows), sum(row.files or 0 for row in rows)
    if arguments.format == "json":
        import json

        below = [{"name": row.name, "size": row.size, "files": row.files} for row in rows]
        told = {"url": arguments.url, "size": size, "files": files}
        print(json.dumps(told if arguments.summarize else {**told, "below": below}, indent=2, ensure_ascii=False))
        return 0
    if not arguments.summarize:
        for row in rows:
            sys.stdout.write(f"{readable(row.size):>9}  {counted(row.files or 0, 'file'):>14}  {row.name}\n")
    sys.stdout.write(f"{readable(size):>9}  {counted(files, 'file'):>14}  in all\n")
    return 0
