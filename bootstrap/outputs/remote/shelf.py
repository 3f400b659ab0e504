"""This node's checkpoints in the store: what makes one, what takes the place of an older one, what is removed.

The order that everything hangs on: contents, manifest, pointers. Where a name is taken: contents to
``.bootstrap/new/``, manifest; then, when that has been there for a while, the old manifest away, copies at the names,
manifest with these (docs/outputs.md says why).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from ...errors import BootstrapError, PermissionDenied
from ...ground.log_names import node_directory
from ...job import Log
from ...storage.common.recorded_links import LinkPolicy
from ...storage.common.workers import TransferStopped
from ...storage.upload.walk import Item
from ...values import dataclass, field, replace
from ..local import units
from ..local.scan import signature_of
from ..local.units import Unit
from .contents import Contents, WholeCheckpoint, whole
from .fence import Fence
from .lingering import Lingering
from .manifest import LAST_STATE, NEW, VOID, Checkpoint, Claim, File, fitting, parents
from .sending import Known, Sender, state
from .target import Target


@dataclass(frozen=True, slots=True)
class Options:
    """What a person may choose, and who this node is. ``rate``: bytes a second at most, 0: no bound."""

    node: int = 0
    nodes: int = 1
    shared: bool = False
    job: str = ""
    links: LinkPolicy = "follow"
    globs: tuple[str, ...] = ()
    keep: int = 0
    rate: int = 0

    @property
    def prefix(self) -> str:
        """What stands before this node's keys."""
        return "" if self.shared else node_directory(self.node)


@dataclass(frozen=True, slots=True)
class Sending:
    """What is to be sent of a unit, with its keys, and what is there already. ``version`` None: it is no checkpoint."""

    unit: Unit
    version: int | None
    attempt: int
    send: list[tuple[Item, str]]
    keep: Mapping[str, Known]


