"""A log directory (in a store, or here) or a run dir -> what is known of each node of its newest run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..diagnosis.text import clean
from ..errors import NothingThere
from ..ground import log_names
from ..ground.json_text import load_json
from ..ground.safe_files import open_own
from ..sampling import reading as samples_of
from ..sampling.store import MOST as MOST_SAMPLES
from ..shipping import reading as logs
from ..shipping.reading import NodeLog
from ..storage.model.store import Store
from .model import LogEnd, NodeRun, part, whole

Mask = Callable[[str], str]

TAIL = 1 << 20
"""Bytes of a log's end that are read."""
MOST_LINES = 2000
LONGEST_LINE = 2000  # characters
_MOST_RECORD = 4 << 20  # bytes


def from_store(store: Store, base: str, attempt: int | None, mask: Mask) -> tuple[list[NodeRun], int]:
    """The nodes of the newest run in the directory ``base`` (a key that ends in ``/``, or nothing), or of its
    ``attempt``; and how many other runs' logs are there.

    Raises :class:`NothingThere` where there is no run, and what the store says.
    """
    sizes = {entry.key[len(base) :]: entry.size for entry in store.entries(base)}
    if log_names.RECORD in sizes and attempt is None:
        return [_of_run_dir(store, base, sizes, mask)], 0
    found = [_node(store, base, log, sizes, attempt, mask) for log in logs.look(store, base, attempt)]
    known = {log_names.record(log.name) for log in logs.look(store, base, attempt)}
    for name in sizes:  # a run that never had a log, or whose log is elsewhere
        plain, number = log_names.attempt_of(name) or (name, None)
        if plain.endswith(".run.json") and number == attempt and plain not in known:
            log = NodeLog(plain.removesuffix(".run.json") + ".log", log_names.node_of_log(plain))
            found.append(_node(store, base, log, sizes, attempt, mask))
    if not found:
        raise NothingThere("there is no run to report on", why="no log and no run record of that attempt is there")
    newest: dict[int, NodeRun] = {}
    job = max(found, key=lambda one: one.began or 0.0).record
    for one in sorted(found, key=lambda one: one.began or 0.0):
        if not one.record or part(one.record, "platform", "job_id") == part(job, "platform", "job_id"):
            newest[one.node] = one
    return [newest[node] for node in sorted(newest)], len(found) - len(newest)


def of_run(record: Mapping[str, Any], log_file: str, samples: str, mask: Mask) -> NodeRun:
    """This machine's run, from its own files: ``record`` is masked already."""
    heading, lines = samples_of.read(_local(samples, MOST_SAMPLES))
    return NodeRun(
        whole(part(record, "node", "rank")) or 0,
        record,
        _masked(heading, mask),
        _masked(lines, mask),
        _log_here(log_file, mask),
    )


def _of_run_dir(store: Store, base: str, sizes: Mapping[str, int], mask: Mask) -> NodeRun:
    record = _document(_read(store, base, log_names.RECORD, sizes, _MOST_RECORD), mask)
    heading, lines = samples_of.read(_read(store, base, log_names.SAMPLES, sizes, MOST_SAMPLES))
    log_file = part(record, "log_file")
    return NodeRun(
        whole(part(record, "node", "rank")) or 0,
        record,
        _masked(heading, mask),
        _masked(lines, mask),
        _log_here(log_file, mask) if isinstance(log_file, str) else None,
    )


def _node(store: Store, base: str, log: NodeLog, sizes: Mapping[str, int], attempt: int | None, mask: Mask) -> NodeRun:
    run_dir = log_names.run_dir(log.name)
    named: Callable[[str], str] = str if attempt is None else lambda name: log_names.of_attempt(name, attempt)
    live = {name: key[len(base) :] for name, key in log.attempt.live.items()} if log.attempt is not None else {}
    delivered = [named(log_names.record(log.name)), named(f"{run_dir}/{log_names.RECORD}")]
    ended = any(name in sizes for name in delivered)
    record = _first(store, base, [*delivered, live.get(log_names.RECORD, "")], sizes)
    samples = [named(log_names.evidence(log.name, log_names.SAMPLES)), named(f"{run_dir}/{log_names.SAMPLES}")]
    heading, lines = samples_of.read(_first(store, base, [*samples, live.get(log_names.SAMPLES, "")], sizes))
    document = _document(record, mask)
    rank = whole(part(document, "node", "rank"))
    below = log_names.evidence(log.name)
    beside = sorted((name, size) for name, size in sizes.items() if name.startswith(below))
    return NodeRun(
        log.node if rank is None else rank,
        document,
        _masked(heading, mask),
        _masked(lines, mask),
        _log_there(store, log, mask),
        "" if ended else log.state(),
        tuple((mask(name), size) for name, size in beside),
    )


# --- the log's end ---------------------------------------------------------------------------------------------------


def _log_there(store: Store, log: NodeLog, mask: Mask) -> LogEnd | None:
    pieces = log.pieces()
    if not pieces:
        return None
    if log.whole is not None and pieces[0].key == log.whole.key and not log.tails:
        size = log.whole.size
    else:
        parts = log.tails or (log.attempt.parts if log.attempt is not None else [])
        size = max(part.end for part, _ in parts)
    log.read = max(0, size - TAIL)
    data = bytearray()
    for piece in log.pieces():
        try:
            data += b"".join(logs.read(store, piece))
        except NothingThere:  # merged into another meanwhile: what there is counts
            continue
    return log_end(log.name, size, bytes(data[-TAIL:]), mask)


def _log_here(path: str, mask: Mask) -> LogEnd | None:
    try:
        with open(open_own(path, os.O_RDONLY), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - TAIL))
            data = file.read(TAIL)
    except OSError:
        return None
    return log_end(os.path.basename(path), size, data, mask)


def log_end(name: str, size: int, data: bytes, mask: Mask) -> LogEnd:
    """The lines of ``data``, the end of a log of ``size`` bytes, without control sequences, masked."""
    is_whole = size <= len(data)
    text = mask(clean(data).decode("utf-8", "replace"))
    lines = text.removesuffix("\n").split("\n") if text else []
    if not is_whole:
        lines = lines[1:]  # the rest of one
    is_whole = is_whole and len(lines) <= MOST_LINES
    cut = [line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} [...]" for line in lines[-MOST_LINES:]]
    return LogEnd(mask(name), size, is_whole, tuple(cut))


# --- documents -------------------------------------------------------------------------------------------------------


def _first(store: Store, base: str, names: Sequence[str], sizes: Mapping[str, int]) -> bytes:
    name = next((name for name in names if name in sizes), "")
    return _read(store, base, name, sizes, MOST_SAMPLES) if name else b""


def _read(store: Store, base: str, name: str, sizes: Mapping[str, int], most: int) -> bytes:
    size = sizes.get(name, 0)
    if not 0 < size <= most:
        return b""
    try:
        return b"".join(store.read(base + name))
    except NothingThere:  # set aside since it was listed
        return b""


def _local(path: str, most: int) -> bytes:
    try:
        with open(open_own(path, os.O_RDONLY), "rb") as file:
            return file.read(most)
    except OSError:
        return b""


def _document(data: bytes, mask: Mask) -> dict[str, Any]:
    try:
        found = load_json(data)
    except ValueError:
        return {}
    return _masked(found, mask) if isinstance(found, dict) else {}


def _masked(value: Any, mask: Mask) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {mask(str(key)): _masked(one, mask) for key, one in value.items()}
    return [_masked(one, mask) for one in value] if isinstance(value, list) else value
