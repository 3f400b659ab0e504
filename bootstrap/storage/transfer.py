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
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ..errors import BootstrapError, NothingThere, PathUnusable, UsageError
from ..ground.abandonable import watched
from ..job import Log, StopRequest
from ..values import dataclass, field, replace
from .common.choice import EVERYTHING, Choice
from .common.file_errors import explain, local_trouble
from .common.hashes import Hashes
from .common.progress import Progress
from .common.rate_limit import RateLimit
from .common.recorded_links import LinkPolicy
from .common.retry import Retry
from .common.units import readable
from .common.workers import TransferStopped
from .fetch.copy_tree import copy_tree
from .fetch.files import Files
from .fetch.index import Changed, Extra, FetchIndex, remove_extra
from .fetch.large_file import unfinished_names
from .fetch.plan import FetchPlan, check_name, check_room, directories_above, nothing_there, plan_tree
from .local.staging import sweep
from .model.listing import Entries
from .model.share import Share
from .model.store import Entry, Store
from .model.url import Location
from .open import Stores
from .schemes import is_shared

if TYPE_CHECKING:
    from .fetch.verification.verifier import Verifier

__all__ = ["Report", "TransferStopped", "deliver", "fetch", "relay"]


@dataclass(frozen=True, slots=True)
class Report:
    """What a transfer did. ``bytes`` and ``seconds`` are of what moved; ``skipped`` files did not have to.

    ``root`` is where it landed: a directory, or the file that a single object became. ``failed`` pairs names with
    reasons and is never empty when something is missing; ``left_out`` is what was not meant to go (a named pipe, a
    link that leads out of the tree), with reasons. ``revision`` is what a source's URL meant: a commit. ``verified``:
    by what objects were verified that moved, and how many: "md5", "md5 of parts", "size".
    """

    root: str
    files: int = 0
    bytes: int = 0
    skipped: int = 0
    seconds: float = 0.0
    failed: tuple[tuple[str, str], ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    revision: str = ""
    verified: Mapping[str, int] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return not self.failed


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
    ``choice`` is of the files of a tree. ``terminal`` is where to draw a progress bar instead of logging lines.

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
    from .fetch.verification.verifier import Verifier  # which a tree of this machine need not load

    verifier = Verifier(store, stores.verify)
    retry = Retry(store.retry_window, stop, rate_limit=rate_limit, say=Progress(log, "fetching").trouble)
    single = watched(lambda: retry(lambda: _single(store, source)), watch)
    if single is not None and unpack and _is_archive(source.name):
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
            unpacked = land(source, single, target_dir, way, direct=direct, changed=changed, extra=extra, log=log)
        report = _report(unpacked.root, unpacked.files, progress, unpacked.skipped, unpacked.kept, store.revision)
        _name_unverified(stores, progress, log)
        return _said(report, "fetched", source, log)
    if single is None:
        if not tree:
            raise watched(lambda: retry(lambda: _no_object(store, source)), watch)
        prefix = source.as_directory().path if source.path else ""
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
        plan = plan_tree(entries, prefix, source)
        if not choice.is_everything:
            files = plan.files.where(map(choice.takes, plan.files.paths))
            above = {above for path in files.paths for above in directories_above(path)}
            plan = FetchPlan(tuple(one for one in plan.directories if one in above), files)
        root = target_dir if direct else target_dir / source.name
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
    )
    landed = root / name if single is not None else root
    report = _report(landed, progress.files, progress, skipped, kept, store.revision)
    if choice.tell is not None:
        return report
    _name_unverified(stores, progress, log)
    if recorded:
        refused = restore(store, recorded, os.fspath(root), retry=retry, beat=watch)
        for link, reason in refused:
            log.warning("left out", name=link, reason=reason)
        report = replace(report, left_out=(*report.left_out, *refused))
    return _said(report, "fetched", source, log)


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


def _name_unverified(stores: Stores, progress: Progress, log: Log) -> None:
    """Where all was to be verified that can be."""
    if stores.verify == "always" and progress.by_size:
        count, first = progress.verified["size"], progress.by_size[0]
        log.warning(
            "verified by their size only: the store tells no more that we can compute", files=count, first=first
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
) -> tuple[int, list[str]]:
    """Bring what is not here yet as it is there; returns how many files were, and those that somebody changed here.

    Where files that the source does not have are deleted, ``links`` are spared.
    """
    from .fetch.download import bring_all

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
            check_room(needed, root)
            if not index.finished:
                sweep(root, ("", *plan.directories), unfinished_names(needed.files, root))
            if len(needed.files):
                index.begin()
            progress.expect(len(needed.files), needed.bytes)
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
    return _said(report, "delivered", target, log)


