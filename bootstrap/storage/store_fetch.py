"""A fetch from a store, step by step: look at the source, plan, bring what is not here yet, say what was done.

What only some sources need is imported where they turn out to be such: archives, links, what nodes share.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from ..ground.abandonable import watched
from ..job import Log, StopRequest
from ..values import replace
from .common.file_errors import local_trouble
from .common.hashes import Hashes
from .common.progress import Progress
from .common.rate_limit import RateLimit
from .common.retry import Retry
from .common.workers import TransferStopped
from .fetch import archive
from .fetch.index import Extra, FetchIndex, remove_extra
from .fetch.large_file import unfinished_names
from .fetch.plan import FetchPlan, check_name, check_room, directories_above, no_object, nothing_there, plan_tree
from .fetch.verification.verifier import Verifier
from .fetch_options import FetchOptions
from .local.staging import sweep
from .look_ahead import LookAhead
from .model.listing import Entries
from .model.share import Share
from .model.store import Entry
from .model.url import Location
from .open import Stores
from .report import Report, fetched, name_unverified, said

if TYPE_CHECKING:
    from .fetch.head_start import HeadStart


class _Planned(NamedTuple):
    """Files below ``root``, and symbolic ``links`` to be made there; ``landed`` is what the report names."""

    plan: FetchPlan
    root: Path
    landed: Path
    extra: Extra
    links: dict[str, Entry]


class StoreFetch:
    """One fetch of ``source``."""

    def __init__(
        self,
        stores: Stores,
        source: Location,
        target_dir: Path,
        options: FetchOptions,
        *,
        rate_limit: RateLimit,
        share: Share | None,
        terminal: TextIO | None,
        stop: StopRequest,
        log: Log,
    ) -> None:
        self._source, self._target_dir, self._options, self._share = source, target_dir, options, share
        self._rate_limit, self._terminal, self._stop, self._log = rate_limit, terminal, stop, log
        self._store, self._verify = stores.open(source), stores.verify
        self._verifier = Verifier(self._store, stores.verify)
        say = Progress(log, "fetching").trouble
        self._retry = Retry(self._store.retry_window, stop, rate_limit=rate_limit, say=say)
        self._root = target_dir if options.direct else target_dir / source.name

    def run(self, look: LookAhead | None) -> Report:
        """``look``: at the source, where one was begun before."""
        if look is None:
            tree = self._options.tree and self._share is None  # who shares it has one node list it
            look = LookAhead(lambda: (self._store, self._retry), self._source, tree=tree)
        with self._head_start(look) as head_start:
            single, entries = look.found(self._watch)
            if single is not None and self._options.unpack and archive.stem(self._source.name):
                return self._unpacked(single)
            planned = self._planned(single, entries)
            progress = Progress(self._log, "fetching", terminal=self._terminal)
            skipped, kept = self._bring(planned, progress, head_start)
        report = fetched(planned.landed, progress.files, progress, skipped, kept, self._store.revision)
        if self._options.choice.tell is not None:
            return report
        name_unverified(self._verify, progress, self._log, self._verifier.lacking)
        if planned.links:
            report = self._with_links(report, planned)
        return said(report, "fetched", self._source, self._log)

    def _watch(self) -> None:
        if self._stop.is_set():
            raise TransferStopped

    def _head_start(self, look: LookAhead) -> HeadStart | nullcontext[None]:
        """For a listing that turns out to be long; not where what is brought depends on more than the listing."""
        options = self._options
        plain = self._share is None and options.choice.is_everything and options.links == "follow"
        if not plain or not _is_new(self._root):
            return nullcontext()
        from .fetch.head_start import HeadStart

        head_start = HeadStart(
            self._store, os.fspath(self._root), self._verifier, self._rate_limit, self._stop, self._log
        )
        look.seen = head_start.seen
        return head_start

    def _planned(self, single: Entry | None, entries: Entries | None) -> _Planned:
        """Raises :class:`NothingThere`, :class:`NamesUnsafe`, and :class:`UsageError` for a tree that is not wanted."""
        source, options = self._source, self._options
        prefix = source.as_directory().path if source.path else ""
        if single is None:
            if not options.tree:
                raise watched(lambda: self._retry(lambda: no_object(self._store, source)), self._watch)
            if entries is None:
                entries = watched(lambda: self._listed(prefix), self._watch)
            if not len(entries):
                raise watched(lambda: self._retry(lambda: nothing_there(self._store, source)), self._watch)
            if len(entries) == 1 and entries.keys[0] == prefix and entries.sizes[0]:
                single = entries[0]  # its name ends in a slash, and it is an object like any other
        if single is not None:
            name = options.rename or source.name
            check_name(name, source)
            plan, root, landed = FetchPlan.of((name, single)), self._target_dir, self._target_dir / name
        else:
            assert entries is not None
            plan, root, landed = plan_tree(entries, prefix, source), self._root, self._root
            if not options.choice.is_everything:
                plan = _chosen(plan, options)
        links: dict[str, Entry] = {}
        if options.links == "record":
            from .fetch.restore_links import split

            plan, links = split(plan)
        extra = options.extra if single is None else "keep"  # a single file says nothing of its neighbours
        return _Planned(plan, root, landed, extra, links)

    def _listed(self, prefix: str) -> Entries:
        listing = partial(self._retry, lambda: Entries.of(self._store.entries(prefix)))
        if self._share is None:
            return listing()
        from .fetch.shared import listed_once  # which a node alone need not load

        return listed_once(self._share, str(self._source), listing)

    def _bring(self, planned: _Planned, progress: Progress, head_start: HeadStart | None) -> tuple[int, list[str]]:
        """Bring what is not here yet as it is there; returns how many files were, and those that somebody changed here
        and that are kept.
        """
        plan, root, changed = planned.plan, os.fspath(planned.root), self._options.changed
        if head_start is not None:
            head_start.settle()
        early = head_start.partials if head_start is not None else []
        if self._options.choice.tell is not None:
            return self._rehearse(plan, root)
        with local_trouble(root):
            index = FetchIndex(root, str(self._source))
            complete = False
            try:
                standing = index.stand(plan.files)
                touched = list(standing.changed.paths)
                if touched:
                    self._log.warning(
                        "changed here since the last fetch", files=len(touched), first=touched[0], now=changed
                    )
                needed = FetchPlan(plan.directories, standing.wanted(changed))
                check_room(needed, root, early)
                if not index.finished:
                    sweep(root, ("", *plan.directories), unfinished_names(needed.files, root).union(early))
                if len(needed.files):
                    index.begin()
                progress.expect(len(needed.files), needed.bytes)
                with progress:
                    self._download(needed, root, index, progress, head_start)
                if planned.extra == "delete":
                    kept = Hashes(chain(planned.links, plan.files.paths))
                    removed = remove_extra(root, kept, set(plan.directories))
                    self._log.info("removed what the source does not have", files=removed)
                complete = True
            finally:
                index.close(complete)
        return standing.same, touched if changed == "keep" else []

    def _rehearse(self, plan: FetchPlan, root: str) -> tuple[int, list[str]]:
        """As :meth:`_bring` would, for who only wants to be told."""
        known = FetchIndex(root, str(self._source)) if os.path.isdir(root) else FetchIndex.nowhere()
        standing = known.stand(plan.files)
        known.close(False)
        changed = self._options.changed
        self._options.choice.rehearse((path, entry.size) for path, entry in standing.wanted(changed))
        return standing.same, list(standing.changed.paths) if changed == "keep" else []

    def _download(
        self, needed: FetchPlan, root: str, index: FetchIndex, progress: Progress, head_start: HeadStart | None
    ) -> None:
        from .fetch.download import bring_all

        way = None
        if self._share is not None:
            from .fetch.shared import bring_shared  # which a node alone need not load

            way = partial(bring_shared, self._share, str(self._source))
        bring_all(
            self._store,
            needed,
            root,
            index,
            rate_limit=self._rate_limit,
            progress=progress,
            stop=self._stop,
            way=way,
            verifier=self._verifier,
            land=partial(head_start.land, index=index, progress=progress) if head_start is not None else None,
        )

    def _with_links(self, report: Report, planned: _Planned) -> Report:
        """The recorded links made, once what they lead to is there."""
        from .fetch.restore_links import restore

        root = os.fspath(planned.root)
        refused = restore(self._store, planned.links, root, retry=self._retry, beat=self._watch)
        for link, reason in refused:
            self._log.warning("left out", name=link, reason=reason)
        return replace(report, left_out=(*report.left_out, *refused))

    def _unpacked(self, single: Entry) -> Report:
        """The archive that the source is, as the tree that it holds."""
        from .fetch.unpack import land, unpack_object

        options, source = self._options, self._source
        with Progress(self._log, "fetching", terminal=self._terminal) as progress:
            way = unpack_object(
                self._store,
                source,
                single,
                verifier=self._verifier,
                rate_limit=self._rate_limit,
                progress=progress,
                stop=self._stop,
                log=self._log,
            )
            tree = land(
                source,
                single,
                self._target_dir,
                way,
                direct=options.direct,
                changed=options.changed,
                extra=options.extra,
                log=self._log,
            )
        report = fetched(tree.root, tree.files, progress, tree.skipped, tree.kept, self._store.revision)
        name_unverified(self._verify, progress, self._log, self._verifier.lacking)
        return said(report, "fetched", source, self._log)


def _chosen(plan: FetchPlan, options: FetchOptions) -> FetchPlan:
    files = plan.files.where(map(options.choice.takes, plan.files.paths))
    above = {above for path in files.paths for above in directories_above(path)}
    return FetchPlan(tuple(one for one in plan.directories if one in above), files)


def _is_new(root: Path) -> bool:
    """Whether there is nothing to compare with."""
    try:
        return not os.path.lexists(root) or not os.listdir(root)
    except OSError:  # a file, say, of which the fetch will have words
        return False
