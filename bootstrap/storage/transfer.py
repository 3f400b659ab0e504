"""The one engine behind code, inputs, outputs, logs and ``bootstrap copy``.

    stores = Stores(endpoint_from(environ), provider, log)          # storage.open, storage.endpoint
    fetch(stores, parse(url), target_dir, direct=False, unpack=True, stop=stop, log=log) -> Report
    deliver(stores, source, parse(url), stop=stop, deadline=None, log=log) -> Report

:func:`fetch` brings a tree, an object or an archive into a local directory: all of it, verified, or an error.
:func:`deliver` takes a local file or tree to a store: as much of it as can be, and says what could not.
Both raise the classes of ``bootstrap.errors``; a fetch that was asked to stop raises :class:`TransferStopped`,
which is none of them.

What only one direction needs is imported there: a job's command waits for our imports.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ..errors import NothingThere, PathUnusable
from ..job import Log, StopRequest
from .common.choice import EVERYTHING, Choice
from .common.file_errors import explain
from .common.progress import Progress
from .common.rate_limit import RateLimit
from .common.recorded_links import LinkPolicy
from .common.workers import TransferStopped
from .fetch.copy_tree import copy_tree
from .fetch.index import Changed, Extra
from .fetch.plan import nothing_there
from .fetch_options import FetchOptions
from .model.share import Share
from .model.store import Entry
from .model.url import Location
from .open import Stores
from .report import Report, fetched, said
from .schemes import is_shared

if TYPE_CHECKING:
    from .look_ahead import LookAhead

__all__ = ["TransferStopped", "deliver", "fetch"]


def fetch(
    stores: Stores,
    source: Location,
    target_dir: Path,
    *,
    direct: bool = False,
    tree: bool = True,
    unpack: bool = True,
    rename: str = "",
    changed: Changed = "restore",
    extra: Extra = "keep",
    links: LinkPolicy = "follow",
    nodes: int = 1,
    share: Share | None = None,
    choice: Choice = EVERYTHING,
    look: LookAhead | None = None,
    terminal: TextIO | None = None,
    stop: StopRequest,
    log: Log,
) -> Report:
    """Bring ``source`` into ``<target_dir>/<last directory name>/``, or into ``target_dir`` itself with ``direct``.

    A single object becomes ``<target_dir>/<its name>``, or ``<target_dir>/<rename>``; without ``tree`` nothing but that
    is brought from a store. With ``unpack``, an archive
    (``.tar``, ``.tar.gz``, ``.tgz``, ``.tar.bz2``, ``.tar.xz``, ``.zip``) becomes the directory
    ``<target_dir>/<its name without the suffix>/``. A tar is unpacked while it comes, out of sight, and never stored;
    a zip, whose table stands at its end, is brought whole first and needs room for both.

    Files appear under their names only when they are whole and verified (:mod:`.fetch.verification.verifier`; how much
    is a word of ``stores``).
    Scripts that begin with ``#!`` become executable. What an earlier fetch brought and nobody changed since is not
    brought again. Files that were ``changed`` here are restored to what the source has, or kept while the source has
    not changed too; ``extra`` files of a tree that the source does not have are kept or deleted.

    With ``links`` as "record", symbolic links are made of what a delivery with the same word has recorded.

    ``nodes`` is how many machines fetch this at the same moment: their beginnings are spread over a few seconds, and
    their requests share what a bucket can take. Those that ``share`` it bring a part of it from each other.
    ``choice`` is of the files of a tree; ``look``: at the source, where one was begun before. ``terminal`` is where to
    draw a progress bar instead of logging lines.

    Raises :class:`NothingThere`, :class:`NamesUnsafe`, :class:`DiskFull`, :class:`PathUnusable`,
    :class:`ArchiveInvalid`, :class:`SourceChanging`, :class:`UsageError` for a directory without ``tree``, the store's
    own refusals, and :class:`TransferStopped` within a second of ``stop``.
    """
    options = FetchOptions(direct, tree, unpack, rename, changed, extra, links, choice)
    if not source.is_remote:
        return _fetch_local(source, target_dir, options, terminal, stop, log)
    rate_limit = RateLimit(nodes)
    rate_limit.begin(stop)
    from .store_fetch import StoreFetch

    return StoreFetch(
        stores,
        source,
        target_dir,
        options,
        rate_limit=rate_limit,
        share=share if is_shared(source) else None,
        terminal=terminal,
        stop=stop,
        log=log,
    ).run(look)


def deliver(
    stores: Stores,
    source: Path,
    target: Location,
    *,
    links: LinkPolicy = "follow",
    choice: Choice = EVERYTHING,
    terminal: TextIO | None = None,
    stop: StopRequest,
    deadline: float | None = None,
    log: Log,
) -> Report:
    """Put the file or the content of the directory ``source`` at ``target``, replacing what is there.

    A single file goes to ``<target>/<its name>`` when ``target`` is written as a directory, else to ``target``
    itself. Symbolic ``links`` are followed or recorded where they stay in the tree, or skipped. ``deadline`` is on
    ``time.monotonic()``'s clock. What a file's own trouble, the deadline or ``stop`` kept from arriving is in the
    report's ``failed``; trouble that is everybody's (bucket, keys, network) is raised.
    """
    from .upload.send import send_all

    store = stores.open(target)
    with Progress(log, "delivering", terminal=terminal) as progress:
        failed, left_out = send_all(
            store, source, target, links=links, choice=choice, progress=progress, stop=stop, deadline=deadline
        )
    for name, reason in left_out:
        log.warning("left out", name=name, reason=reason)
    if choice.tell is not None:
        return Report(str(target), failed=tuple(failed), left_out=tuple(left_out))
    report = Report(str(target), progress.files, progress.bytes, 0, progress.seconds, tuple(failed), tuple(left_out))
    return said(report, "delivered", target, log)


def _fetch_local(
    source: Location,
    target_dir: Path,
    options: FetchOptions,
    terminal: TextIO | None,
    stop: StopRequest,
    log: Log,
) -> Report:
    place = Path(os.path.abspath(source.path))
    try:
        found = place.stat()
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise _no_such_path(place) from error
        raise explain(error, place, "cannot read what is to be fetched") from error
    if os.path.isfile(place) and options.unpack and _is_archive(place.name):
        return _unpack_local(source, place, found, target_dir, options, terminal, stop, log)
    if not (place.is_dir() or place.is_file()):
        raise PathUnusable("neither a file nor a directory", where=str(place))
    root = target_dir if options.direct and place.is_dir() else target_dir / (options.rename or place.name)
    if root.exists() and os.path.samefile(place, root):
        log.info("already in place", path=str(root))
        return Report(str(root), skipped=1)
    choice = options.choice
    with Progress(log, "copying", terminal=terminal) as progress:
        unchanged, left_out = copy_tree(place, root, extra=options.extra, choice=choice, progress=progress, stop=stop)
    report = Report(str(root), progress.files, progress.bytes, unchanged, progress.seconds, (), tuple(left_out))
    if choice.tell is not None:
        return report
    return said(report, "copied", source, log)


def _unpack_local(
    source: Location,
    place: Path,
    found: os.stat_result,
    target_dir: Path,
    options: FetchOptions,
    terminal: TextIO | None,
    stop: StopRequest,
    log: Log,
) -> Report:
    from .fetch.unpack import land, unpack_file

    entry = Entry(os.fspath(place), found.st_size, f"{found.st_mtime_ns:x}")
    with Progress(log, "unpacking", terminal=terminal) as progress:
        tree = land(
            source,
            entry,
            target_dir,
            unpack_file(place, source, entry, stop=stop, log=log),
            direct=options.direct,
            changed=options.changed,
            extra=options.extra,
            log=log,
        )
        progress.add(entry.size if tree.files else 0)
    return fetched(tree.root, tree.files, progress, tree.skipped, tree.kept)


def _is_archive(name: str) -> bool:
    from .fetch import archive  # most code is a directory

    return bool(archive.stem(name))


def _no_such_path(place: Path) -> NothingThere:
    from .local.store import FileStore

    return nothing_there(FileStore(Path("/")), Location("file", os.fspath(place).lstrip("/")))
