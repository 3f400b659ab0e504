"""Whose the plain names in a log directory are, when several attempts have one URL: those of who started last.

Here for buckets, and for a directory in which the log is written anyway; for any other one in :mod:`.in_directory`.

An attempt that begins sets aside what an earlier one has left. Before it delivers its end it looks again: a later one
may have begun meanwhile (a platform that took a node for dead, a person who started the job once more), and has the
plain names then, be it running (its parts tell when it began) or ended (its record does). Who finds himself overtaken
delivers beside it, under his attempt's name, and touches nothing that is there. What an *earlier* attempt has delivered
meanwhile is set aside like what it had left before.

Who started later is told by when it began and, in the same thousandth of a second, by a number left to chance. Both
are in the names of its parts and in its record, so that all compare the same. When it began is told by the *store's*
clock where this machine's is off by more than :data:`_NOTABLE` seconds: a bucket says what time it is with each
listing, a NAS gives it to the files that are made there. Nothing more is written for it: a short job costs no object
but its own.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from ..errors import BootstrapError
from ..ground import log_names
from ..ground.json_text import load_json
from ..ground.log_names import AttemptDirectory
from ..job import Log
from ..reporting.record import LONGEST_RECORD
from ..storage.common.small import read_small
from ..storage.model.store import Entry, Store
from ..storage.model.url import Location
from ..storage.open import Stores
from .attempts import attempts

T = TypeVar("T")

BEGAN = "began"
"""In the run record: what :attr:`Succession.began` is."""
_NOTABLE = 3.0  # seconds; what two looks at a clock that shows whole seconds may differ by, and a slow answer


class Succession:
    """One attempt among those with one log directory. ``names`` are what it will deliver there, the log first."""

    def __init__(
        self,
        stores: Stores,
        target: Location,
        names: Sequence[str],
        *,
        node: int,
        began: float,
        scratch: Path,
        log: Log,
        least: int = 1,
    ) -> None:
        """``began`` in seconds of the epoch, by this machine's clock; ``scratch`` is a directory for what a store
        cannot copy by itself; ``least`` is what the number of this attempt is at least.
        """
        self.attempt = self._least = least
        self.overtaken = False
        self.overtaken_by = ""
        """When the attempt began that has overtaken us, if one has."""
        self.longest_wait = math.inf
        """Seconds that may be spent on waiting for others, at most."""
        self._stores, self._target, self._names = stores, target, tuple(names)
        self._node, self._scratch, self._log = node, scratch, log
        self._by_clock, self._mark = began, os.urandom(4).hex()
        self.began = log_names.moment(began, self._mark)
        """When this attempt began, as everybody compares it."""
        self._base = base(target)

    @property
    def directory(self) -> AttemptDirectory:
        return AttemptDirectory(self._names[0], self._node, self.attempt, self.began)

    def name_of(self, name: str) -> str:
        """What this attempt's ``name`` is delivered as."""
        return log_names.of_attempt(name, self.attempt) if self.overtaken else name

    @contextmanager
    def turn(self) -> Iterator[Callable[[str], str]]:
        """Gives what a name of ours is to be called, for who makes it now."""
        yield self.name_of

    def put(self, name: str, write: Callable[[str], T]) -> tuple[str, T]:
        """A :class:`bootstrap.shipping.evidence.PutAs`."""
        there = self.name_of(name)
        return there, write(there)

    def end(self) -> None:
        """All is delivered, the record included."""

    def begin(self, log_file: Path) -> None:
        """Set aside what an earlier attempt has left under our names, and learn our own number.

        Done before the command starts, so that it costs nothing of the time in which a stopped job must be gone. Only
        a courtesy: where the store refuses (no right to list, say) the names are simply overwritten later.
        """
        if not self._target.is_remote and self._target.local.exists() and self._target.local.samefile(log_file.parent):
            return  # the log is written where it is to be: identify has set earlier ones aside
        try:
            store, entries = self._listed()
            self._by_the_stores_clock(store)
            found = [entry.key[len(self._base) :] for entry in entries]
            aside = (log_names.attempt_of(name) or (name, 0) for name in found)
            kept = max((attempt for name, attempt in aside if name in self._names), default=0)
            traces = [other.number for other in attempts(entries, self._base) if other.node == self._node]
            last = max([kept, *traces])
            # A log without a record has not ended: in a directory it grows under its name, and is the last trace's.
            growing = last > kept and log_names.record(self._names[0]) not in found and self._names[0] in found
            self.attempt = last if growing else last + 1
            # A killed attempt with a log beyond its limit has left segments beside it in a directory.
            log = self._names[0]
            earlier = [name for name in found if self._is_plain(name) or log_names.tail_offset(log, name) is not None]
            for name in sorted(earlier):
                self._move(store, name, log_names.of_attempt(name, self.attempt))
            self.attempt = max(self.attempt + bool(earlier), self._least)
        except (BootstrapError, OSError) as error:
            self._log.debug(f"what an earlier attempt delivered is not kept: {error}")

    def look(self) -> None:
        """See who is there by now, before anything is delivered. Where the store refuses, the names are ours."""
        try:
            store, entries = self._listed()
            found = {entry.key[len(self._base) :] for entry in entries}
            # Who writes his log there anyway has the names: nobody else sets it aside.
            later = self._later(store, entries, found) if self._target.is_remote else ""
            if later:
                self.lose(later, found)
                return
            # In a directory the log itself grows under its name.
            growing = "" if self._target.is_remote else self._names[0]
            number = 1
            while any(log_names.of_attempt(name, number) in found for name in self._names):
                number += 1
            for name in sorted(name for name in found if self._is_plain(name) and name != growing):
                self._move(store, name, log_names.of_attempt(name, number))
        except (BootstrapError, OSError) as error:
            self._log.debug(f"it cannot be told whether a later attempt is there: {error}")

    def lose(self, later: str, found: set[str]) -> None:
        """Leave the plain names to an attempt that began at ``later``; ``found`` are the names that are there."""
        while any(log_names.of_attempt(name, self.attempt) in found for name in self._names):
            self.attempt += 1
        self.overtaken_by = later
        self._leave(f"a later attempt, begun {later}, has the names in {self._target}")

    def _leave(self, why: str) -> None:
        self.overtaken = True
        self._log.warning(f"{why}: what this one delivers goes beside it, as {self.name_of(self._names[0])} and so on")

    def _is_plain(self, name: str) -> bool:
        """Whether an attempt delivers ``name`` as it is: one of its names, or evidence, of which nobody knows before
        what there will be.
        """
        below = log_names.evidence(self._names[0])
        return name in self._names or (name.startswith(below) and log_names.attempt_of(name) is None)

    def _listed(self) -> tuple[Store, list[Entry]]:
        store = self._stores.open(self._target)
        return store, list(store.entries(self._base + os.path.splitext(self._names[0])[0]))

    def _later(self, store: Store, entries: list[Entry], found: set[str]) -> str:
        """When the latest of those began that began after us; empty if we are the latest."""
        ours, log = self.began, self._names[0]
        live = [other.began for other in attempts(entries, self._base) if (other.log, other.node) == (log, self._node)]
        record = log_names.record(log)
        ended = began_in(read_small(store, self._base + record, LONGEST_RECORD)) if record in found else ""
        return max((began for began in [*live, ended] if began > ours), default="")

    def _by_the_stores_clock(self, store: Store) -> None:
        ahead = store.retry_window.ahead if self._target.is_remote else _ahead_of(self._target.local)
        if abs(ahead) > _NOTABLE:
            self._log.debug(f"this machine's clock is {ahead:.0f} s ahead of the store's, which tells who began when")
            self.began = log_names.moment(self._by_clock - ahead, self._mark)

    def _move(self, store: Store, name: str, other: str) -> None:
        writer = store.light_writer()
        key = self._base + name
        if not writer.join(self._base + other, [key], []):
            with tempfile.NamedTemporaryFile(dir=self._scratch) as copy:
                copy.writelines(store.read(key))
                copy.flush()
                store.write(self._base + other, Path(copy.name))
        writer.delete([key])


def base(target: Location) -> str:
    """The key of the log directory, with its slash."""
    if target.is_remote:
        return target.as_directory().path
    return os.path.join(os.path.abspath(target.path), "").lstrip("/")


def began_in(record: bytes) -> str:
    """When the run began that a delivered record is of, as everybody compares it; empty if it is no record."""
    try:
        return str(load_json(record)[BEGAN])
    except (ValueError, KeyError, TypeError):
        return ""


def _ahead_of(directory: Path) -> float:
    """Seconds that this machine's clock is ahead of the one that new files in ``directory`` get; 0 without any."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".bootstrap-", suffix=".probe") as probe:
            return time.time() - os.fstat(probe.fileno()).st_mtime
    except OSError:
        return 0.0
