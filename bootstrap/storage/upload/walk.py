"""What of a local tree is to be sent, under which names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ...errors import PathUnusable
from ...values import dataclass
from ..common.file_errors import explain
from ..common.recorded_links import SUFFIX, LinkPolicy, target_of
from ..local.staging import is_unfinished
from ..model.url import LONGEST_KEY, Location

Named = list[tuple[str, str]]
"""Names in the tree, with reasons."""

_MOST_LINKS = 8
"""Directories that are links on the way to a file: trees that lead into each other would else have no end."""


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
    found: os.stat_result | None = None
    """What the walk has seen of the file."""


def items_of(
    source: Path, target: Location, failed: Named, left_out: Named, links: LinkPolicy = "follow"
) -> Iterator[Item]:
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
        yield Item(source.name, key, source, found.st_size, found=found)
        return
    if not stat.S_ISDIR(found.st_mode):
        raise PathUnusable("neither a file nor a directory", where=str(source))
    base = f"{base.rstrip('/')}/" if base else ""
    for item in _walk(source, base, failed, left_out, links):
        if not target.is_remote:  # a file system takes what another one had
            yield item
            continue
        try:
            size = len(item.key.encode())
        except UnicodeEncodeError:
            failed.append((repr(item.name), "its name is not UTF-8, which objects' names have to be"))
            continue
        if size > LONGEST_KEY:
            failed.append((item.name, f"its key would have {size} bytes, {LONGEST_KEY} are the most"))
        else:
            yield item


def _walk(root: Path, base: str, failed: Named, left_out: Named, links: LinkPolicy) -> Iterator[Item]:
    """Files by their name in the tree; empty directories by a name that ends in ``/``.

    Symbolic links are followed or recorded where they stay in the tree, and those that lead out of it followed with
    "all"; never those that lead back to where we are, or to a directory above it. What somebody wanted delivered and
    that lies outside has failed; a link to nothing, and one whose target is there already, costs nothing.
    """
    top = os.path.realpath(root)
    pending: list[tuple[str, tuple[str, ...], int]] = [("", (top,), 0)]
    while pending:
        below, trail, followed = pending.pop()
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
                    _leads_out(entry, name, failed, left_out)
            elif links == "record" and entry.name.endswith(SUFFIX):
                failed.append((name, f"its name ends in {SUFFIX}, as only those of recorded links may"))
            elif real and links != "all" and not (real == top or real.startswith(top + os.sep)):
                _leads_out(entry, name, failed, left_out)
            elif real and not os.path.exists(real):  # a ring of links among them, of which is_dir() would raise
                left_out.append((name, f"a link to nothing, {os.readlink(entry.path)}"))
            elif entry.is_dir():
                here = os.path.realpath(entry.path)
                if any(_holds(here, passed) for passed in trail):
                    left_out.append((name, "a link that leads back to a directory above it"))
                elif real and followed == _MOST_LINKS:
                    failed.append((name, f"more than {_MOST_LINKS} links to directories on the way"))
                else:
                    pending.append((name, (*trail, here), followed + bool(real)))
            elif entry.is_file():
                if not is_unfinished(entry.name):
                    try:
                        seen = entry.stat()
                        yield Item(name, base + name, Path(entry.path), seen.st_size, found=seen)
                    except OSError:
                        failed.append((name, "vanished before it was sent"))
            else:
                left_out.append((name, "neither a file nor a directory"))


def _leads_out(entry: os.DirEntry[str], name: str, failed: Named, left_out: Named) -> None:
    to = os.readlink(entry.path)
    if os.path.exists(entry.path):
        failed.append((name, f"a link that leads out of the tree, to {to} (--links all follows it, skip does without)"))
    else:
        left_out.append((name, f"a link that leads out of the tree, to {to}, where nothing is"))


def _holds(directory: str, path: str) -> bool:
    """Whether ``path`` is the ``directory`` or in it; both are without links."""
    return path == directory or path.startswith(os.path.join(directory, ""))
