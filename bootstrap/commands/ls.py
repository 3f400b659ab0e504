"""``bootstrap ls``: what is below a URL, in a store or here.

    bootstrap ls obs://bucket/              the names right below; directories end in /
    bootstrap ls -l obs://bucket/models/    with bytes and times
    bootstrap ls -r obs://bucket/models/    every object below
    bootstrap ls --format json obs://b/m/   for programs

Names go to stdout, one a line, as they are given to `bootstrap copy`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping

from ..errors import NothingThere
from ..masking.registry import Secrets
from ..storage.common.units import readable
from ..storage.model.store import Store
from ..storage.schemes import parse
from ..values import dataclass
from .support.stderr_log import StderrLog
from .support.stores import add_store_options, open_stores, store_options


@dataclass(frozen=True, slots=True)
class Row:
    """A name below the URL: an object, or a directory with all that is below it. ``files`` None: nobody counted."""

    name: str
    size: int = 0
    mtime: float = 0.0
    files: int | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", help="obs://, s3://, file://, a path, or what docs/sources.md has")
    parser.add_argument("-l", "--long", action="store_true", help="print size and time of the last change, too")
    parser.add_argument(
        "-r", "--recursive", action="store_true", help="list every object below, not only the next level"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    add_store_options(parser)


def main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    store, key = open_url(arguments, environ)
    known = arguments.long or arguments.recursive or arguments.format == "json"
    rows = _rows(store, key, recursive=arguments.recursive) if known else _names(store, key)
    if not rows:
        raise NothingThere(
            "nothing is there", where=arguments.url, remedy="check the path; a directory's URL ends with /"
        )
    if arguments.format == "json":
        import json

        print(json.dumps([_told(row) for row in rows], indent=2, ensure_ascii=False))
        return 0
    for row in rows:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(row.mtime)) if row.mtime else ""
        line = f"{readable(row.size):>9}  {when:<16}  {row.name}\n" if arguments.long else f"{row.name}\n"
        sys.stdout.write(line)
    return 0


def open_url(arguments: argparse.Namespace, environ: Mapping[str, str]) -> tuple[Store, str]:
    """The store of ``arguments.url``, and the key that it names there."""
    arguments.secrets = secrets = Secrets()  # for whoever tells how it ended
    stores = open_stores(environ, secrets, StderrLog(secrets, quiet=True), **store_options(arguments))
    location = parse(arguments.url)
    if location.is_remote:
        return stores.open(location), location.path
    path = os.path.abspath(location.path)
    return stores.open(location), (os.path.join(path, "") if os.path.isdir(path) else path).lstrip("/")


def rows_below(store: Store, key: str) -> Iterator[Row]:
    """Every object at ``key``, or below it as a directory, by its name below it."""
    base = key if key.endswith("/") or not key else ""
    if not base and key:
        single = store.stat(key)
        if single is not None:
            yield Row(key.rpartition("/")[2], single.size, single.mtime, 1)
            return
        base = f"{key}/"
    for entry in store.entries(base):
        if entry.key != base:  # a "folder" made in a console
            yield Row(entry.key[len(base) :], entry.size, entry.mtime, 1)


def grouped(rows: Iterator[Row]) -> list[Row]:
    """The next level: directories with the bytes, files and newest time of what is below them."""
    found: dict[str, Row] = {}
    for row in rows:
        name, slash, _ = row.name.partition("/")
        before = found.get(name + slash, Row(name + slash, files=0))
        mtime, files = max(before.mtime, row.mtime), (before.files or 0) + (0 if row.name.endswith("/") else 1)
        found[name + slash] = Row(name + slash, before.size + row.size, mtime, files)
    return [found[name] for name in sorted(found)]


def _rows(store: Store, key: str, *, recursive: bool) -> list[Row]:
    rows = rows_below(store, key)
    return sorted(rows, key=lambda row: row.name) if recursive else grouped(rows)


def _names(store: Store, key: str) -> list[Row]:
    """The next level without the listing of all that is below, for as long as there are no more than a thousand."""
    if key and not key.endswith("/"):
        if store.stat(key) is not None:
            return [Row(key.rpartition("/")[2])]
        key += "/"
    names = store.children(key)
    return grouped(rows_below(store, key)) if len(names) >= 1000 else [Row(name) for name in names]


def _told(row: Row) -> dict[str, object]:
    kind = "directory" if row.name.endswith("/") else "file"
    told: dict[str, object] = {"name": row.name, "type": kind, "size": row.size, "mtime": row.mtime}
    return {**told, "files": row.files} if kind == "directory" else told
