"""What a URL holds, for people and programs: the words and numbers of ``bootstrap outputs``."""

from __future__ import annotations

import hashlib
import time
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...errors import BootstrapError, NothingThere
from ...ground.plain_text import printable
from ...job import StopRequest
from ...reporting.record import utc
from ...storage.common.units import readable
from ...storage.common.workers import TransferStopped, in_parallel
from .contents import Contents, WholeCheckpoint
from .manifest import File
from .target import Target

_READERS = 8  # objects that are verified at once
_WIDEST = 60
"""Columns of a table's column: what is wider pushes its own line to the right, and no other."""

_TRIES = 5  # of a verification, while what is verified is replaced


def verify(target: Target, wholes: Iterable[WholeCheckpoint], stop: StopRequest) -> dict[tuple[str, int, int], str]:
    """Read every file of the complete ones; what is wrong with each, "" where nothing is, by path, attempt, version."""
    tasks = [(one, file) for one in wholes if one.complete for each in one.nodes.values() for file in each.files]
    found = {one.identity: "" for one, _ in tasks}

    def beat() -> None:
        if stop.is_set():
            raise TransferStopped

    def check(task: tuple[WholeCheckpoint, File]) -> str:
        return _wrong(target, task[1])

    for done in in_parallel(tasks, check, width=min(_READERS, len(tasks)), beat=beat):
        one, file = done.task
        why = done.value()
        if why:
            found[one.identity] = f"{file.path}: {why}"
    return found


def verify_all(
    target: Target, contents: Contents, stop: StopRequest
) -> tuple[Contents, dict[tuple[str, int, int], str]]:
    """The same for all that is there, and what was there then: what was replaced while it was read is not damaged."""
    for tries in range(1, _TRIES + 1):
        found = verify(target, contents.checkpoints, stop)
        damaged = [one for one in contents.checkpoints if found.get(one.identity)]
        by_now = target.contents(surely=True) if damaged else contents
        if tries == _TRIES or all(one in by_now.checkpoints for one in damaged):
            break
        contents = by_now
    return contents, found


def _wrong(target: Target, file: File) -> str:
    digest, size = hashlib.sha256(), 0
    try:
        for piece in target.store.read(target.key(file.key)):
            digest.update(piece)
            size += len(piece)
    except NothingThere:
        return "it is not there"
    except BootstrapError as error:
        return str(error)
    if size != file.size:
        return f"{size} bytes in place of {file.size}"
    return "" if digest.hexdigest() == file.sha256 else "its SHA-256 is not the manifest's"


def as_json(url: str, contents: Contents, verified: Mapping[tuple[str, int, int], str] | None) -> dict[str, Any]:
    """One document with all that is known."""
    newest = contents.newest
    return {
        "schema": 1,
        "url": url,
        "newest": newest.path if newest is not None else None,
        "checkpoints": [
            {
                "path": one.path,
                "format": one.format,
                "job": one.job,
                "attempt": one.attempt,
                "version": one.version,
                "complete": one.complete,
                "missing": list(one.missing),
                "saved": utc(one.saved),
                "published": utc(one.published),
                "size": one.size,
                "nodes": sorted(one.nodes),
                "files": [
                    {"path": file.path, "key": file.key, "size": file.size, "sha256": file.sha256, "node": node}
                    for node, each in sorted(one.nodes.items())
                    for file in each.files
                ],
                **({"damaged": _damage(one, verified) or None} if verified is not None else {}),
            }
            for one in contents.checkpoints
        ],
        "attempts": [
            {
                "attempt": attempt,
                "complete": contents.run_complete(attempt),
                "ended": contents.ended(attempt),
                "nodes": [
                    {"node": claim.node, "host": claim.host, "job": claim.job, "started": utc(claim.started)}
                    for claim in contents.claims
                    if claim.attempt == attempt
                ],
                "undelivered": [
                    dict(one) for run in contents.runs if run.attempt == attempt for one in run.undelivered
                ],
                "unfinished": [dict(one) for run in contents.runs if run.attempt == attempt for one in run.unfinished],
            }
            for attempt in sorted({claim.attempt for claim in contents.claims}, reverse=True)
        ],
        "unreadable": [{"key": key, "why": why} for key, why in contents.unreadable],
    }


def table(contents: Contents, verified: Mapping[tuple[str, int, int], str] | None) -> list[str]:
    """Lines for a terminal."""
    lines = _aligned(
        [
            ("checkpoint", "format", "attempt", "saved", "size", "files", "nodes", "state"),
            *(_row(one, one is contents.newest, verified) for one in contents.checkpoints),
        ]
    )
    if not contents.checkpoints:
        lines = ["no checkpoint"]
    attempts = sorted({claim.attempt for claim in contents.claims}, reverse=True)
    rows = [("attempt", "job", "began", "nodes", "host", "outputs")]
    for attempt in attempts:
        claims = [claim for claim in contents.claims if claim.attempt == attempt]
        rows.append(
            (
                str(attempt),
                claims[0].job or "-",
                ago(min(claim.started for claim in claims)),
                str(len({claim.node for claim in claims})),
                claims[0].host,
                _ended(contents, attempt),
            )
        )
    lines += ["", *_aligned(rows)] if attempts else []
    lines += [printable(f"{key} cannot be used: {why}", on_one_line=True) for key, why in contents.unreadable]
    return lines


def _row(one: WholeCheckpoint, newest: bool, verified: Mapping[tuple[str, int, int], str] | None) -> tuple[str, ...]:
    state = f"incomplete: without {', '.join(one.missing)}"
    if one.complete:
        state = "complete"
        if verified is not None:
            state = f"damaged: {damage}" if (damage := _damage(one, verified)) else "verified"
        state += ", the newest" if newest else ""
    wanted = max(each.nodes for each in one.nodes.values())
    files = sum(len(each.files) for each in one.nodes.values())
    have = str(len(one.nodes)) if len(one.nodes) >= wanted else f"{len(one.nodes)} of {wanted}"
    return one.path, one.format, str(one.attempt), ago(one.saved), readable(one.size), str(files), have, state


def _damage(one: WholeCheckpoint, verified: Mapping[tuple[str, int, int], str]) -> str:
    return verified.get(one.identity, "")


def _ended(contents: Contents, attempt: int) -> str:
    if contents.run_complete(attempt):
        return "complete"
    runs = [run for run in contents.runs if run.attempt == attempt]
    missing = sum(len(run.undelivered) for run in runs)
    if missing:
        first = next(run.undelivered[0] for run in runs if run.undelivered)
        return f"{missing} not delivered, such as {first.get('path')}"
    if contents.ended(attempt):
        return "delivered, of a command that failed"
    return "one node of several has ended" if runs else "not ended, or killed"


def _aligned(table: Sequence[tuple[str, ...]]) -> list[str]:
    rows = [tuple(printable(word, on_one_line=True) for word in row) for row in table]
    widths = [min(_WIDEST, max(_width(row[column]) for row in rows)) for column in range(len(rows[0]))]
    return [
        "  ".join(word + " " * (width - _width(word)) for word, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _width(text: str) -> int:
    """Columns of a terminal: Chinese letters, and their like, take two."""
    return len(text) + sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)


def ago(moment: float) -> str:
    """A time of the epoch, as people say it."""
    seconds = max(0.0, time.time() - moment)
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
