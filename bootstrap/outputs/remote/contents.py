"""What the manifests at a URL say together, and the rule by which a checkpoint is complete.

Everything that decides has no I/O: publisher, resume and ``bootstrap outputs`` share it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

from ...reporting.prose import counted
from ...values import dataclass, field, replace
from .manifest import HOME, VOID, Checkpoint, Claim, File, Part, RunManifest, kind_of
from .parsing import D, Unreadable, parsed


@dataclass(frozen=True, slots=True)
class WholeCheckpoint:
    """All nodes' manifests of one version of a checkpoint, and ``missing``: what it lacks to be complete, in words."""

    path: str
    attempt: int
    version: int
    nodes: Mapping[int, Checkpoint]
    missing: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return not self.missing

    @property
    def saved(self) -> float:
        return max((each.saved for each in self.nodes.values()), default=0.0)

    @property
    def published(self) -> float:
        return max((each.published for each in self.nodes.values()), default=0.0)

    @property
    def size(self) -> int:
        return sum(each.size for each in self.nodes.values())

    @property
    def format(self) -> str:
        return next((each.format for each in self.nodes.values() if each.files), "")

    @property
    def job(self) -> str:
        return next((each.job for each in self.nodes.values()), "")

    @property
    def age_key(self) -> tuple[int, float, int]:
        """The greater, the newer."""
        return self.attempt, self.saved, self.version

    @property
    def identity(self) -> tuple[str, int, int]:
        return self.path, self.attempt, self.version

    def files_for(self, node: int) -> list[File]:
        """The files as ``node`` is to have them: all nodes', and its own where several nodes have a path."""
        found: dict[str, File] = {}
        for rank in sorted(self.nodes, key=lambda rank: (rank == node, -rank)):
            found.update((file.path, file) for file in self.nodes[rank].files)
        return [found[path] for path in sorted(found)]


def whole(manifests: Iterable[Checkpoint], ended: frozenset[int] = frozenset()) -> WholeCheckpoint:
    """The rule. ``manifests`` are of one version of one checkpoint; ``ended`` are the nodes whose run manifest of that
    attempt is complete, so that what they have not named they do not have.
    """
    nodes = {each.node: each for each in manifests}
    first = next(iter(nodes.values()))
    wanted = max(each.nodes for each in nodes.values())
    there = set(nodes) | {node for node in ended if node < wanted}
    missing = []
    if len(there) < wanted:
        absent = [str(node) for node in range(wanted) if node not in there]
        missing.append(
            f"node{'s' if len(absent) > 1 else ''} {', '.join(absent[:8])}{', ...' if len(absent) > 8 else ''}"
        )
    paths = {file.path for each in nodes.values() for file in each.files}
    lacking = sorted({path for each in nodes.values() for path in each.needs} - paths)
    missing += lacking[:3] + ([counted(len(lacking) - 3, "more file")] if len(lacking) > 3 else [])
    if not paths and not missing:
        missing.append("files")
    return WholeCheckpoint(first.path, first.attempt, first.version, nodes, tuple(missing))