def relay(
    stores: Stores,
    source: Location,
    target: Location,
    *,
    tree: bool = True,
    choice: Choice = EVERYTHING,
    terminal: TextIO | None = None,
    stop: StopRequest,
    log: Log,
) -> Report:
    """Copy an object, or (with ``tree``) the content of a tree, from one bucket to another (or within one).

    A single object goes to ``<target>/<its name>`` when ``target`` is written as a directory, else to ``target``.
    What single objects kept from arriving is in ``failed``; what concerns them all is raised, also
    :class:`NothingThere` and :class:`TransferStopped`.
    """
    from .relay import relay_all

    origin, goal = stores.open(source), stores.open(target)
    progress = Progress(log, "copying", terminal=terminal)
    retry = Retry(origin.retry_window, stop, say=progress.trouble)
    single = retry(lambda: _single(origin, source))
    if single is not None:
        key = target.child(source.name).path if target.is_directory else target.path
        files = Files.of(((key, single),))
    elif not tree:
        raise retry(lambda: _no_object(origin, source))
    else:
        prefix = source.as_directory().path if source.path else ""
        base = target.as_directory().path if target.path else ""
        listing = retry(lambda: Entries.of(origin.entries(prefix)))
        if not len(listing):
            raise retry(lambda: nothing_there(origin, source))
        files = Files(listing, len(prefix), range(len(listing)), {}, base)
        if not choice.is_everything:
            files = files.where(choice.takes(key[len(base) :]) for key in files.paths)
    if choice.rehearse((key, entry.size) for key, entry in files):
        return Report(str(target))
    progress.expect(len(files), sum(files.sizes))
    with progress:
        from .fetch.verification.verifier import Verifier

        verifier = Verifier(origin, stores.verify)
        failed = relay_all(
            origin, files, goal, name=f"{source} {target}", verifier=verifier, progress=progress, stop=stop
        )
    _name_unverified(stores, progress, log)
    moved = progress.files, progress.bytes, 0, progress.seconds
    report = Report(str(target), *moved, tuple(failed), verified=dict(progress.verified))
    return _said(report, "copied", source, log)


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
    return _said(report, "copied", source, log)


def _is_archive(name: str) -> bool:
    from .fetch import archive  # most code is a directory

    return bool(archive.stem(name))


def _single(store: Store, source: Location) -> Entry | None:
    """The one object that ``source`` is, if it is one.

    An object of no bytes beside keys below it is a directory's marker that was made without a slash.
    """
    if source.is_directory:
        return None
    entry = store.stat(source.path)
    if entry is not None and not entry.size and store.children(source.as_directory().path):
        return None
    return entry


def _no_object(store: Store, source: Location) -> BootstrapError:
    """Why there is no single object ``source``: it is a directory, or nothing at all."""
    if store.children(source.as_directory().path):
        return UsageError("the source is a directory", where=str(source), remedy="add -r")
    return nothing_there(store, source)


def _no_such_path(place: Path) -> NothingThere:
    from .local.store import FileStore

    return nothing_there(FileStore(Path("/")), Location("file", os.fspath(place).lstrip("/")))


def _said(report: Report, verb: str, place: Location, log: Log) -> Report:
    """One line about what was done; "delivered" and its kin are said of what is complete only."""
    rate = f"{report.bytes / 1e6 / report.seconds:.1f} MB/s" if report.seconds > 0 else ""
    facts: dict[str, object] = {
        "to" if verb == "delivered" else "from": str(place),
        "files": report.files,
        "size": readable(report.bytes),
        "seconds": round(report.seconds, 2),
        "rate": rate,
        **({"unchanged": report.skipped} if report.skipped else {}),
        **({"revision": report.revision} if report.revision else {}),
    }
    if report.complete:
        log.info(verb, **facts)
    else:
        log.warning(f"not everything was {verb}", **facts, failed=len(report.failed))
    return report