@dataclass
class Shelf:
    target: Target
    sender: Sender
    options: Options
    claim: Claim
    log: Log
    in_place: bool = False
    """The output directory is the target: nothing is ever copied."""

    contents: Contents = field(default_factory=Contents)
    """What the store's documents said when they were last read, and our own since."""

    known: dict[str, Known] = field(default_factory=dict)
    """What of this node is in the store, by its name here."""

    manifests: dict[str, Checkpoint] = field(default_factory=dict)
    """The manifest of this node's newest version of each checkpoint, by its path."""

    promised: list[str] = field(default_factory=list)
    """Checkpoints that have not taken the place of what is older: their contents may still be in :data:`NEW`."""

    ahead: float = 0.0
    """Seconds by which the store's clock is ahead of this machine's."""

    files_ahead: float = 0.0
    """Seconds by which the clock of the files is, which may be a NAS' own."""

    lingering: Lingering = field(default_factory=Lingering)
    _unsure: set[str] = field(default_factory=set)  # keys of which it cannot be known whether something is there
    _cleared: bool = False
    _keeps_all: bool = False

    def read_again(self) -> None:
        """What the store's documents say by now, where it can be known."""
        found = self.target.contents()
        if self.target.blind is None:
            self.contents = found

    def attempt_of(self, saved: float = math.inf) -> int:
        """Of what was saved at this moment by the clock of the files here; of what is written now without one."""
        return Fence(self.claim).attempt(self.contents.claims, saved - self.files_ahead)

    def of_all(self, saved: float) -> float:
        """A moment by the clock of the files here, by that of the store, which all nodes have in common."""
        return saved + self.ahead - self.files_ahead

    def is_there(self, item: Item) -> bool:
        known = self.known.get(item.name)
        return known is not None and known.state == state(item)

    def differs(self, unit: Unit) -> bool:
        """Whether the unit is not in the store as it is here."""
        if unit.kind == "checkpoint" and unit.path not in self.manifests:
            return True
        return not all(self.is_there(item) for item in unit.items)

    def is_complete(self, unit: Unit) -> bool:
        """Whether it is in the store as it is here, with all nodes' parts."""
        mine = self.manifests.get(unit.path)
        return mine is not None and not self.differs(unit) and self._whole(mine).complete

    def is_of_others(self, path: str) -> bool:
        """Whether another node has published files of it in this attempt."""
        attempt = self.attempt_of()
        ours = (one for one in self.contents.checkpoints if (one.path, one.attempt) == (path, attempt))
        return any(each.files for one in ours for rank, each in one.nodes.items() if rank != self.options.node)

    def rewritten_by_several(self, unit: Unit) -> bool:
        before = self.manifests.get(unit.path)
        again = before is not None and before.nodes > 1 and before.attempt == self.attempt_of(unit.modified)
        return again and not self._only_grown(unit)

    def _only_grown(self, unit: Unit) -> bool:
        """Whether it is what was published, and files that came later: a node's ranks do not save at one moment."""
        before = self.manifests.get(unit.path)
        there = {item.name for item in unit.items if self.is_there(item)}
        return before is not None and before.nodes > 1 and all(file.path in there for file in before.files)

    def _may_be_of_others(self, key: str) -> bool:
        """Whether an earlier attempt that cannot be seen has a file there, which is not to be destroyed; or may have,
        where even that cannot be known and this attempt has nothing whole yet.
        """
        if any(known.file.key == key for known in self.known.values()):
            return False
        exists = self.target.exists(key)
        if exists is None and not any(mine.attempt == self.attempt_of() for mine in self.manifests.values()):
            self._unsure.add(key)
        return exists or key in self._unsure

    # --- one checkpoint ---

    def plan(self, unit: Unit, *, as_checkpoint: bool, at_end: bool) -> Sending:
        keep = {item.name: self.known[item.name] for item in unit.items if self.is_there(item)}
        todo = [(item, self.options.prefix + item.name) for item in unit.items if item.name not in keep]
        taken = set() if self.in_place else self._taken()
        if self.target.blind is not None or self.contents.unreadable:
            taken |= {key for _, key in todo if self._may_be_of_others(key)}
        shut = self._shut(taken)
        if not as_checkpoint:
            beside = f".bootstrap/unfinished/{self.claim.attempt}/{self.options.prefix}"
            names = taken if unit.kind == "checkpoint" else set()
            send = [(item, beside + fitting(item.name) if key in names or shut(key) else key) for item, key in todo]
            for item, key in todo:
                if shut(key):
                    self.log.warning(f"{item.name} has the name of a checkpoint that is there: it goes to {beside}")
            self._make_way({key for _, key in send})
            return Sending(unit, None, 0, send, keep)
        attempt, before = self.attempt_of(unit.modified), self.manifests.get(unit.path)
        version = before.version + 1 if before is not None and before.attempt == attempt else 1
        if version > 1 and self._only_grown(unit):
            version -= 1
        if at_end and version > 1 and before is not None and before.nodes > 1:
            version = LAST_STATE
        stage = f"{NEW}{attempt}.{version}.node-{self.options.node}.{self.claim.run}/"
        send = [(item, stage + fitting(item.name) if key in taken or shut(key) else key) for item, key in todo]
        self._make_way({key for _, key in send})
        return Sending(unit, version, attempt, send, keep)

    def complete(self, plan: Sending, gone: Mapping[str, Known]) -> None:
        """All contents are there: the manifest makes it a checkpoint."""
        assert plan.version is not None
        unit, everything = plan.unit, {**plan.keep, **gone}
        mine = Checkpoint(
            path=unit.path,
            format=unit.format,
            attempt=plan.attempt,
            version=plan.version,
            node=self.options.node,
            nodes=self.options.nodes if unit.is_directory else 1,
            saved=self._saved(plan),
            published=time.time(),
            files=tuple(everything[name].file for name in sorted(everything) if not name.endswith("/")),
            needs=units.needs(unit, self.options.node),
            job=self.options.job,
        )
        self.target.put(mine.key, mine.text())
        self.known.update(gone)
        self.manifests[unit.path] = mine
        self._remember(mine)
        if any(file.key.startswith(NEW) for file in mine.files) or self._older(mine):
            self.promise(unit.path)
        self.lingering.see(self.contents)

    def promise(self, path: str) -> None:
        """It is to have the place of what is older in time."""
        if path not in self.promised:
            self.promised.append(path)

    def _saved(self, plan: Sending) -> float:
        """When it was saved: later than what it takes the place of, also where a clock was put back, or a file of an
        earlier time was copied over it (``cp -p best.pt last.pt``).
        """
        before = self.manifests.get(plan.unit.path)
        if before is None or before.attempt != plan.attempt:
            return self.of_all(plan.unit.modified)
        return max(self.of_all(plan.unit.modified), before.saved + 0.001)

    def keep_promises(self, *, at_end: bool = False) -> None:
        """Give what is complete the names that are meant for it, in the place of what had them; not before it has been
        there for a while, or it is the end.
        """
        self.lingering.see(self.contents)
        for path in list(self.promised):
            for one in self.contents.checkpoints:
                mine = one.nodes.get(self.options.node)
                if mine is None or one.path != path or not one.complete:
                    continue
                if at_end or self.lingering.is_over(one):
                    self._promote(mine, at_end=at_end)
                    break

    def sweep(self, *, at_end: bool = False) -> None:
        """Remove the contents that no manifest has named for a while."""
        self._clear_up()
        gone = self.lingering.due(at_end=at_end)
        kept = self._taken()
        try:
            self.target.delete(key for key in gone if key not in kept)
        except PermissionDenied as error:
            self.log.debug(f"what is no longer needed stays: {error}")
        except (BootstrapError, TransferStopped):
            self.lingering.let_go(gone)
            raise

    def _clear_up(self) -> None:
        """Once: what earlier attempts of this node were sending when they were killed is to go as well."""
        if self._cleared:
            return
        earlier = {one.run for one in self.contents.claims if one.node == self.options.node and one < self.claim}
        if earlier and not self.contents.unreadable:  # a manifest that cannot be read may name them
            staged = [entry.key for entry in self.target.listed(NEW)]
            runs = [key[len(NEW) :].partition("/")[0].rpartition(".")[2] for key in staged]
            self.lingering.let_go(key for key, run in zip(staged, runs, strict=True) if run in earlier)
        self._cleared = True

    def _older(self, mine: Checkpoint) -> list[Checkpoint]:
        """What it takes the place of: older ones of its name, or of a name that it needs."""
        plain = {self.options.prefix + file.path for file in mine.files if file.key.startswith(NEW)}
        others = [each for one in self.contents.checkpoints for each in one.nodes.values()]
        others = [each for each in others if self._is_ours(each.node) and each.key != mine.key]
        older = [each for each in others if (each.attempt, each.saved) <= (mine.attempt, mine.saved)]
        return [each for each in older if each.path == mine.path or plain & {file.key for file in each.files}]

    def _promote(self, mine: Checkpoint, *, at_end: bool) -> None:
        staged = [file for file in mine.files if file.key.startswith(NEW)]
        plain = {self.options.prefix + file.path for file in staged}
        old = self._older(mine)
        self._retire([each.key for each in old])
        self.lingering.let_go(file.key for each in old for file in each.files if file.key.startswith(NEW))
        if not plain & self._taken():
            self.sender.forget(plain)
            self._make_way(plain)
            for file in staged:
                key = self.options.prefix + file.path
                if not self.target.copy(file.key, key) and not (at_end and self._sent_again(file, key)):
                    return  # a store that does not copy: they stay where they are
            if staged:
                self._name(mine, staged)
        if self._is_newest(mine):
            self.promised.remove(mine.path)

    def _sent_again(self, file: File, key: str) -> bool:
        """Where nobody knows whether the name is taken, the file is still here, and this attempt has what is newer than
        whatever may be there: people look for it at its name.
        """
        known, path = self.known.get(file.path), self.sender.root / file.path
        if key not in self._unsure or known is None or signature_of(path) != known.state:
            return False
        item = Item(file.path, "", path, file.size, found=path.stat())
        done, _ = self.sender.send([(item, key)], stop=self.target.stop, quiet=True)
        return file.path in done and done[file.path].file.sha256 == file.sha256

    def _name(self, mine: Checkpoint, staged: Sequence[File]) -> None:
        """The copies are at their names: the manifest says so from here on."""
        names = {file.path: replace(file, key=self.options.prefix + file.path) for file in staged}
        mine = replace(mine, files=tuple(names.get(file.path, file) for file in mine.files))
        self.target.put(mine.key, mine.text())
        self._remember(mine)
        self.lingering.let_go(file.key for file in staged)
        if not self._is_newest(mine):  # then it was copied for those who look at its name only
            return
        self.manifests[mine.path] = mine
        self.sender.forget({file.key for file in staged})
        for path in names.keys() & self.known.keys():
            self.known[path] = Known(self.known[path].state, names[path])
            self.sender.remember(self.known[path])

    def _is_newest(self, mine: Checkpoint) -> bool:
        newest = self.manifests.get(mine.path)
        return newest is not None and newest.key == mine.key

    # --- names that a directory cannot have side by side ---

    def _shut(self, taken: Collection[str]) -> Callable[[str], bool]:
        """Whether a key cannot be there beside those that are ``taken``: in a directory a name is a file's, or that of
        a directory, and a checkpoint may have been the one before it was the other.
        """
        if self.target.url.is_remote:
            return lambda key: False
        above = {parent for key in taken for parent in parents(key)}
        return lambda key: key in above or any(parent in taken for parent in parents(key))

    def _make_way(self, keys: Collection[str]) -> None:
        """Remove what of ours stands where directories of ``keys`` have to be, or the other way round, and is part of
        no checkpoint.
        """
        if self.target.url.is_remote or self.in_place:
            return
        shut = self._shut(keys)
        gone = {known.file.key for known in self.known.values() if shut(known.file.key)} - self._taken()
        if gone:
            self.target.delete(gone)
            self.sender.forget(gone)
            self.known = {name: known for name, known in self.known.items() if known.file.key not in gone}

    # --- other nodes ---

    def answer(self, exists: Collection[str]) -> None:
        """Say of other nodes' checkpoints that we have nothing of them; not of those that ``exists`` here."""
        attempt = self.attempt_of()
        for one in self.contents.checkpoints:
            asked = max(each.nodes for each in one.nodes.values())
            if one.attempt != attempt or asked <= self.options.node or self.options.node in one.nodes:
                continue
            if one.path not in self.manifests and one.path not in exists:
                mine = Checkpoint(
                    one.path, one.format, attempt, one.version, self.options.node, asked, one.saved, time.time(), ()
                )
                self.target.put(mine.key, mine.text())

    # --- removing ---

    def thin_out(self, named: Collection[str], *, at_end: bool = False) -> None:
        """Remove this node's part of what is beyond the newest complete ones of its kind, but for what a pointer has
        ``named``. ``best.ckpt`` is no reason to remove a ``step-N``, nor one network's the other's; nor is what has not
        been there for a while.
        """
        if self.options.keep and not self._keeps_all and self._beyond(named, at_end):
            if self.options.nodes > 1:
                self.read_again()
                self.lingering.see(self.contents)
            for mine in self._beyond(named, at_end):
                try:
                    self.target.delete([mine.key])
                except PermissionDenied as error:
                    self._keeps_all = True  # void manifests would free no room, and make what is whole unusable
                    self.log.warning(f"older checkpoints stay, in spite of --keep-checkpoints: {error}")
                    return
                self._forget_manifests([mine.key])
                taken = self._taken()
                self.sender.forget(file.key for file in mine.files)
                try:
                    self.target.delete([file.key for file in mine.files if file.key not in taken])
                except BootstrapError as error:
                    self.log.warning(f"older checkpoints stay, in spite of --keep-checkpoints: {error}")
                    return

    def _beyond(self, named: Collection[str], at_end: bool) -> list[Checkpoint]:
        """This node's manifests of what need not be kept; also where other nodes have removed theirs."""
        kept, found = dict[str, set[str]](), list[Checkpoint]()
        for one in self.contents.checkpoints:
            paths = kept.setdefault(units.series(one.path), set())
            if one.path in paths:
                continue  # the newer version takes its place
            if len(paths) < max(1, self.options.keep):
                if one.complete and (at_end or self.lingering.is_over(one)):
                    paths.add(one.path)
            elif one.path not in named:
                found += [each for rank, each in one.nodes.items() if self._is_ours(rank)]
        return found

    def _is_ours(self, rank: int) -> bool:
        """Node 0 has what nodes have left that this attempt is without."""
        return rank == self.options.node or (self.options.node == 0 and rank >= self.options.nodes)

    def _retire(self, keys: Sequence[str]) -> None:
        """Old manifests, of which something newer has taken the place."""
        if not keys:
            return
        try:
            self.target.delete(keys)
        except BootstrapError as error:  # a key that may write, but not delete
            self.log.debug(f"an old manifest is made void, since it cannot be removed: {error}")
            for key in keys:
                self.target.put(key, VOID)
        self._forget_manifests(keys)

    def _forget_manifests(self, keys: Sequence[str]) -> None:
        gone = set(keys)
        checkpoints = []
        for one in self.contents.checkpoints:
            left = [each for each in one.nodes.values() if each.key not in gone]
            if left:
                checkpoints.append(one if len(left) == len(one.nodes) else whole(left))
        self.contents = replace(self.contents, checkpoints=tuple(checkpoints))

    # --- what is there ---

    def _whole(self, mine: Checkpoint) -> WholeCheckpoint:
        for one in self.contents.checkpoints:
            if one.identity == (mine.path, mine.attempt, mine.version):
                return one
        return whole([mine])

    def _remember(self, mine: Checkpoint) -> None:
        """In :attr:`contents`, which is not read again for every checkpoint of our own."""
        before = self._whole(mine)
        others = [one for one in self.contents.checkpoints if one is not before]
        others.append(whole({**before.nodes, mine.node: mine}.values()))
        others.sort(key=lambda one: one.age_key, reverse=True)
        self.contents = replace(self.contents, checkpoints=tuple(others))

    def _taken(self) -> set[str]:
        """Keys that are part of a checkpoint in the store."""
        return {file.key for one in self.contents.checkpoints for each in one.nodes.values() for file in each.files}


def files_of(known: Mapping[str, Known]) -> list[File]:
    """As manifests list them: without the markers of empty directories."""
    return [known[name].file for name in sorted(known) if not name.endswith("/")]
