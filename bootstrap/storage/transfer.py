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
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from ..errors import NothingThere, PathUnusable
from ..ground.abandonable import watched
from ..job import Log, StopRequest
from ..values import replace
from .common.choice import EVERYTHING, Choice
from .common.file_errors import explain, local_trouble
from .common.hashes import Hashes
from .common.progress import Progress
from .common.rate_limit import RateLimit
from .common.recorded_links import LinkPolicy
from .common.retry import Retry
from .common.workers import TransferStopped
from .fetch.copy_tree import copy_tree
from .fetch.index import Changed, Extra, FetchIndex, remove_extra
from .fetch.large_file import unfinished_names
from .fetch.plan import (
    FetchPlan,
    check_name,
    check_room,
    directories_above,
    no_object,
    nothing_there,
    plan_tree,
)
from .local.staging import sweep
from .model.listing import Entries
from .model.share import Share
from .model.store import Entry, Listed, Store
from .model.url import Location
from .open import Stores
from .report import Report, name_unverified, said
from .schemes import is_shared

if TYPE_CHECKING:
    from .fetch.head_start import HeadStart
    from .fetch.verification.verifier import Verifier
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
    share = share if is_shared(source) else None
    if not source.is_remote:
        return _fetch_local(source, target_dir, direct, unpack, rename, changed, extra, choice, terminal, stop, log)
    rate_limit = RateLimit(nodes)
    rate_limit.begin(stop)

    def watch() -> None:
        if stop.is_set():
            raise TransferStopped

    store = stores.open(source)
    from .fetch.verification.verifier import Verifier  # which a tree of this machine need not load, nor this one
    from .look_ahead import LookAhead

    verifier = Verifier(store, stores.verify)
    retry = Retry(store.retry_window, stop, rate_limit=rate_limit, say=Progress(log, "fetching").trouble)
    if look is None:
        look = LookAhead(lambda: (store, retry), source, tree=tree and share is None)
    root = target_dir if direct else target_dir / source.name
    plain = share is None and choice.is_everything and links == "follow"
    with ExitStack() as stack:
        head_starts: list[HeadStart] = []

        def seen(listing: Listed) -> None:
            if not head_starts and not stop.is_set():
                from .fetch.head_start import HeadStart  # for who has a long listing

                head_starts.append(HeadStart(store, os.fspath(root), verifier, rate_limit, stop, log))
                stack.callback(head_starts[0].close)
            for one in head_starts:
                one.seen(listing)

        if plain and _is_new(root):
            look.seen = seen
        single, entries = look.found(watch)
        if single is not None and unpack and _is_archive(source.name):
            how = _Unpacking(direct, changed, extra)
            return _unpack(stores, store, source, single, target_dir, verifier, rate_limit, how, terminal, stop, log)
        if single is None and not tree:
            raise watched(lambda: retry(lambda: no_object(store, source)), watch)
        if single is None:
            prefix = source.as_directory().path if source.path else ""
            if entries is None:
                listing = partial(retry, lambda: Entries.of(store.entries(prefix)))
                entries = watched(lambda: _listed(share, source, listing), watch)
            if not len(entries):
                raise watched(lambda: retry(lambda: nothing_there(store, source)), watch)
            if len(entries) == 1 and entries.keys[0] == prefix and entries.sizes[0]:
                single = entries[0]  # its name ends in a slash, and it is an object like any other
        if single is not None:
            name = rename or source.name
            check_name(name, source)
            plan, root = FetchPlan.of((name, single)), target_dir
            extra = "keep"  # a single file says nothing of its neighbours
        else:
            assert entries is not None
            plan = plan_tree(entries, prefix, source)
            if not choice.is_everything:
                files = plan.files.where(map(choice.takes, plan.files.paths))
                above = {above for path in files.paths for above in directories_above(path)}
                plan = FetchPlan(tuple(one for one in plan.directories if one in above), files)
        recorded: dict[str, Entry] = {}
        if links == "record":
            from .fetch.restore_links import restore, split

            plan, recorded = split(plan)
        progress = Progress(log, "fetching", terminal=terminal)
        skipped, kept = _bring_what_changed(
            store,
            plan,
            recorded,
            os.fspath(root),
            str(source),
            changed,
            extra,
            choice,
            verifier,
            rate_limit,
            progress,
            stop,
            log,
            share,
            head_starts[0] if head_starts else None,
        )
    landed = root / name if single is not None else root
    report = _report(landed, progress.files, progress, skipped, kept, store.revision)
    if choice.tell is not None:
        return report
    name_unverified(stores.verify, progress, log)
    if recorded:
        refused = restore(store, recorded, os.fspath(root), retry=retry, beat=watch)
        for link, reason in refused:
            log.warning("left out", name=link, reason=reason)
        report = replace(report, left_out=(*report.left_out, *refused))
    return said(report, "fetched", source, log)


class _Unpacking(NamedTuple):
    """What was said of an archive's content, as of a tree."""

    direct: bool
    changed: Changed
    extra: Extra


