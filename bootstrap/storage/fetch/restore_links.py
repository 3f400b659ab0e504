"""Recorded links made links again, where a tree has landed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping

from ...errors import NamesUnsafe, NothingThere, SourceChanging
from ...values import replace
from ..common.file_errors import local_trouble
from ..common.recorded_links import SUFFIX, is_record, stays_inside
from ..common.retry import Retry
from ..common.small import read_small
from ..common.workers import in_parallel
from ..local.staging import PARTIAL
from ..model.store import Entry, Store
from .plan import FetchPlan

_LONGEST = 4095  # bytes of a link's target (Linux)
_WIDTH = 16


def split(plan: FetchPlan) -> tuple[FetchPlan, dict[str, Entry]]:
    """The plan without recorded links, and those, by the names that the links will have.

    Raises :class:`NamesUnsafe` when something else is to stand in a link's place.
    """
    recorded = plan.files.where(map(is_record, plan.files.paths))
    links = {path[: -len(SUFFIX)]: entry for path, entry in recorded}
    files = plan.files.where(not is_record(path) for path in plan.files.paths)
    taken = sorted(links.keys() & set(plan.directories) | {path for path in plan.files.paths if path in links})
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
    store: Store, links: Mapping[str, Entry], root: str, *, retry: Retry, beat: Callable[[], None]
) -> list[tuple[str, str]]:
    """Make the recorded ``links`` below ``root``; returns those that are not made, with reasons.

    What is a link of that target already costs nothing. A file in a link's place is replaced.
    """
    refused: list[tuple[str, str]] = []
    missing = [name for name, entry in links.items() if not _is_there(os.path.join(root, name), entry)]

    def read(name: str) -> bytes:
        entry = links[name]
        try:
            return b"" if entry.size > _LONGEST else retry(lambda: read_small(store, entry.key, _LONGEST))
        except NothingThere as error:
            raise SourceChanging("an object was listed, and gone when it was read", where=error.where) from error

    for done in in_parallel(missing, read, width=min(_WIDTH, len(missing)), beat=beat):
        name, text = done.task, os.fsdecode(done.value())
        if stays_inside(text, name):
            _make(os.path.join(root, name), text)
        else:
            refused.append((name, f"a recorded link that leads out of the tree, to {text!r}" if text else "no link"))
    return refused


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
