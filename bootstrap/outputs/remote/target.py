"""One output's URL: its documents below ``.bootstrap/``, and the keys of its contents."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from ...errors import NothingThere, PathUnusable, PermissionDenied
from ...job import Log, StopRequest
from ...storage.common.file_errors import existing
from ...storage.common.retry import Retry
from ...storage.common.workers import TransferStopped
from ...storage.model.light_writer import Inline
from ...storage.model.store import Entry, Store
from ...storage.model.url import Location
from ...storage.open import Stores
from ...values import replace
from .contents import Contents, contents
from .manifest import HOME, NEW, Claim, kind_of

T = TypeVar("T")

_LISTINGS = 5
"""At most, for one look at what is there."""


class Target:
    """Keys given and taken are relative to the URL. Every method raises classes of ``bootstrap.errors``, and
    :class:`TransferStopped`; an outage is waited for until ``stop``.
    """

    def __init__(self, stores: Stores, url: Location, *, stop: StopRequest) -> None:
        self.stop = stop
        """What ends the waiting for a store that does not serve."""

        self.url = url.as_directory()
        self.store: Store = stores.open(self.url)
        self.base = self.url.path if url.is_remote else os.path.join(os.path.abspath(url.path), "").lstrip("/")
        self._read: dict[tuple[str, str], bytes] = {}
        self.copies = True
        """Whether the store copies objects for us, until it has been seen that it does not."""
        self.may_be_blind: Log | None = None
        """Who is told, where it is enough to write when listing is refused; else that is an error."""

        self._device: int | None = None  # the file system of a directory that holds what is below
        self._held = ""  # what is surely there: our own claim, or its path in a directory
        self._may_ask: bool | None = None  # whether this key may ask for an object that it does not list

        self.blind: PermissionDenied | None = None
        """What the store said to a listing, where that may be: nothing is known then of what is there."""

    def key(self, relative: str) -> str:
        return self.base + relative

    def below(self, directory: str) -> Target:
        """The same with another directory as its URL."""
        other = object.__new__(Target)
        other.__dict__.update(self.__dict__, url=self.url.child(directory), base=self.base + directory, _read={})
        return other

    def asking(self, work: Callable[[], T]) -> T:
        return Retry(self.store.retry_window, self.stop)(work)

    def listed(self, directory: str = HOME) -> list[Entry]:
        """The objects below ``directory``, with their keys relative to the URL."""
        self._check_file_system()
        prefix = self.key(directory)
        try:
            found = self.asking(lambda: list(self.store.entries(prefix)))
        except PermissionDenied as error:
            if self.may_be_blind is None:
                raise
            if self.blind is None:
                self.blind = error
                self.may_be_blind.warning(
                    "this key may not list the target of an output: what is there is not seen, no earlier attempt's "
                    "checkpoint and no other attempt that writes there now; it is written to all the same",
                    target=str(self.url),
                    why=error.why,
                )
            return []
        return [Entry(one.key[len(self.base) :], one.size, one.etag, one.mtime) for one in found]

    def contents(self, *, surely: bool = False) -> Contents:
        """What all documents say. Read again only where they have changed.

        A listing is no picture of one moment: where a document has gone meanwhile, it is listed again, since something
        newer has taken its place; with ``surely`` also where there are attempts and nothing of theirs is complete.
        """
        doubts = int(surely)
        for _ in range(_LISTINGS):
            found, all_read = self._contents()
            nothing = found.newest is None and bool(found.claims or found.checkpoints)
            if all_read and not (nothing and doubts):
                break
            doubts -= int(all_read)
        return found

    def _contents(self) -> tuple[Contents, bool]:
        """And whether all that was listed could be read."""
        entries = [one for one in self.listed() if not one.key.startswith(NEW)]
        wanted = [(one.key, one.etag or str(one.mtime)) for one in entries if kind_of(one.key[len(HOME) :])[0]]
        missing = [one for one in wanted if one not in self._read]
        texts = self.read([key for key, _ in missing])
        known = {one: self._read[one] for one in wanted if one in self._read}
        known.update((one, text) for one, text in zip(missing, texts, strict=True) if text is not None)
        self._read = known
        found = contents((key[len(HOME) :], text) for (key, _), text in known.items())
        times = {one.key: one.mtime for one in entries}
        claims = tuple(replace(claim, listed=times.get(claim.key, 0.0)) for claim in found.claims)
        return replace(found, claims=claims), len(known) == len(wanted)

    def claims(self, node: int) -> tuple[Claim, ...]:
        """A node's, as far as their keys tell them, which is enough to know the newest."""
        found = []
        for entry in self.listed(f"{HOME}claims/node-{node}/"):
            kind, parts = kind_of(entry.key[len(HOME) :])
            if kind == "claim":
                found.append(Claim(int(parts["attempt"]), parts["run"], entry.mtime, node, listed=entry.mtime))
        return tuple(found)

    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        if not keys:
            return []
        writer = self.store.light_writer()
        return self.asking(lambda: writer.get([self.key(key) for key in keys]))

    def put(self, key: str, text: bytes) -> None:
        self._check_file_system()
        writer = self.store.light_writer()
        self.asking(lambda: writer.put(self.key(key), Inline(text)))

    def delete(self, keys: Iterable[str]) -> None:
        wanted = [self.key(key) for key in keys]
        if wanted:
            writer = self.store.light_writer()
            self.asking(lambda: writer.delete(wanted))
            self._remove_empty(wanted)

    def copy(self, source: str, key: str) -> bool:
        """Within the store; False if it does not do that."""
        if self.copies:
            try:
                self.copies = self.asking(lambda: self.store.copy(self.key(source), self.key(key)))
            except PermissionDenied:  # a key that may write, and not read
                self.copies = False
        return self.copies

    def hold(self, key: str) -> None:
        """From here on a directory is to stay in the file system in which ``key`` is: where a NAS was unmounted, what
        is written goes to the container's own disk, and ends with it.
        """
        self._held = key
        if not self.url.is_remote:
            self._held = os.path.join("/", self.key(key))
            self._device = os.stat(existing(self.url.path)).st_dev

    def _check_file_system(self) -> None:
        if self._device is None:
            return
        device = os.stat(existing(self.url.path)).st_dev
        if device != self._device and os.path.exists(self._held):  # mounted again, under another number
            self._device = device
        elif device != self._device:
            raise PathUnusable(
                "the target of an output is in another file system than at the start",
                where=str(self.url),
                why="what was mounted there is gone, and what is written now would stay in the container",
                remedy="mount it again: delivering goes on then",
            )

    def has_lost(self, key: str) -> bool:
        """Whether what was written there is gone; not when this key may not know it."""
        try:
            return self.asking(lambda: self.store.stat(self.key(key))) is None
        except PermissionDenied:
            return False
        except NothingThere:
            return True

    def exists(self, key: str) -> bool | None:
        """None: this key may not know it."""
        try:
            return self.asking(lambda: self.store.stat(self.key(key))) is not None
        except NothingThere:
            return False
        except PermissionDenied:  # also said of what is not there, to a key that may ask and not list
            if self.blind is None:
                return any(entry.key == key for entry in self.listed(key))
            return False if self._asks() else None

    def _asks(self) -> bool:
        """Whether this key may ask for what is surely there."""
        if self._may_ask is None:
            try:
                self._may_ask = self.asking(lambda: self.store.stat(self.key(self._held))) is not None
            except (NothingThere, PermissionDenied):
                self._may_ask = False
        return self._may_ask

    def _remove_empty(self, keys: Iterable[str]) -> None:
        """A bucket has no directories; elsewhere those of what was removed would stay."""
        if self.url.is_remote:
            return
        top = os.path.join("/", self.base)
        for key in keys:
            directory = os.path.dirname(os.path.join("/", key))
            while len(directory) > len(top):
                try:
                    os.rmdir(directory)
                except OSError:
                    break
                directory = os.path.dirname(directory)


__all__ = ["Target", "TransferStopped"]