def _unpack(
    stores: Stores,
    store: Store,
    source: Location,
    single: Entry,
    target_dir: Path,
    verifier: Verifier,
    rate_limit: RateLimit,
    how: _Unpacking,
    terminal: TextIO | None,
    stop: StopRequest,
    log: Log,
) -> Report:
    from .fetch.unpack import land, unpack_object

    with Progress(log, "fetching", terminal=terminal) as progress:
        way = unpack_object(
            store,
            source,
            single,
            verifier=verifier,
            rate_limit=rate_limit,
            progress=progress,
            stop=stop,
            log=log,
        )
        unpacked = land(source, single, target_dir, way, **how._asdict(), log=log)
    report = _report(unpacked.root, unpacked.files, progress, unpacked.skipped, unpacked.kept, store.revision)
    name_unverified(stores.verify, progress, log)
    return said(report, "fetched", source, log)


def _is_new(root: Path) -> bool:
    """Whether there is nothing to compare with."""
    try:
        return not os.path.lexists(root) or not os.listdir(root)
    except OSError:  # a file, say, of which the fetch will have words
        return False


def _report(
    root: Path, files: int, progress: Progress, skipped: int, kept: Sequence[str], revision: str = ""
) -> Report:
    left_out = tuple((path, "changed here since it was fetched, and kept") for path in kept)
    return Report(
        str(root),
        files,
        progress.bytes,
        skipped,
        progress.seconds,
        (),
        left_out,
        revision,
        verified=dict(progress.verified),
    )


def _listed(share: Share | None, source: Location, listing: Callable[[], Entries]) -> Entries:
    if share is None:
        return listing()
    from .fetch.shared import listed_once  # which a node alone need not load

    return listed_once(share, str(source), listing)


def _bring_what_changed(
    store: Store,
    plan: FetchPlan,
    links: Collection[str],
    root: str,
    source: str,
    changed: Changed,
    extra: Extra,
    choice: Choice,
    verifier: Verifier,
    rate_limit: RateLimit,
    progress: Progress,
    stop: StopRequest,
    log: Log,
    share: Share | None,
    head_start: HeadStart | None,
) -> tuple[int, list[str]]:
    """Bring what is not here yet as it is there; returns how many files were, and those that somebody changed here.

    Where files that the source does not have are deleted, ``links`` are spared.
    """
    from .fetch.download import bring_all

    if head_start is not None:
        head_start.settle()
    early = head_start.partials if head_start is not None else []
    way = None
    if share is not None:
        from .fetch.shared import bring_shared  # which a node alone need not load

        way = partial(bring_shared, share, source)
    if choice.tell is not None:
        known = FetchIndex(root, source) if os.path.isdir(root) else FetchIndex.nowhere()
        standing = known.stand(plan.files)
        known.close(False)
        choice.rehearse((path, entry.size) for path, entry in standing.wanted(changed))
        return standing.same, list(standing.changed.paths) if changed == "keep" else []
    with local_trouble(root):
        index = FetchIndex(root, source)
        complete = False
        try:
            standing = index.stand(plan.files)
            touched = list(standing.changed.paths)
            if touched:
                log.warning("changed here since the last fetch", files=len(touched), first=touched[0], now=changed)
            needed = FetchPlan(plan.directories, standing.wanted(changed))
            check_room(needed, root, early)
            if not index.finished:
                sweep(root, ("", *plan.directories), unfinished_names(needed.files, root).union(early))
            if len(needed.files):
                index.begin()
            progress.expect(len(needed.files), needed.bytes)
            land = partial(head_start.land, index=index, progress=progress) if head_start is not None else None
            with progress:
                bring_all(
                    store,
                    needed,
                    root,
                    index,
                    rate_limit=rate_limit,
                    progress=progress,
                    stop=stop,
                    way=way,
                    verifier=verifier,
                    land=land,
                )
            if extra == "delete":
                removed = remove_extra(root, Hashes(chain(links, plan.files.paths)), set(plan.directories))
                log.info("removed what the source does not have", files=removed)
            complete = True
        finally:
            index.close(complete)
    return standing.same, touched if changed == "keep" else []


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
    direct: bool,
    unpack: bool,
    rename: str,
    changed: Changed,
    extra: Extra,
    choice: Choice,
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
    if os.path.isfile(place) and unpack and _is_archive(place.name):
        from .fetch.unpack import land, unpack_file

        entry = Entry(os.fspath(place), found.st_size, f"{found.st_mtime_ns:x}")
        way = unpack_file(place, source, entry, stop=stop, log=log)
        with Progress(log, "unpacking", terminal=terminal) as progress:
            tree = land(source, entry, target_dir, way, direct=direct, changed=changed, extra=extra, log=log)
            progress.add(entry.size if tree.files else 0)
        return _report(tree.root, tree.files, progress, tree.skipped, tree.kept)
    if not (place.is_dir() or place.is_file()):
        raise PathUnusable("neither a file nor a directory", where=str(place))
    root = target_dir if direct and place.is_dir() else target_dir / (rename or place.name)
    if root.exists() and os.path.samefile(place, root):
        log.info("already in place", path=str(root))
        return Report(str(root), skipped=1)
    with Progress(log, "copying", terminal=terminal) as progress:
        unchanged, left_out = copy_tree(place, root, extra=extra, choice=choice, progress=progress, stop=stop)
    report = Report(str(root), progress.files, progress.bytes, unchanged, progress.seconds, (), tuple(left_out))
    if choice.tell is not None:
        return report
    return said(report, "copied", source, log)


def _is_archive(name: str) -> bool:
    from .fetch import archive  # most code is a directory

    return bool(archive.stem(name))


def _no_such_path(place: Path) -> NothingThere:
    from .local.store import FileStore

    return nothing_there(FileStore(Path("/")), Location("file", os.fspath(place).lstrip("/")))
