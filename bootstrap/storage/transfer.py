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
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from bootstrap.errors import BootstrapError, NothingThere, PathUnusable, UsageError
from bootstrap.job import Log, StopRequest
from bootstrap.storage import archive
from bootstrap.storage.largefile import unfinished_names
from bootstrap.storage.local import explain, local_trouble, readable, sweep
from bootstrap.storage.localcopy import copy_tree
from bootstrap.storage.manifest import Changed, Extra, Manifest, remove_extra
from bootstrap.storage.open import Stores
from bootstrap.storage.outage import Outlast
from bootstrap.storage.pace import Pace
from bootstrap.storage.plan import Plan, check_name, check_room, nothing_there, plan_tree
from bootstrap.storage.progress import Progress
from bootstrap.storage.store import Entry, Store
from bootstrap.storage.tree import Links
from bootstrap.storage.url import Location
from bootstrap.storage.workers import TransferStopped, aside

__all__ = ["Report", "TransferStopped", "deliver", "fetch", "relay"]


@dataclass(frozen=True, slots=True)
class Report:
    """What a transfer did. ``bytes`` and ``seconds`` are of what moved; ``skipped`` files did not have to.

    ``root`` is where it landed: a directory, or the file that a single object became. ``failed`` pairs names with
    reasons and is never empty when something is missing; ``left_out`` is what was not meant to go (a named pipe, a
    link that leads out of the tree), with reasons.
    """

    root: str
    files: int = 0
    bytes: int = 0
    skipped: int = 0
    seconds: float = 0.0
    failed: tuple[tuple[str, str], ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()

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
    links: Links = "follow",
    nodes: int = 1,
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

    Files appear under their names only when they are whole and verified (size, and MD5 where the ETag is one).
    Scripts that begin with ``#!`` become executable. What an earlier fetch brought and nobody changed since is not
    brought again. Files that were ``changed`` here are restored to what the source has, or kept while the source has
    not changed too; ``extra`` files of a tree that the source does not have are kept or deleted.

    With ``links`` as "record", symbolic links are made of what a delivery with the same word has recorded.

    ``nodes`` is how many machines fetch this at the same moment: their beginnings are spread over a few seconds, and
    their requests share what a bucket can take. ``terminal`` is where to draw a progress bar instead of logging lines.

    Raises :class:`NothingThere`, :class:`NamesUnsafe`, :class:`DiskFull`, :class:`PathUnusable`,
    :class:`ArchiveInvalid`, :class:`SourceChanging`, :class:`UsageError` for a directory without ``tree``, the store's
    own refusals, and :class:`TransferStopped` within a second of ``stop``.
    """
    if not source.is_remote:
        return _fetch_local(source, target_dir, direct, unpack, rename, changed, extra, terminal, stop, log)
    pace = Pace(nodes)
    pace.begin(stop)

    def watch() -> None:
        if stop.is_set():
            raise TransferStopped

    store = stores.open(source)
    outlast = Outlast(store.patience, stop, pace=pace, say=Progress(log, "fetching").trouble)
    single = None if source.is_directory else aside(lambda: outlast(lambda: store.stat(source.path)), watch)
    if single is not None and unpack and archive.stem(source.name):
        from bootstrap.storage.packed import land, unpack_object

        with Progress(log, "fetching", terminal=terminal) as progress:
            way = unpack_object(store, source, single, pace=pace, progress=progress, stop=stop, log=log)
            unpacked = land(source, single, target_dir, way, direct=direct, changed=changed, extra=extra, log=log)
        report = _report(unpacked.root, unpacked.files, progress, unpacked.skipped, unpacked.kept)
        return _said(report, "fetched", source, log)
    if single is not None:
        name = rename or source.name
        check_name(name, source)
        plan, root = Plan((), ((name, single),)), target_dir
        extra = "keep"  # a single file says nothing of its neighbours
    elif not tree:
        raise aside(lambda: outlast(lambda: _no_object(store, source)), watch)
    else:
        prefix = source.as_directory().path if source.path else ""
        entries = aside(lambda: outlast(lambda: list(store.entries(prefix))), watch)
        if not entries:
            raise aside(lambda: outlast(lambda: nothing_there(store, source)), watch)
        plan = plan_tree(entries, prefix, source)
        root = target_dir if direct else target_dir / source.name
    recorded: dict[str, Entry] = {}
    if links == "record":
        from bootstrap.storage.links import restore, split

        plan, recorded = split(plan)
    progress = Progress(log, "fetching", terminal=terminal)
    skipped, kept = _bring_what_changed(
        store, plan, recorded, os.fspath(root), str(source), changed, extra, pace, progress, stop, log
    )
    landed = root / name if single is not None else root
    report = _report(landed, progress.files, progress, skipped, kept)
    if recorded:
        refused = restore(store, recorded, os.fspath(root), outlast=outlast, beat=watch)
        for link, reason in refused:
            log.warning("left out", name=link, reason=reason)
        report = replace(report, left_out=(*report.left_out, *refused))
    return _said(report, "fetched", source, log)


def _report(root: Path, files: int, progress: Progress, skipped: int, kept: Sequence[str]) -> Report:
    left_out = tuple((path, "changed here since it was fetched, and kept") for path in kept)
    return Report(str(root), files, progress.bytes, skipped, progress.seconds, (), left_out)


def _bring_what_changed(
    store: Store,
    plan: Plan,
    links: Collection[str],
    root: str,
    source: str,
    changed: Changed,
    extra: Extra,
    pace: Pace,
    progress: Progress,
    stop: StopRequest,
    log: Log,
) -> tuple[int, list[str]]:
    """Bring what is not here yet as it is there; returns how many files were, and those that somebody changed here.

    Where files that the source does not have are deleted, ``links`` are spared.
    """
    from bootstrap.storage.download import bring_all

    with local_trouble(root):
        manifest = Manifest(root, source)
        complete = False
        try:
            standing = manifest.stand(plan.files)
            touched = [path for path, _ in standing.changed]
            if touched:
                log.warning("changed here since the last fetch", files=len(touched), first=touched[0], now=changed)
            wanted = standing.missing + (standing.changed if changed == "restore" else [])
            needed = Plan(plan.directories, tuple(wanted))
            check_room(needed, root)
            if not manifest.finished:
                sweep(root, ("", *plan.directories), unfinished_names(needed.files, root))
            if needed.files:
                manifest.begin()
            progress.expect(len(needed.files), needed.bytes)
            with progress:
                bring_all(store, needed, root, manifest, pace=pace, progress=progress, stop=stop)
            if extra == "delete":
                removed = remove_extra(root, {*links, *(path for path, _ in plan.files)}, set(plan.directories))
                log.info("removed what the source does not have", files=removed)
            complete = True
        finally:
            manifest.close(complete)
    return standing.same, touched if changed == "keep" else []


def deliver(
    stores: Stores,
    source: Path,
    target: Location,
    *,
    links: Links = "follow",
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
    from bootstrap.storage.upload import send_all

    store = stores.open(target)
    with Progress(log, "delivering", terminal=terminal) as progress:
        failed, left_out = send_all(store, source, target, links=links, progress=progress, stop=stop, deadline=deadline)
    for name, reason in left_out:
        log.warning("left out", name=name, reason=reason)
    report = Report(str(target), progress.files, progress.bytes, 0, progress.seconds, tuple(failed), tuple(left_out))
    return _said(report, "delivered", target, log)


def relay(
    stores: Stores,
    source: Location,
    target: Location,
    *,
    tree: bool = True,
    terminal: TextIO | None = None,
    stop: StopRequest,
    log: Log,
) -> Report:
    """Copy an object, or (with ``tree``) the content of a tree, from one bucket to another (or within one).

    A single object goes to ``<target>/<its name>`` when ``target`` is written as a directory, else to ``target``.
    What single objects kept from arriving is in ``failed``; what concerns them all is raised, also
    :class:`NothingThere` and :class:`TransferStopped`.
    """
    from bootstrap.storage.relay import relay_all

    origin, goal = stores.open(source), stores.open(target)
    progress = Progress(log, "copying", terminal=terminal)
    outlast = Outlast(origin.patience, stop, say=progress.trouble)
    single = None if source.is_directory else outlast(lambda: origin.stat(source.path))
    if single is not None:
        key = target.child(source.name).path if target.is_directory else target.path
        files = [(key, single)]
    elif not tree:
        raise outlast(lambda: _no_object(origin, source))
    else:
        prefix = source.as_directory().path if source.path else ""
        base = target.as_directory().path if target.path else ""
        files = [(base + entry.key[len(prefix) :], entry) for entry in outlast(lambda: list(origin.entries(prefix)))]
        if not files:
            raise outlast(lambda: nothing_there(origin, source))
    progress.expect(len(files), sum(entry.size for _, entry in files))
    with progress:
        failed = relay_all(origin, files, goal, name=f"{source} {target}", progress=progress, stop=stop)
    report = Report(str(target), progress.files, progress.bytes, 0, progress.seconds, tuple(failed))
    return _said(report, "copied", source, log)


def _fetch_local(
    source: Location,
    target_dir: Path,
    direct: bool,
    unpack: bool,
    rename: str,
    changed: Changed,
    extra: Extra,
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
    if os.path.isfile(place) and unpack and archive.stem(place.name):
        from bootstrap.storage.packed import land, unpack_file

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
        unchanged, left_out = copy_tree(place, root, extra=extra, progress=progress, stop=stop)
    report = Report(str(root), progress.files, progress.bytes, unchanged, progress.seconds, (), tuple(left_out))
    return _said(report, "copied", source, log)


def _no_object(store: Store, source: Location) -> BootstrapError:
    """Why there is no single object ``source``: it is a directory, or nothing at all."""
    if store.children(source.as_directory().path):
        return UsageError("the source is a directory", where=str(source), remedy="add -r")
    return nothing_there(store, source)


def _no_such_path(place: Path) -> NothingThere:
    from bootstrap.storage.filesystem import FileStore

    return nothing_there(FileStore(Path("/")), Location("file", os.fspath(place).lstrip("/")))


def _said(report: Report, verb: str, place: Location, log: Log) -> Report:
    rate = f"{report.bytes / 1e6 / report.seconds:.1f} MB/s" if report.seconds > 0 else ""
    log.info(
        verb,
        **{"from" if verb != "delivered" else "to": str(place)},
        files=report.files,
        size=readable(report.bytes),
        seconds=round(report.seconds, 2),
        rate=rate,
        **({"unchanged": report.skipped} if report.skipped else {}),
        **({"failed": len(report.failed)} if report.failed else {}),
    )
    return report
