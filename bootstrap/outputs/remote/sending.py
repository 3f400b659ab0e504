"""Files to their keys, each with its digest, and what is known to be there: nothing is sent twice without need."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ...errors import NothingThere
from ...job import Log, StopRequest
from ...storage.common.file_errors import explain
from ...storage.common.progress import Progress
from ...storage.common.sparse import pieces, stretches
from ...storage.common.workers import TransferStopped
from ...storage.upload.journal import UploadJournal
from ...storage.upload.send import USUAL, PartSizes, send_items
from ...storage.upload.walk import Item, Named
from ...values import dataclass, field, replace
from ..local.scan import Signature, is_sparse, signature, signature_of
from ..local.snapshot import Snapshots
from .fence import Watchful
from .manifest import File
from .target import Target

_CHUNK = 1 << 20
_BATCH = 256 << 20
"""Bytes that are read for their digests before they are sent: what the page cache will still have then."""

CHANGED = "changed while it was sent"

State = Signature | bytes
"""What tells that a file has not changed: its signature, or the content of a recorded link."""


def state(item: Item) -> State:
    return signature(item) or item.content


class _Read(NamedTuple):
    """A file that was read for its digest, and its key. ``source``: where it is to be read again."""

    item: Item
    key: str
    digest: str
    data: tuple[tuple[int, int], ...] | None
    source: Path | None


class Known(NamedTuple):
    """A file that is in the store: how it was here when it was sent, and how it is there."""

    state: State
    file: File


@dataclass
class Sender:
    """Sends files of the directory ``root`` to ``target``."""

    target: Target
    root: Path
    log: Log
    throttle: Watchful
    in_place: bool = False
    """The directory is the target: everything is where it is to be."""

    sent: int = 0
    """Bytes that went over the network (or to the directory), those that went in vain included."""

    copied: int = 0
    """Bytes that the store copied within itself."""

    rate: float = 0.0
    """Bytes a second, as it was lately; 0 before anything was sent."""

    others: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """Keys that other nodes have written in this attempt: which node, and the SHA-256."""

    aside: str = ""
    """Before the key of a file whose name another node has taken."""

    _restless: set[str] = field(default_factory=set)  # names of what changed while it was sent: it is copied first

    _there: dict[Signature, str] = field(default_factory=dict)  # keys of what is there, by what it is here
    _states: dict[str, Signature] = field(default_factory=dict)  # the other way round

    def remember(self, known: Known) -> None:
        self.forget([known.file.key])
        if isinstance(known.state, tuple) and known.file.size:
            self._there[known.state] = known.file.key
            self._states[known.file.key] = known.state

    def forget(self, keys: Iterable[str]) -> None:
        """These keys hold something else by now, or nothing."""
        for key in keys:
            was = self._states.pop(key, None)
            if was is not None and self._there.get(was) == key:
                del self._there[was]

    def send(
        self,
        wanted: Sequence[tuple[Item, str]],
        *,
        stop: StopRequest,
        deadline: float | None = None,
        parts: PartSizes = USUAL,
        quiet: bool = False,
    ) -> tuple[dict[str, Known], Named]:
        """Put each item at its key (relative to the target's URL).

        Returns what is there now by its name here, and what is not, with reasons. A file that changed meanwhile is not
        there. Raises what concerns all files alike; what was sent until then is remembered.
        """
        done: dict[str, Known] = {}
        failed: Named = []
        batch: list[_Read] = []
        twice: list[_Read] = []  # the same file as one of the batch, by another name
        going: set[Signature | None] = set()
        size = 0
        with Snapshots() as snapshots:

            def put(batch: list[_Read]) -> None:
                self._send(batch, done, failed, stop, deadline, parts, quiet)

            for item, key in wanted:
                if stop.is_set():
                    raise TransferStopped
                one = self._read(item, key, snapshots, failed, stop)
                if one is None:
                    continue
                if self.in_place and key == self._own_key(item):
                    done[item.name] = self._known(one)
                    continue
                node, taken = self.others.get(key, (0, ""))
                if taken == one.digest:
                    done[item.name] = self._known(one)
                    continue
                if taken:
                    key = self.aside + item.name
                    self.log.warning(f"{item.name} is another file on node {node}: ours goes to {key}")
                    one = one._replace(key=key)
                same = self._there.get(signature(item) or (0, 0, 0, 0))
                if same is not None and same != key and self._copy(item, same, key):
                    done[item.name] = self._known(one)
                    continue
                if signature(item) in going:
                    twice.append(one)
                    continue
                if item.size:
                    going.add(signature(item))
                batch.append(one)
                size += item.size
                if size >= _BATCH:
                    put(batch)
                    batch, size, going = [], 0, set()
            put(batch)
            rest = []
            for one in twice:
                same = self._there.get(signature(one.item) or (0, 0, 0, 0))
                if same is not None and self._copy(one.item, same, one.key):
                    done[one.item.name] = self._known(one)
                else:
                    rest.append(one)
            put(rest)
        return done, failed

    def _own_key(self, item: Item) -> str:
        return os.path.relpath(os.path.join(self.root, item.name), os.path.join("/", self.target.base))

    def _copy(self, item: Item, same: str, key: str) -> bool:
        self.forget([key])
        try:
            if not self.target.copy(same, key):
                return False
        except NothingThere:
            self.forget([same])
            return False
        self.copied += item.size
        return True

    def _known(self, one: _Read) -> Known:
        item = one.item
        modified = item.found.st_mtime if item.found is not None else 0.0
        known = Known(state(item), File(item.name, one.key, item.size, one.digest, modified, one.data))
        self.remember(known)
        return known

    def _read(self, item: Item, key: str, snapshots: Snapshots, failed: Named, stop: StopRequest) -> _Read | None:
        """With its SHA-256; None if the file cannot be had, or is another by now."""
        digest = hashlib.sha256(item.content)
        if item.path is None:
            return _Read(item, key, digest.hexdigest(), None, None)
        source, copied = item.path, False
        try:
            if item.name in self._restless:
                source, copied = self._copied(item, item.path, snapshots)
            if copied and signature_of(item.path) != signature(item):
                failed.append((item.name, CHANGED))
                return None
            with source.open("rb", buffering=0) as file:
                for piece in pieces(file.fileno(), 0, item.size, _CHUNK):
                    if stop.is_set():  # a large file takes longer than there may be time
                        raise TransferStopped
                    digest.update(piece)
                data = _data(file.fileno(), item)
        except FileNotFoundError:
            failed.append((item.name, "vanished before it was sent"))
            return None
        except OSError as error:
            failed.append((item.name, str(explain(error, item.path, "cannot read what is to be delivered"))))
            return None
        if not copied and signature_of(item.path) != signature(item):
            self._changed(item, failed)
            return None
        return _Read(item, key, digest.hexdigest(), data, source)

    def _changed(self, item: Item, failed: Named) -> None:
        self._restless.add(item.name)
        failed.append((item.name, CHANGED))

    def _copied(self, item: Item, path: Path, snapshots: Snapshots) -> tuple[Path, bool]:
        """Where to read what has changed under our hands before, and whether that is a copy of its own."""
        try:
            return snapshots.take(path, self.root), True
        except FileNotFoundError:
            raise
        except OSError as error:
            self.log.debug(f"{item.name} changes while it is sent, and cannot be copied before: {error.strerror}")
            return path, False

    def _send(
        self,
        batch: list[_Read],
        done: dict[str, Known],
        failed: Named,
        stop: StopRequest,
        deadline: float | None,
        parts: PartSizes,
        quiet: bool,
    ) -> None:
        if not batch:
            return
        items = [replace(one.item, key=self.target.key(one.key), path=one.source) for one in batch]
        self.forget(one.key for one in batch)
        progress = Progress(_Silent(self.log) if quiet else self.log, "delivering")
        progress.expect(len(items), sum(item.size for item in items))
        journal = UploadJournal(self.root, str(self.target.url))
        began = time.monotonic()
        self.throttle.begin()
        refused: Named = []
        try:
            refused = send_items(
                self.target.store,
                items,
                journal,
                progress=progress,
                stop=stop,
                deadline=deadline,
                throttle=self.throttle,
                parts=parts,
            )
        finally:
            journal.close()
            self.sent += progress.bytes
            seconds = time.monotonic() - began
            if progress.bytes > (1 << 20) and seconds > 0.05:
                self.rate = progress.bytes / seconds
        names = {name for name, _ in refused}
        failed += refused
        for one in batch:
            item = one.item
            if item.path is not None and one.source == item.path and signature_of(item.path) != signature(item):
                self._changed(item, failed)
            elif item.name not in names:
                done[item.name] = self._known(one)


def _data(file: int, item: Item) -> tuple[tuple[int, int], ...] | None:
    """Where there is anything but zeros in a file with holes, to a mebibyte: what comes back need not fill a disk."""
    if not is_sparse(item):
        return None
    found: list[tuple[int, int]] = []
    for start, end, is_data in stretches(file, 0, item.size):
        if is_data and found and start - found[-1][1] < _CHUNK:
            found[-1] = found[-1][0], end
        elif is_data:
            found.append((start, end))
    return tuple(found)


class _Silent:
    """What a transfer in the background has to say: only trouble."""

    def __init__(self, log: Log) -> None:
        self.debug = log.debug
        self.warning, self.error = log.warning, log.error

    def info(self, event: str, **facts: object) -> object:
        return self.debug(event, **facts)
