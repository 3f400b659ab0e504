"""A checkpoint, and what goes with it, to their places: all of them are on the stage and verified before one moves."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ...job import Log, StopRequest
from ...storage.common.file_errors import local_trouble
from ...storage.upload.walk import Item
from ..local import units
from ..local.units import Unit
from ..publisher import Publisher, named
from ..remote.contents import Contents, WholeCheckpoint
from ..remote.manifest import File, parents
from .fetch import digest, fetch_verified
from .stage import looks_like, put_in_place, staged

TOLD = 3
"""Of what is not used, of one kind, before the rest are a number."""


class Damaged(Exception):
    """Files that are not there as their manifest says."""


def bring_files(
    publisher: Publisher,
    contents: Contents,
    main: WholeCheckpoint | None,
    others: Sequence[WholeCheckpoint],
    loose: Iterable[File],
    stop: StopRequest,
    log: Log,
) -> tuple[int, int]:
    """Files into a place of their own, verified, then to theirs. Raises :class:`Damaged` for those of ``main``:
    what else is damaged is said and left out.
    """
    root, options = publisher.root, publisher.options
    must = {file.path: file for file in main.files_for(options.node)} if main is not None else {}
    with local_trouble(str(root), "cannot bring a checkpoint back"), staged(root) as stage:

        def fetch(files: Mapping[str, File]) -> dict[str, str]:
            return fetch_verified(publisher.target, list(files.values()), stage, options.nodes, stop, log)

        files = _wanted(publisher, must, [*(whole.files_for(options.node) for whole in others), list(loose)], log)
        missing = _not_here(root, files.values())
        bad = fetch(missing)
        broken = [f"{path} ({why})" for path, why in bad.items() if path in must]
        if broken:
            raise Damaged(", ".join(broken[:TOLD]))
        for path, why in bad.items():
            log.warning(f"not brought back: {path}: {why}")
        have = [main] if main is not None else []
        for whole in others:  # all of one, or nothing of it
            paths = {file.path for file in whole.files_for(options.node)}
            if paths.isdisjoint(bad):
                have.append(whole)
            else:
                missing = {path: file for path, file in missing.items() if path not in paths - must.keys()}
        for pointer, whole in _named_by_pointers(publisher, contents, stage, files):
            if whole in have:
                continue
            more = _not_here(root, whole.files_for(options.node))
            bad = dict.fromkeys(whole.missing, "is not there") or fetch(more)
            if bad:
                path, why = next(iter(bad.items()))
                what = f"it names {whole.path}, which cannot be used: {path}: {why}"
                log.warning(f"not brought back: {pointer}: {what}")
                missing.pop(pointer, None)
            else:
                have.append(whole)
                missing.update(more)
        brought = [file for path, file in missing.items() if (stage / path).exists()]
        put_in_place(brought, root)
    return len(brought), sum(file.size for file in brought)


def _wanted(
    publisher: Publisher, must: Mapping[str, File], others: Iterable[Sequence[File]], log: Log
) -> dict[str, File]:
    """What is to be here by its path: what ``must``, and of the ``others`` what is neither newer here nor from this
    run's code or inputs.
    """
    files, fetched = dict(must), 0
    for several in others:
        more = [file for file in several if file.path not in files]
        ours = [file for file in more if not _was_fetched(publisher, file)]
        fetched += len(more) - len(ours)
        _add(files, [file for file in ours if not _newer_here(publisher.root, file)], log)
    if fetched:
        log.info("not brought back: the code or an input has brought it itself", files=fetched)
    return files


def _add(files: dict[str, File], more: Sequence[File], log: Log) -> None:
    """Add ``more``, but for what has the name of a directory of what is there, or of a file in place of its own."""
    above = {parent for path in files for parent in parents(path)}
    for file in more:
        if file.path in above or any(parent in files for parent in parents(file.path)):
            log.warning(f"not brought back: {file.path}: it has been a file and a directory, and the other one comes")
        else:
            files[file.path] = file


def _named_by_pointers(
    publisher: Publisher, contents: Contents, stage: Path, files: Mapping[str, File]
) -> list[tuple[str, WholeCheckpoint]]:
    """The pointers among ``files``, and the newest version of each checkpoint that they name: a complete one, where
    there is one.
    """
    found: list[tuple[str, WholeCheckpoint]] = []
    ordered = sorted(contents.checkpoints, key=lambda one: (one.complete, one.age_key))
    there = {one.path: one for one in ordered}
    wholes = {path: Unit("checkpoint", path, format=one.format) for path, one in there.items()}
    for path, file in files.items():
        place = stage / path if (stage / path).exists() else publisher.root / path
        if not units.is_pointer(path, file.size) or not place.exists():
            continue
        for unit in named(Unit("pointer", path, [Item(path, "", place, file.size)]), list(wholes.values())):
            found.append((path, there[unit.path]))
    return found


def _not_here(root: Path, files: Iterable[File]) -> dict[str, File]:
    """By their paths, those that are not on this disk, brought back or written by an earlier attempt in the same
    container.
    """
    return {
        file.path: file for file in files if not (looks_like(root, file) and digest(root / file.path) == file.sha256)
    }


def _was_fetched(publisher: Publisher, file: File) -> bool:
    """Whether this run's code or inputs have brought it: nobody can choose when a file was last changed."""
    try:
        changed = os.lstat(publisher.root / file.path).st_ctime
    except OSError:
        return False
    return publisher.fetched_since is not None and changed >= publisher.fetched_since - 0.01


def _newer_here(root: Path, file: File) -> bool:
    try:
        return (root / file.path).stat().st_mtime > file.modified + 0.002
    except OSError:
        return False
