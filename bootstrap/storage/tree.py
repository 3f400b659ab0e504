"""What of a local tree is to be sent, under which names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bootstrap.errors import PathUnusable
from bootstrap.storage.links import SUFFIX, target_of
from bootstrap.storage.local import PARTIAL, explain
from bootstrap.storage.url import LONGEST_KEY, Location

Named = list[tuple[str, str]]
"""Names in the tree, with reasons."""

Links = Literal["follow", "record", "skip"]
"""What becomes of symbolic links: what they lead to is sent in their place, they are recorded, or left out."""


@dataclass(frozen=True, slots=True)
class Item:
    """One object to be: its name in the tree, its key, and the file it is made of, or else its ``content`` (nothing: a
    directory's marker).
    """

    name: str
    key: str
    path: Path | None
    size: int = 0
    content: bytes = b""


def items_of(source: Path, target: Location, failed: Named, left_out: Named, links: Links = "follow") -> Iterator[Item]:
    """Everything at ``source``. What cannot be an object is put on ``failed``, what is not meant to be on ``left_out``.

    Raises :class:`NothingThere` or :class:`PathUnusable` when the source itself cannot be read.
    """
    base = target.path if target.is_remote else os.path.abspath(target.path).lstrip("/")
    try:
        found = source.stat()
    except OSError as error:
        raise explain(error, source, "cannot read what is to be delivered") from error
    if stat.S_ISREG(found.st_mode):
        key = base if not target.is_directory else f"{base.rstrip('/')}/{source.name}".lstrip("/")
        yield Item(source.name, key, source, found.st_size)
        return
    if not stat.S_ISDIR(found.st_mode):
        raise PathUnusable("neither a file nor a directory", where=str(source))
    base = f"{base.rstrip('/')}/" if base else ""
    for item in _walk(source, base, failed, left_out, links):
        try:
            size = len(item.key.encode())
        except UnicodeEncodeError:
            failed.append((repr(item.name), "its name is not UTF-8, which objects' names have to be"))
            continue
        if size > LONGEST_KEY:
            failed.append((item.name, f"its key would have {size} bytes, {LONGEST_KEY} are the most"))
        else:
            yield item


def _walk(root: Path, base: str, failed: Named, left_out: Named, links: Links) -> Iterator[Item]:
    """Files by their name in the tree; empty directories by a name that ends in ``/``.

    Symbolic links are followed or recorded where they stay in the tree; followed only if they do not lead back to
    where we are.
    """
    top = os.path.realpath(root)
    pending: list[tuple[str, tuple[str, ...]]] = [("", (top,))]
    while pending:
        below, trail = pending.pop()
        try:
            with os.scandir(os.path.join(root, below)) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            failed.append((below or ".", str(explain(error, os.path.join(root, below), "cannot list a directory"))))
            continue
        if not entries and below:
            yield Item(f"{below}/", f"{base}{below}/", None)
        for entry in entries:
            name = os.path.join(below, entry.name)
            real = os.path.realpath(entry.path) if entry.is_symlink() else ""
            if real and links == "skip":
                left_out.append((name, f"a link, to {os.readlink(entry.path)}"))
            elif real and links == "record":
                content = os.fsencode(target_of(os.fspath(root), name))
                if content:
                    yield Item(name + SUFFIX, f"{base}{name}{SUFFIX}", None, len(content), content)
                else:
                    left_out.append((name, f"a link that leads out of the tree, to {os.readlink(entry.path)}"))
            elif links == "record" and entry.name.endswith(SUFFIX):
                failed.append((name, f"its name ends in {SUFFIX}, as only those of recorded links may"))
            elif real and not (real == top or real.startswith(top + os.sep)):
                left_out.append((name, f"a link that leads out of the tree, to {os.readlink(entry.path)}"))
            elif real and not os.path.exists(real):  # a ring of links among them, of which is_dir() would raise
                left_out.append((name, f"a link to nothing, {os.readlink(entry.path)}"))
            elif entry.is_dir():
                here = os.path.realpath(entry.path)
                if here in trail:
                    left_out.append((name, "a link that leads back to a directory above it"))
                else:
                    pending.append((name, (*trail, here)))
            elif entry.is_file():
                if not entry.name.startswith(PARTIAL):
                    try:
                        yield Item(name, base + name, Path(entry.path), entry.stat().st_size)
                    except OSError:
                        failed.append((name, "vanished before it was sent"))
            else:
                left_out.append((name, "neither a file nor a directory"))
