"""One output, brought to its URL: a look finds what has changed; what is whole goes, the newest checkpoint first."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from ..errors import RequestRefused
from ..ground.log_names import node_directory
from ..job import Log, Output, StopRequest
from ..storage.common.units import readable
from ..storage.common.workers import TransferStopped
from ..storage.local.staging import is_unfinished as is_partial
from ..storage.upload.send import USUAL, PartSizes
from ..storage.upload.walk import Item, Named
from ..values import dataclass, field
from .local import scan, units
from .local.clock import Clock
from .local.patterns import is_unfinished, is_unfinished_marker
from .local.pins import Pins
from .local.units import Unit
from .remote.contents import Contents
from .remote.fence import Fence, Watchful, new_claim, put_claim
from .remote.manifest import Claim, File
from .remote.parts import Parts
from .remote.sending import Known, Sender, State, state
from .remote.shelf import Options, Shelf, files_of
from .remote.target import Target

MOMENT = 0.3
"""Seconds between two looks at a file that must see the same."""

QUIET = 3.0
"""Seconds for which a directory must not have been written to where nothing else tells that it is whole."""

_GROUP = 32 << 20
"""Small units go together, up to so many bytes, so that each is not a round trip of its own."""

_SMALL = 64 << 10
"""Bytes of a file that is no checkpoint and goes behind the newest one all the same: metrics, configurations."""


@dataclass
class Publisher:
    """One output of this node. Not for several threads at once."""

    output: Output
    target: Target
    options: Options
    claim: Claim
    log: Log
    contents: Contents = field(default_factory=Contents)
    shelf: Shelf = field(init=False)
    elsewhere: dict[str, str] = field(default_factory=dict)
    """Directories that do not go, since another output has their place; with reasons, "" where the other has them."""

    failed: dict[str, str] = field(default_factory=dict)
    """What could not go at the last try, with reasons."""

    waiting: dict[str, str] = field(default_factory=dict)
    """What is not whole yet, with reasons."""

    working_on: str = ""
    """The path of the unit that is on its way."""

    moving: frozenset[str] = frozenset()
    """Checkpoints that the last round has found and could not take, since somebody is at work on them."""

    behind: bool = False
    """Whether the last round has left whole units to the next one, which looks first for what is newer."""

    fetched_since: float | None = None
    """When the code and the inputs began to come into this output, if they do."""

    look_cost: float = 0.0
    """Seconds of CPU that the last look at something that had changed took."""

    lead: float = MOMENT
    """Seconds from a look to the moment in which the newest checkpoint that it found was complete in the store: the
    most that lately was needed.
    """

    clock: Clock = field(init=False)
    _ready_at: float = 0.0  # when the first group of units of this round was through
    _all_there: dict[str, State] = field(default_factory=dict)  # a look of which nothing was left to be sent
    _mark: int | None = None  # of that look
    _parts: Parts = field(init=False)
    _said: set[str] = field(default_factory=set)
    _named: set[str] = field(default_factory=set)  # checkpoints that a pointer names, as of the last look

    def __post_init__(self) -> None:
        self.clock = Clock(self.root)
        self._open(self.target, self.contents)

    def _open(self, target: Target, contents: Contents) -> None:
        self.target, self._all_there = target, {}
        self._mark = None
        sender = Sender(target, self.root, self.log, Watchful(self.options.rate, self._newer_than_us))
        place = os.path.realpath(os.path.join("/", target.key(self.options.prefix)))
        in_place = not target.url.is_remote and place == os.path.realpath(self.root)
        sender.in_place = in_place
        self.shelf = Shelf(target, sender, self.options, self.claim, self.log, in_place, contents)
        self._parts = Parts(target, self.options.node, self.shelf.lingering)

    @property
    def root(self) -> Path:
        return Path(self.output.directory)

    @property
    def sender(self) -> Sender:
        return self.shelf.sender

    def look(self, stop: StopRequest | None = None) -> scan.Look:
        """Raises :class:`NothingThere` or :class:`PathUnusable` when the directory is not there or cannot be read, and
        :class:`TransferStopped`.
        """
        if self.root.is_file():
            self._say_once(f"{self.root} was a directory and is a file: it goes under its own name, {self.root.name}")
        found = scan.look(self.root, self.target.url, self.options.links, self.elsewhere, stop)
        markers = (name for name, item in found.items.items() if is_unfinished_marker(name, item.size))
        found.left_out.extend((name, "it says that what is beside it is being written") for name in markers)
        self.clock.look(found.items)
        return found

    def units_of(self, found: scan.Look) -> list[Unit]:
        everything = units.units_of(found.items, self.options.globs, self.clock)
        # A marker that went would stay in the store when the checkpoint beside it is whole, and come back with it.
        everything = [unit for unit in everything if not is_unfinished_marker(unit.path, unit.size)]
        pointers = [unit for unit in everything if unit.kind == "pointer" and self.options.keep]
        self._named = {one.path for each in pointers for one in named(each, everything)}
        return everything

    # --- a round while the job runs ---

    def round(self, stop: StopRequest, seconds: float = math.inf) -> None:
        """Look, and send what is whole, the newest checkpoint first; after ``seconds`` no other group of units is
        begun. Raises what the store says; what went until then stays known.
        """
        self.moving, self.behind = frozenset(), False
        self.refresh()
        began, cpu = time.monotonic(), time.thread_time()
        mark = scan.mark(self.root, self.options.links, self.elsewhere, stop)
        if self._all_there and mark is not None and mark == self._mark:  # so most looks end
            self.clock.look_again()
            return
        found = self.look(stop)
        seen = {name: state(item) for name, item in found.items.items()}
        if seen == self._all_there:  # but for what a mark has, and a look has not
            self._mark = mark
            return
        everything = self.units_of(found)
        self.say_of_sparse(found)
        changed = [unit for unit in everything if self.shelf.differs(unit)]
        self._all_there, self._mark = ({}, None) if changed else (seen, mark)
        with Pins() as pins:
            ready = self._settled(found, changed, pins, stop)
            self.look_cost = time.thread_time() - cpu
            until, self._ready_at = time.monotonic() + seconds, 0.0
            left = self.publish(in_order(ready), everything, stop=stop, fits=lambda unit: time.monotonic() < until)
        if any(unit.kind == "checkpoint" for unit in ready):
            needed = (self._ready_at or time.monotonic()) - began
            self.lead = max(needed, self.lead - (self.lead - needed) / 4)  # one that went fast is no promise
        later = {unit.path for unit in left if unit.kind != "pointer"}
        self.behind = bool(later)
        undone = {unit.path for unit in changed if unit.kind == "checkpoint" and self.shelf.differs(unit)}
        self.moving = frozenset(undone - later)

    def refresh(self) -> None:
        """Read what others have written: a newer attempt, other nodes' parts of a checkpoint."""
        if self.options.nodes > 1:
            self.shelf.read_again()
            claims = self.shelf.contents.claims
        else:  # alone, there is only one thing that others may have written
            claims = self.target.claims(self.options.node)
        newer = Fence(self.claim).overtaken_by(claims)
        self._compare_clocks(claims)
        if newer is not None:
            self._step_aside(newer)
        elif self.target.blind is None and self._is_gone(claims):
            self._begin_anew()
        elif self.options.nodes > 1:
            self._notice_others()
            self.answer()
        self.shelf.keep_promises()
        self.shelf.sweep()
        self.shelf.thin_out(self._named)

    def compare_clocks(self) -> None:
        """So that what was saved here and what the store has are told apart by their age."""
        self._compare_clocks(self.target.claims(self.options.node))

    def _compare_clocks(self, claims: Sequence[Claim]) -> None:
        ahead = Fence(self.claim).ahead(claims)
        if ahead is not None:
            self.shelf.ahead = ahead
            files_ahead = self.clock.file_system_now() - time.time()
            self.shelf.files_ahead = files_ahead if abs(files_ahead) > 1 else 0.0

    def settle(self) -> None:
        """The end: what is complete takes the place of what is older at once."""
        if (self.shelf.promised or self.options.keep) and not self._overtaken():
            self.shelf.keep_promises(at_end=True)
            self.shelf.thin_out(self._named, at_end=True)

    def _notice_others(self) -> None:
        """Two nodes never write one key unnoticed: the lower rank keeps it, the other's goes to its own directory."""
        contents, node = self.shelf.contents, self.options.node
        attempt, others = self.shelf.attempt_of(), dict[str, tuple[int, str]]()
        for rank in sorted(contents.loose, reverse=True):
            for path, file in contents.loose[rank].items() if rank != node else ():
                if contents.attempts.get((rank, path)) == attempt:
                    others[file.key] = rank, file.sha256
        for one in contents.checkpoints:
            for rank, mine in one.nodes.items() if one.attempt == attempt else ():
                others.update((file.key, (rank, file.sha256)) for file in mine.files if rank != node)
        for name, known in list(self.shelf.known.items()):
            rank, digest = others.get(known.file.key, (node, known.file.sha256))
            if digest != known.file.sha256:  # both wrote before either could know
                self._say_once(f"{name} was written by node {rank} and by node {node}, as different files")
                del self.shelf.known[name]
                self._all_there = {}
                self.sender.forget({known.file.key})
        self.sender.others = {key: (rank, digest) for key, (rank, digest) in others.items() if rank < node}
        self.sender.aside = node_directory(node)

    def answer(self) -> None:
        """Tell other nodes that we have nothing of their checkpoints, where that is so."""
        there = {one.path for one in self.shelf.contents.checkpoints if (self.root / one.path).exists()}
        self.shelf.answer(there)

    def _settled(self, found: scan.Look, changed: Sequence[Unit], pins: Pins, stop: StopRequest) -> list[Unit]:
        """Those of ``changed`` that nobody is writing to. Checkpoints are held by ``pins``: what takes the place of one
        while it is on its way, or removes it, does not spoil it.
        """
        self.waiting = {}
        if not changed:
            return []
        now = self.clock.now()
        held = []
        for unit in changed:
            if stop.is_set():
                raise TransferStopped
            why = self._why_not(unit, found, now)
            if why:
                self.waiting[unit.path] = why
            else:
                held.append(pins.pinned(unit) if unit.kind == "checkpoint" else unit)
        time.sleep(MOMENT)
        held = [unit for unit in held if all(_same(item) for item in unit.items) and self._still_there(unit)]
        held = [unit for unit in held if not self._has_grown(unit, found)]
        written = scan.open_for_writing({inode for unit in held for inode in _inodes(unit)})
        return [unit for unit in held if not written & _inodes(unit)]

    def _still_there(self, unit: Unit) -> bool:
        """Whether the names of a unit of several files lead to the same files as a moment ago."""
        real = ((self.root / item.name, item) for item in unit.items if item.found is not None)
        return len(unit.items) == 1 or all(scan.signature_of(path) == scan.signature(item) for path, item in real)

    def _has_grown(self, unit: Unit, found: scan.Look) -> bool:
        """Whether a directory's checkpoint has files by now that the look has not found: what seemed to come last has
        not (``meta.pt`` of Lightning's, behind ``.metadata``).
        """
        if unit.form is None:
            return False
        seen = {*found.items, *(name for name, _ in (*found.failed, *found.left_out))}
        for directory in {os.path.dirname(item.name) for item in unit.items}:
            try:
                with os.scandir(self.root / directory) as entries:
                    plain = (one for one in entries if one.is_file(follow_symlinks=False) and not is_partial(one.name))
                    if any(os.path.join(directory, one.name) not in seen for one in plain):
                        return True
            except OSError:
                return True
        return False

    def _why_not(self, unit: Unit, found: scan.Look, now: float) -> str:
        if unit.kind != "checkpoint":
            return "its name says that it is being written" if is_unfinished(unit.path) else ""
        elsewhere = self.shelf.is_of_others(unit.path)
        why = units.unfinished(unit, found.items, now, QUIET, nodes=self.options.nodes, elsewhere=elsewhere)
        why = why or units.lacking(unit, found.failed)
        if not why and self.shelf.rewritten_by_several(unit):
            why = "several nodes rewrite it in place, so that it goes at the end"
            self._say_once(f"{unit.path}: {why}; put the step into its name")
        return why

    # --- publishing ---

    def publish(
        self,
        ready: Sequence[Unit],
        everything: Sequence[Unit],
        *,
        stop: StopRequest,
        deadline: float | None = None,
        parts: PartSizes = USUAL,
        group: int = _GROUP,
        fits: Callable[[Unit], bool] = lambda unit: True,
        doubtful: Mapping[str, str] | None = None,
    ) -> list[Unit]:
        """Send the units in their order; returns those that ``fits`` said no to.

        With ``doubtful`` this is the end: what it names goes as files that make no checkpoint.
        """
        left: list[Unit] = []
        pointers = [unit for unit in ready if unit.kind == "pointer"]
        together: list[Unit] = []
        size = 0

        def flush() -> None:
            if together:
                self.working_on = together[0].path
                self._publish_group(together, stop, deadline, parts, doubtful)
                self._ready_at = self._ready_at or time.monotonic()
                together.clear()
                self._publish_pointers(pointers, everything, stop)

        for unit in [unit for unit in ready if unit.kind != "pointer"]:
            if stop.is_set():
                raise TransferStopped
            more = unit.size
            if together and (size + more > group or together[0].kind != unit.kind):
                flush()
                size = 0
            if fits(unit):
                together.append(unit)
                size += more
            else:
                left.append(unit)
        flush()
        self._publish_pointers(pointers, everything, stop)
        self.working_on = ""
        return [*left, *pointers]

    def _publish_group(
        self,
        together: Sequence[Unit],
        stop: StopRequest,
        deadline: float | None,
        parts: PartSizes,
        doubtful: Mapping[str, str] | None,
    ) -> None:
        at_end, doubts = doubtful is not None, doubtful or {}
        plans = [
            self.shelf.plan(unit, as_checkpoint=unit.kind == "checkpoint" and unit.path not in doubts, at_end=at_end)
            for unit in together
        ]
        wanted = [pair for plan in plans for pair in plan.send]
        done, failed = self.sender.send(wanted, stop=stop, deadline=deadline, parts=parts, quiet=not at_end)
        if any(plan.version is not None for plan in plans) and self._overtaken():
            # While it was on its way: nothing of it may take a name any more.
            self._publish_group(together, stop, deadline, parts, doubtful)
            return
        self._note(failed, done)
        loose: dict[str, Known] = {}
        for plan in plans:
            gone = {item.name: done[item.name] for item, _ in plan.send if item.name in done}
            if plan.version is None:
                self.shelf.known.update(gone)
                if plan.unit.path not in doubts:  # half a checkpoint is not to come back
                    loose.update(gone)
            elif len(gone) == len(plan.send):
                try:
                    self.shelf.complete(plan, gone)
                except RequestRefused as error:  # a name that the store does not take: others are none the worse
                    self.failed[plan.unit.path] = str(error)
        self._put_part(files_of(loose))

    def _publish_pointers(self, pointers: list[Unit], everything: Sequence[Unit], stop: StopRequest) -> None:
        """Those all of whose checkpoints are complete in the store; they leave the list."""
        ready = []
        for unit in list(pointers):
            lacking = next((one.path for one in named(unit, everything) if not self.shelf.is_complete(one)), "")
            if lacking:
                self.waiting[unit.path] = f"it names {lacking}, which is not complete there"
                self.failed.pop(unit.path, None)  # an earlier try says nothing of this one
            else:
                ready.append((unit.items[0], self.options.prefix + unit.path))
                self.waiting.pop(unit.path, None)
                pointers.remove(unit)
        if ready and self._overtaken():
            pointers += [unit for unit in everything if any(unit.items[0] is item for item, _ in ready)]
        elif ready:
            done, failed = self.sender.send(ready, stop=stop, quiet=True)
            self._note(failed, done)
            self.shelf.known.update(done)
            self._put_part(files_of(done))

    # --- a newer attempt ---

    def _overtaken(self) -> bool:
        """Whether a newer attempt has begun; then everything goes beside its names from here on."""
        newer = self._newer()
        if newer is not None:
            self._step_aside(newer)
        return newer is not None

    def _newer(self) -> Claim | None:
        return Fence(self.claim).overtaken_by(self.target.claims(self.options.node))

    def _newer_than_us(self) -> bool:
        return self._newer() is not None

    def _is_gone(self, claims: Sequence[Claim]) -> bool:
        """Whether our own claim is, and with it most likely all else. A listing may lag behind: it is no proof."""
        return self.claim not in claims and self.target.has_lost(self.claim.key)

    def _begin_anew(self) -> None:
        self.log.warning(
            "the target of an output has been emptied or replaced: all that is still here is sent again, and what was "
            "removed here meanwhile is lost",
            target=str(self.target.url),
        )
        self.claim = put_claim(self.target, self.claim)
        self._open(self.target, self.target.contents())

    def _step_aside(self, newer: Claim) -> None:
        """A newer attempt owns the names: from here on, beside them."""
        directory = f"attempt-{self.claim.attempt}.{self.claim.run}/"
        self.log.warning(
            "a newer attempt has begun: what this one still has goes beside its outputs",
            newer=newer.attempt,
            to=str(self.target.url.child(directory)),
        )
        self.claim = new_claim((), node=self.options.node, nodes=self.options.nodes, job=self.options.job)
        self._open(self.target.below(directory), Contents())
        self.claim = self.shelf.claim = put_claim(self.target, self.claim)

    # --- small things ---

    @property
    def has_parts(self) -> bool:
        """Whether files that are no checkpoint have been told of while the command ran."""
        return bool(self._parts)

    def _note(self, failed: Named, done: Mapping[str, Known]) -> None:
        for name in done:
            self.failed.pop(name, None)
        self.failed.update(failed)

    def _put_part(self, files: Sequence[File]) -> None:
        self._parts.put(self.shelf.attempt_of(), files)

    def say_of_sparse(self, found: scan.Look) -> None:
        """Before it goes: it may be a hundred times what anybody expects."""
        for item in found.items.values():
            if scan.is_sparse(item) and item.found is not None and not self.shelf.is_there(item):
                what = "has holes, and goes with them" if self.target.url.is_remote else "has holes, which stay holes"
                held = readable(item.found.st_blocks * 512)
                self._say_once(f"{item.name} {what}: {readable(item.size)}, of which {held} are on the disk")

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self.log.warning(text)


def in_order(todo: Sequence[Unit], doubtful: Collection[str] = ()) -> list[Unit]:
    """The newest checkpoint, small files, older checkpoints, the rest, and pointers: what helps most comes first. The
    paths of ``doubtful`` make no checkpoint.
    """
    checkpoints = [unit for unit in todo if unit.kind == "checkpoint" and unit.path not in doubtful]
    small = [unit for unit in todo if unit.kind == "loose" and unit.size <= _SMALL]
    pointers = [unit for unit in todo if unit.kind == "pointer"]
    taken = {id(unit) for unit in (*checkpoints, *small, *pointers)}
    rest = [unit for unit in todo if id(unit) not in taken]
    return [*checkpoints[:1], *small, *checkpoints[1:], *rest, *pointers]


def named(pointer: Unit, everything: Sequence[Unit]) -> list[Unit]:
    return units.named_by(pointer.items[0], everything)


def _same(item: Item) -> bool:
    return item.path is None or scan.signature_of(item.path) == scan.signature(item)


def _inodes(unit: Unit) -> set[tuple[int, int]]:
    return {(item.found.st_ino, item.found.st_dev) for item in unit.items if item.found is not None}
