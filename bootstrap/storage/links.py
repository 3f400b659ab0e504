"""Symbolic links in object stores, which know none: ``NAME.rclonelink`` is an object whose content is a link's target.

The form is that of ``rclone --links``, so that either can make links of what the other has recorded; unlike metadata,
it is in the listing and survives every copy. A link that leads out of its tree is neither recorded nor made: wherever
a tree lands, what is outside is somebody else's.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import replace

from bootstrap.errors import NamesUnsafe, NothingThere, SourceChanging
from bootstrap.storage.local import PARTIAL, local_trouble
from bootstrap.storage.outage import Outlast
from bootstrap.storage.plan import Plan
from bootstrap.storage.store import Entry, Store
from bootstrap.storage.workers import in_parallel

SUFFIX = ".rclonelink"

_LONGEST = 4095  # bytes of a link's target (Linux)
_WIDTH = 16


def target_of(root: str, name: str) -> str:
    """What to record for the link ``name`` in the tree ``root``; an empty string if it leads out of it.

    As it is written, where that means the same wherever the tree is; else made relative to the link's directory. No
    directory above the link is a link itself.
    """
    link = os.path.join(root, name)
    text = os.readlink(link)
    if stays_inside(text, name):
        return text
    top, real = os.path.realpath(root), os.path.realpath(link)
    if real != top and not real.startswith(top + os.sep):
        return ""
    text = os.path.relpath(real, os.path.realpath(os.path.dirname(link)))
    return text if stays_inside(text, name) else ""


def stays_inside(text: str, name: str) -> bool:
    """Whether a link at ``name`` with the target ``text`` stays in the tree, whatever other such links are in it.

    ``..`` leads up only at the beginning, where it is real directories that are left: behind another name it could
    leave the directory that a second link leads to.
    """
    parts = [part for part in text.split("/") if part not in ("", ".")]
    up = 0
    while up < len(parts) and parts[up] == "..":
        up += 1
    plain = bool(text) and not text.startswith("/") and "\0" not in text and ".." not in parts[up:]
    return plain and up <= name.count("/")


def split(plan: Plan) -> tuple[Plan, dict[str, Entry]]:
    """The plan without recorded links, and those, by the names that the links will have.

    Raises :class:`NamesUnsafe` when something else is to stand in a link's place.
    """
    recorded = {path: entry for path, entry in plan.files if _is_record(path)}
    links = {path[: -len(SUFFIX)]: entry for path, entry in recorded.items()}
    files = tuple(item for item in plan.files if item[0] not in recorded)
    taken = sorted(links.keys() & {*plan.directories, *(path for path, _ in files), *recorded})
    if taken:
        raise NamesUnsafe(
            f"{len(taken)} recorded links have the name of a file or directory; nothing was written",
            where=taken[0],
            why=f"there are {taken[0]} and {taken[0]}{SUFFIX}",
            remedy=f"remove one of the two, or fetch without --links record, which takes NAME{SUFFIX} for a file",
            names=taken,
        )
    return replace(plan, files=files), links


def restore(
    store: Store, links: Mapping[str, Entry], root: str, *, outlast: Outlast, beat: Callable[[], None]
) -> list[tuple[str, str]]:
    """Make the recorded ``links`` below ``root``; returns those that are not made, with reasons.

    What is a link of that target already costs nothing. A file in a link's place is replaced.
    """
    refused: list[tuple[str, str]] = []
    missing = [name for name, entry in links.items() if not _is_there(os.path.join(root, name), entry)]

    def read(name: str) -> bytes:
        entry = links[name]
        try:
            return b"" if entry.size > _LONGEST else outlast(lambda: b"".join(store.read(entry.key)))
        except NothingThere as error:
            raise SourceChanging("an object was listed, and gone when it was read", where=error.where) from error

    for done in in_parallel(missing, read, width=min(_WIDTH, len(missing)), beat=beat):
        name, text = done.task, os.fsdecode(done.value())
        if stays_inside(text, name):
            _make(os.path.join(root, name), text)
        else:
            refused.append((name, f"a recorded link that leads out of the tree, to {text!r}" if text else "no link"))
    return refused


def _is_record(path: str) -> bool:
    return path.endswith(SUFFIX) and not path.endswith("/" + SUFFIX) and path != SUFFIX


def _is_there(place: str, entry: Entry) -> bool:
    try:
        text = os.fsencode(os.readlink(place))
    except OSError:
        return False
    return hashlib.md5(text, usedforsecurity=False).hexdigest() == entry.md5


def _make(place: str, text: str) -> None:
    directory = os.path.dirname(place)
    partial = os.path.join(directory, f"{PARTIAL}{os.urandom(4).hex()}.partial")
    with local_trouble(place):
        os.makedirs(directory, exist_ok=True)
        os.symlink(text, partial)
        try:
            os.replace(partial, place)
        except BaseException:
            os.unlink(partial)
            raise
