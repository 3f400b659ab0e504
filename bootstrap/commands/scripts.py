"""``bootstrap scripts DIR``: run_train.sh and the other old names, put where an image wants them.

    bootstrap scripts /home/work                      they belong to the directory's owner
    bootstrap scripts --owner 1101:1101 /home/work    or to somebody else
    bootstrap scripts --list                          their names

They find this installation by themselves (run_bootstrap.sh says where they look).
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from .. import old_names
from ..errors import InternalError, PathUnusable, UsageError

_MODE = 0o755


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="DIR", nargs="?", type=Path, help="created if it is not there")
    parser.add_argument(
        "--owner", metavar="UID[:GID]", help="owner of the files (default: the directory's owner, where permitted)"
    )
    parser.add_argument("--list", action="store_true", help="print the names of the scripts, and write nothing")


def main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    if arguments.list:
        print("\n".join(old_names.NAMES))
        return 0
    if arguments.directory is None:
        raise UsageError("bootstrap scripts needs a directory", remedy="as in: bootstrap scripts /home/work")
    source = old_names.directory()
    if source is None:
        remedy = "build the wheel with scripts/package"
        raise InternalError("the scripts did not travel with this installation", remedy=remedy)
    owner = _owner(arguments.owner) if arguments.owner else None
    target: Path = arguments.directory
    try:
        made = not target.exists()
        target.mkdir(parents=True, exist_ok=True)
        if made and owner:
            os.chown(target, *owner)
        found = target.stat()
        for name in old_names.NAMES:
            _put((source / name).read_bytes(), target / name, owner, (found.st_uid, found.st_gid))
            print(target / name)
    except OSError as error:
        raise PathUnusable(
            "the scripts cannot be written", where=str(error.filename or target), why=error.strerror or str(error)
        ) from error
    return 0


def _owner(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)(?::(\d+))?", text)
    if not found:
        raise UsageError(f"--owner cannot be {text!r}", why="say it in numbers, as in 1101 or 1101:1101")
    return int(found[1]), int(found[2] or found[1])


def _put(data: bytes, path: Path, owner: tuple[int, int] | None, like: tuple[int, int]) -> None:
    """By rename: a script that runs just now goes on as it was. An ``owner`` that was asked for has to be given."""
    fd, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            os.fchmod(fd, _MODE)
            if owner is not None:
                os.fchown(fd, *owner)
            else:
                with suppress(PermissionError):
                    os.fchown(fd, *like)
        os.rename(fresh, path)
    except BaseException:
        os.unlink(fresh)
        raise
