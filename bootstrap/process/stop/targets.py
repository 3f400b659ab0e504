"""Who of the command's processes is asked to stop: pure decisions over a snapshot of its tree.

A group signal also kills who only serves: the workers of a data loader die, their parent notices and raises, and the
checkpoint it was about to write is lost. So a request goes to **who listens**, from the top:

- a process that has a handler for the signal, blocks it or waits for it (tini, dumb-init, signalfd) gets it and is
  trusted with what is below it;
- below one that does not, we look further. Who stands above a listener without listening (a shell without a trap) gets
  it, too, so that no next line of a script runs;
- who neither listens nor stands above a listener (a ``tee`` in the pipeline, a worker) is left alone for now;
- where nobody listens the whole group gets it.

Two refinements. Under a launcher the **ranks** listen, each once, and their launcher not before they are gone: torchrun
would pass TERM to each rank's whole group. And a shell hears a trapped signal only when the command that it waits for
has ended, so that this one is asked as well. :mod:`.course` says when; :mod:`.tree` reads the snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import NamedTuple

from ...values import dataclass


class Identity(NamedTuple):
    """A process for ever: its number may be given to another one, then started later (clock ticks since boot)."""

    pid: int
    started: int


class Role(str, Enum):
    """Why a process gets the signal; the values are what the record says."""

    LISTENER = "it listens"
    RANK = "a rank that listens"
    ABOVE = "above one that listens"
    FOREGROUND = "a shell that listens waits for it"
    GROUP = "nobody listens"
    COMMAND = "the command"
    REST = "whoever listened has ended, or their time is over"

    @property
    def trusted(self) -> bool:
        """Whether what is below is in its hands."""
        return self in (Role.LISTENER, Role.RANK)


class Member(NamedTuple):
    """One process of the tree, as far as a stop is concerned.

    ``listens``: it has a handler for the signal, blocks it or waits for it. ``deaf``: it blocks one that waits for it.
    ``shell``: a command interpreter, ``background``: INT and QUIT are ignored, as shells have it behind ``&``.
    ``copy``: it runs the words of its parent, forked, or is a helper of Python's multiprocessing. ``rank``: the
    variables that tell a rank, by value; empty where there are none. ``ours``: in the command's session or group.
    """

    pid: int
    parent: int
    started: int
    name: str = ""
    listens: bool = False
    deaf: bool = False
    shell: bool = False
    background: bool = False
    copy: bool = False
    rank: tuple[str, ...] = ()
    stopped: bool = False
    group: int = 0
    ours: bool = True

    @property
    def identity(self) -> Identity:
        return Identity(self.pid, self.started)

    def __str__(self) -> str:
        return f"{self.name} ({self.pid})"


@dataclass(frozen=True)
class ProcessTree:
    """The command's processes at one moment. ``command`` is its own number, whether or not it is still there."""

    members: Mapping[int, Member]
    command: int

    @property
    def roots(self) -> list[Member]:
        """The command, and orphans that have come to us."""
        return [one for one in self.members.values() if one.parent not in self.members]

    def children(self, member: Member) -> list[Member]:
        return [one for one in self.members.values() if one.parent == member.pid]

    def below(self, member: Member) -> Iterator[Member]:
        """All that descend from ``member``."""
        todo, seen = self.children(member), {member.pid}
        while todo:
            one = todo.pop()
            if one.pid not in seen:  # a scan is no snapshot: a number may have been given anew meanwhile
                seen.add(one.pid)
                yield one
                todo += self.children(one)

    def above(self, member: Member) -> Iterator[Member]:
        """Its ancestors, the nearest first."""
        seen = {member.pid}
        parent = self.members.get(member.parent)
        while parent is not None and parent.pid not in seen:
            seen.add(parent.pid)
            yield parent
            parent = self.members.get(parent.parent)

    @property
    def ranks(self) -> list[Member]:
        """The topmost processes with rank variables that their parent does not have, the command itself left out."""
        found = [one for one in self.members.values() if one.pid != self.command and self._has_own_rank(one)]
        pids = {one.pid for one in found}
        return [one for one in found if not any(ancestor.pid in pids for ancestor in self.above(one))]

    def _has_own_rank(self, member: Member) -> bool:
        parent = self.members.get(member.parent)
        return bool(member.rank) and parent is not None and member.rank != parent.rank


