"""One stop under way: who has been asked, who is asked next, and when.

:mod:`.targets` decides over one moment. This looks again while time passes: a handler may be set a moment later, a
process be forked, a rank end. Whoever has been asked is not asked twice. The seconds here divide the command's own
share of the grace (:mod:`.plan`); at its end comes KILL, for which the supervisor cares.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ...job import Signalled
from ..processes import Process
from .targets import Identity, Member, ProcessTree, Role, Targets, all_ranks, launchers, who_listens
from .tree import snapshot

_FIRST_LOOK, _LONGEST_LOOK = 0.05, 1.0  # seconds between looks, doubled in between
_SETTLE = 0.5  # seconds for who reads from a listener that has ended to come to its end, too
_LAUNCHER = 6.0  # seconds for a launcher to notice that its ranks have ended: torchrun looked every 5 before torch 2.4
_DEAF = 2.0  # seconds after which a blocked signal that nobody takes tells that nobody waits for it


class _Asked(NamedTuple):
    """Why somebody was asked, and when (monotonic seconds)."""

    role: Role
    at: float


class Course:
    """A stop of the command ``command`` by signal ``number``; ``to`` is the setting ``--stop-to``.

    ``family`` lists the command's living processes, or returns None where /proc cannot be read: then the command alone
    is asked first, and its group when half of the time is over.
    """

    def __init__(
        self, command: int, number: int, to: str, family: Callable[[], Sequence[Process] | None], kill_at: float
    ) -> None:
        self.command, self.number, self.to = command, number, to
        self.kill_at = kill_at
        self.next_at = self._began = time.monotonic()
        self.signalled: list[Signalled] = []
        self._family = family
        self._asked: dict[Identity, _Asked] = {}
        self._known: set[Identity] = set()  # who was there when the stop began
        self._trusted: set[Identity] = set()  # who was asked as a listener, and who was below one
        self._launchers: set[Identity] = set()
        self._pause = _FIRST_LOOK
        self._begun = self._everybody = False
        self._gone_at: float | None = None  # when nobody was left who listens
        self._half_of_rest: float | None = None

    def look_soon(self) -> None:
        """Somebody has ended: what that means is seen at the next look."""
        self.next_at = min(self.next_at, time.monotonic() + _FIRST_LOOK)

    def act(self, ended: bool) -> None:
        """Ask who is to be asked now. ``ended``: the command itself has."""
        now = time.monotonic()
        if now < self.next_at:
            return
        family = self._family()
        if family is None:
            self._ask_blindly(now, ended)
        else:
            self._ask(self._seen(snapshot(family, self.command, self.number), now), now, ended)
        self._begun = True
        self.next_at = min(now + self._pause, max(now + _FIRST_LOOK, self._last_call))
        self._pause = min(2 * self._pause, _LONGEST_LOOK)

    @property
    def _last_call(self) -> float:
        """From here on everybody has been asked: the moment before KILL."""
        return self.kill_at - min(1.0, (self.kill_at - self._began) / 10)

    def _ask(self, tree: ProcessTree, now: float, ended: bool) -> None:
        targets = self._chosen(tree, ended)
        if self._begun:
            targets = self._without_new_ranks(tree, targets)
        else:
            self._known = {one.identity for one in tree.members.values()}
        if not self._begun and not targets:
            self._everybody = True
            self._ask_group(tree, ended, now)
        self._send(tree, targets, now)
        self._keep_in_mind(tree)
        self._ask_rest(tree, now, ended)
        for member in tree.members.values():
            if member.stopped:  # what is stopped acts on nothing
                _kill(member.pid, signal.SIGCONT)

    def _chosen(self, tree: ProcessTree, ended: bool) -> Targets:
        if self.to == "group":
            return {}
        if self.to == "command":
            return {one.identity: Role.COMMAND for one in tree.members.values() if one.pid == self.command}
        if self.to == "ranks" and (ranks := all_ranks(tree)):
            return ranks
        return who_listens(tree, trusted=self._trusted, ended=ended)

    def _without_new_ranks(self, tree: ProcessTree, targets: Targets) -> Targets:
        """Ranks that were born since are their launcher's: it starts them again for as long as it lives itself."""
        # And a launcher whose ranks have ended has not become a listener by that.
        targets = {one: role for one, role in targets.items() if one not in self._launchers}
        new = [one for one in tree.ranks if one.identity not in self._known]
        theirs = {one.identity for rank in new for one in (rank, *tree.below(rank))}
        return {one: role for one, role in targets.items() if one not in theirs}

    def _ask_group(self, tree: ProcessTree, ended: bool, now: float) -> None:
        """The whole group, by one signal: who is being forked gets it as well."""
        group = {one.identity: Role.GROUP for one in tree.members.values() if one.group == self.command}
        if ended:
            self._send(tree, group, now)
            return
        _kill(-self.command, self.number)
        self._note(tree, group, now)

    def _ask_rest(self, tree: ProcessTree, now: float, ended: bool) -> None:
        """Who has been left alone so far, when it is time for them."""
        rest = [one for one in tree.members.values() if one.identity not in self._asked]
        if self._everybody:
            # Who was forked meanwhile; and who is in a group of its own learns it when the command has ended.
            due = [one for one in rest if ended or one.group == self.command]
        elif self._somebody_saves(tree, now, ended):
            self._gone_at = None
            due = []
        else:
            self._gone_at = now if self._gone_at is None else self._gone_at
            started_anew = any(rank.identity not in self._known for rank in tree.ranks)
            due = [one for one in rest if now >= self._gone_at + self._time_to_end(one, started_anew)]
        if now >= self._last_call:
            due = rest
        self._send(tree, {one.identity: Role.REST for one in due}, now)

    def _time_to_end(self, member: Member, started_anew: bool) -> float:
        """Seconds for ``member`` to end by itself; none for a launcher that has begun another life of its ranks."""
        if member.identity in self._launchers:
            return 0.0 if started_anew else _LAUNCHER
        return _SETTLE

    def _somebody_saves(self, tree: ProcessTree, now: float, ended: bool) -> bool:
        """Whether one is there who was asked and may yet be at work; or who was below one and may have been told."""
        if self.to == "command":
            return not ended
        alive = [one for one in tree.members.values() if one.identity in self._trusted]
        if any(self._asked[one.identity].role.trusted for one in alive if one.identity in self._asked and not one.deaf):
            return True
        if not any(one.listens for one in alive):
            return False
        if self._half_of_rest is None:
            self._half_of_rest = now + (self.kill_at - now) / 2
        return now < self._half_of_rest

    def _keep_in_mind(self, tree: ProcessTree) -> None:
        self._launchers |= launchers(tree, {one: asked.role for one, asked in self._asked.items()})
        for member in tree.members.values():
            asked = self._asked.get(member.identity)
            if asked is not None and asked.role.trusted and not member.deaf:
                self._trusted.add(member.identity)
                self._trusted |= {one.identity for one in tree.below(member)}

    def _seen(self, tree: ProcessTree, now: float) -> ProcessTree:
        """``tree`` with those as deaf who have had the time to hear, and those as waited for who may be after all."""
        undecided = {one.pid for one in tree.members.values() if self._may_wait_for_children(one, now)}
        members = {}
        for pid, member in tree.members.items():
            asked = self._asked.get(member.identity)
            waited_for = member.parent in undecided and member.identity in self._known  # what a trap runs is newer
            members[pid] = member._replace(
                deaf=member.deaf and asked is not None and now >= asked.at + _DEAF,
                background=member.background and not waited_for,
            )
        seen = ProcessTree(members, tree.command)
        for member in members.values():
            # It inherited a mask, and waits for no signal; or its trap waits for a child: look below it once more.
            if member.deaf or member.pid in undecided:
                self._trusted -= {member.identity, *(one.identity for one in seen.below(member))}
        return seen

    def _may_wait_for_children(self, shell: Member, now: float) -> bool:
        """Whether ``shell`` was started with ``&``, so that its children all look like background jobs of its own, and
        has had half of the time for its trap to tell them.
        """
        asked = self._asked.get(shell.identity)
        if asked is None or not asked.role.trusted:
            return False
        return shell.shell and shell.background and now >= (asked.at + self.kill_at) / 2

    def _ask_blindly(self, now: float, ended: bool) -> None:
        nobody = ProcessTree({}, self.command)
        if not self._begun and self.to != "group":
            _kill(self.command, self.number)
            self._note(nobody, {Identity(self.command, 0): Role.COMMAND}, now)
        elif not self._everybody and (self.to == "group" or now >= (self._began + self.kill_at) / 2):
            self._everybody = True
            if not ended:
                _kill(-self.command, self.number)
                self._note(nobody, {Identity(self.command, 0): Role.GROUP}, now)

    def _send(self, tree: ProcessTree, targets: Mapping[Identity, Role], now: float) -> None:
        """Once each; from the top, so that no shell sees its child's end and goes on."""
        fresh = {one: role for one, role in targets.items() if one not in self._asked}
        for one in sorted(fresh, key=lambda one: len(list(tree.above(tree.members[one.pid])))):
            _kill(one.pid, signal.SIGTERM if fresh[one] is Role.REST else self.number)
        self._note(tree, fresh, now)

    def _note(self, tree: ProcessTree, targets: Mapping[Identity, Role], now: float) -> None:
        for one, role in targets.items():
            self._asked[one] = _Asked(role, now)
            name = tree.members[one.pid].name if one.pid in tree.members else ""
            number = signal.SIGTERM if role is Role.REST else self.number
            self.signalled.append(Signalled(one.pid, name, _name(number), role.value, time.time()))


def _kill(pid: int, number: int) -> None:
    try:
        if pid < 0:
            os.killpg(-pid, number)
        else:
            os.kill(pid, number)
    except (ProcessLookupError, PermissionError):  # it ends just now, or has changed its user
        pass


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no name of their own
        return f"signal {number}"