@dataclass(frozen=True, slots=True)
class Contents:
    """What the manifests below one URL say. ``unreadable`` pairs keys with reasons."""

    checkpoints: tuple[WholeCheckpoint, ...] = ()
    """The newest first."""

    runs: tuple[RunManifest, ...] = ()
    claims: tuple[Claim, ...] = ()
    loose: Mapping[int, Mapping[str, File]] = field(default_factory=dict)
    """Files that are no checkpoint, by node and path, of the newest attempt that has written each."""

    attempts: Mapping[tuple[int, str], int] = field(default_factory=dict)
    """By node and path, the attempt that has written each of those."""

    unreadable: tuple[tuple[str, str], ...] = ()

    def of_job(self, job: str) -> Contents:
        """Only what attempts of this job have written."""
        others = {claim.attempt for claim in self.claims if claim.job != job}
        mine = {claim.attempt for claim in self.claims if claim.job == job}
        others -= mine  # before the second of two claims was seen, both had the number
        loose = {
            node: {path: file for path, file in files.items() if self.attempts.get((node, path)) not in others}
            for node, files in self.loose.items()
        }
        return replace(
            self,
            checkpoints=tuple(one for one in self.checkpoints if one.job == job),
            runs=tuple(run for run in self.runs if run.job == job),
            claims=tuple(claim for claim in self.claims if claim.job == job),
            loose=loose,
        )

    @property
    def newest(self) -> WholeCheckpoint | None:
        """The newest complete checkpoint."""
        return next((each for each in self.checkpoints if each.complete), None)

    @property
    def attempt(self) -> int:
        """The newest attempt of the job; 0 without any."""
        return max([claim.attempt for claim in self.claims] + [run.attempt for run in self.runs], default=0)

    def ended(self, attempt: int) -> bool:
        """Whether all nodes of the attempt have told their end."""
        found = {run.node: run for run in self.runs if run.attempt == attempt}
        return bool(found) and len(found) >= max(run.nodes for run in found.values())

    def run_complete(self, attempt: int) -> bool:
        """Whether all nodes' run manifests of the attempt say so."""
        found = {run.node: run for run in self.runs if run.attempt == attempt}
        wanted = max((run.nodes for run in found.values()), default=0)
        return bool(wanted) and len(found) >= wanted and all(run.complete for run in found.values())


def _as_called(document: D, told: Mapping[str, str]) -> D:
    """Raises :class:`Unreadable` where its name tells of another attempt, node or version: somebody has copied it."""
    for name in ("attempt", "node", "version"):
        if name in told and int(told[name]) != getattr(document, name):
            raise Unreadable(f"it is the manifest of another {name}, {getattr(document, name)}")
    return document


def contents(documents: Iterable[tuple[str, bytes]]) -> Contents:
    """Of all documents below ``.bootstrap/``, by their keys without it."""
    grouped: dict[tuple[str, int, int], list[Checkpoint]] = {}
    runs: list[RunManifest] = []
    claims: list[Claim] = []
    parts: list[Part] = []
    bad: list[tuple[str, str]] = []
    for key, text in documents:
        kind, told = kind_of(key) if text != VOID else ("", {})
        try:
            if kind == "checkpoint":
                found = _as_called(parsed(Checkpoint, text), told)
                grouped.setdefault((found.path, found.attempt, found.version), []).append(found)
            elif kind == "run":
                runs.append(_as_called(parsed(RunManifest, text), told))
            elif kind == "files":
                parts.append(_as_called(parsed(Part, text), told))
            elif kind == "claim":
                claims.append(_as_called(parsed(Claim, text), told))
        except Unreadable as error:
            bad.append((HOME + key, str(error)))
    ended: dict[int, set[int]] = {}
    for one in runs:
        if one.complete:
            ended.setdefault(one.attempt, set()).add(one.node)
    wholes = [whole(each, frozenset(ended.get(attempt, ()))) for (_, attempt, _), each in grouped.items()]
    loose: dict[int, dict[str, File]] = {}
    ordered: list[tuple[int, int, Part | RunManifest]] = [(each.attempt, each.number, each) for each in parts]
    ordered += [(run.attempt, sys.maxsize, run) for run in runs]
    by_attempt: dict[tuple[int, str], int] = {}
    for _, _, each in sorted(ordered, key=lambda one: one[:2]):
        loose.setdefault(each.node, {}).update((file.path, file) for file in each.files)
        by_attempt.update(((each.node, file.path), each.attempt) for file in each.files)
    return Contents(
        tuple(sorted(wholes, key=lambda one: one.age_key, reverse=True)),
        tuple(sorted(runs, key=lambda run: (run.attempt, run.node))),
        tuple(sorted(claims)),
        loose,
        by_attempt,
        tuple(bad),
    )