Targets = dict[Identity, Role]


def who_listens(
    tree: ProcessTree, *, trusted: Iterable[Identity] = (), ranks: bool = True, ended: bool = False
) -> Targets:
    """Who is asked now. ``trusted`` have been asked as listeners, or were below one then: nobody looks there again.

    ``ranks``: whether ranks go before their launcher. ``ended``: the command has, so that orphans in sessions of their
    own are looked at as well. Empty when nobody listens.
    """
    known = frozenset(trusted)
    if ranks and (found := _listening_ranks(tree, known)) is not None:
        return found
    targets: Targets = {}
    for root in tree.roots:
        if root.pid == tree.command or root.ours or ended:
            _visit(tree, root, known, targets)
    return targets


def all_ranks(tree: ProcessTree) -> Targets:
    """Every rank, whether it listens or not, for who wants it so."""
    return {one.identity: Role.RANK for one in tree.ranks}


def launchers(tree: ProcessTree, asked: Mapping[Identity, Role]) -> set[Identity]:
    """Who stands above somebody that was asked as a listener: they end by themselves when these have."""
    found = set()
    for member in tree.members.values():
        role = asked.get(member.identity)
        if role is not None and role.trusted:
            found |= {ancestor.identity for ancestor in tree.above(member)}
    return found


def _listening_ranks(tree: ProcessTree, known: frozenset[Identity]) -> Targets | None:
    """The ranks that listen, and who above their launcher does not; None if there is no such rank."""
    targets: Targets = {}
    spared: set[int] = set()
    listening = []
    for rank in tree.ranks:
        within: Targets = {}
        if _visit(tree, rank, known, within):
            # A wrapper that dies is a rank that failed, for its launcher: it is left to end by itself.
            kept = {one: role for one, role in within.items() if role is not Role.ABOVE}
            targets.update({one: Role.RANK if role.trusted else role for one, role in kept.items()})
            spared |= _launcher_of(tree, rank)
            listening.append(rank)
    if not listening:
        return None
    for rank in listening:
        for ancestor in tree.above(rank):
            if ancestor.pid not in spared and not ancestor.listens and ancestor.identity not in known:
                targets[ancestor.identity] = Role.ABOVE
    return targets


def _launcher_of(tree: ProcessTree, rank: Member) -> set[int]:
    """The nearest ancestor that is no shell, and whatever stands between it and the rank; nobody if there is none."""
    between: set[int] = set()
    for ancestor in tree.above(rank):
        between.add(ancestor.pid)
        if not ancestor.shell:
            return between
    return set()  # a script starts them: it is no launcher, and no next line of it should run


def _visit(tree: ProcessTree, member: Member, known: frozenset[Identity], targets: Targets) -> bool:
    """Add who is to be asked from ``member`` on downwards; whether there is a listener, asked before or now."""
    if member.identity in known and not member.deaf:
        return True
    if member.listens and not member.copy and not member.deaf:
        targets[member.identity] = Role.LISTENER
        if member.shell:
            _ask_foreground(tree, member, known, targets)
        return True
    found = False
    for child in tree.children(member):
        found = _visit(tree, child, known, targets) or found
    if found and member.identity not in known:
        targets[member.identity] = Role.ABOVE
    return found


def _ask_foreground(tree: ProcessTree, shell: Member, known: frozenset[Identity], targets: Targets) -> None:
    """Whom a shell waits for before it runs its trap: in its group, and not started with ``&``."""
    waited = [one for one in tree.children(shell) if one.group == shell.group and not one.background]
    found = [one for one in waited if _visit(tree, one, known, targets)]
    if found:
        return
    for one in waited:
        for member in (one, *tree.below(one)):
            targets[member.identity] = Role.FOREGROUND
