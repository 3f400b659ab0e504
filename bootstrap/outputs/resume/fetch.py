"""Files of an output into a directory, each verified by the SHA-256 of its manifest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from ...errors import NothingThere, SourceChanging
from ...job import Log, StopRequest
from ...storage.common.progress import Progress
from ...storage.common.rate_limit import RateLimit
from ...storage.common.retry import Retry
from ...storage.common.sparse import pieces
from ...storage.common.workers import TransferStopped, in_parallel
from ...storage.fetch.download import bring_all
from ...storage.fetch.index import FetchIndex
from ...storage.fetch.plan import FetchPlan, check_name, check_room
from ...storage.fetch.sparse_file import bring_stretches
from ...storage.model.store import Entry
from ...values import replace
from ..remote.manifest import File
from ..remote.target import Target

_LARGE = 32 << 20
"""Bytes from which an object is fetched in pieces, for which its ETag has to be known."""

_HASHING = 4  # threads
_CHUNK = 1 << 20


def fetch_verified(
    target: Target, files: Sequence[File], stage: Path, nodes: int, stop: StopRequest, log: Log
) -> dict[str, str]:
    """Bring ``files`` into ``stage`` under their paths; returns those that are not as they should be, with reasons."""
    bad, entries = dict[str, str](), list[tuple[str, Entry]]()
    for file in files:
        for part in file.path.split("/"):
            check_name(part, target.url)
        entry = Entry(target.key(file.key), file.size)
        if file.size >= _LARGE and file.data is None:
            found = target.asking(lambda key=entry.key: target.store.stat(key))  # type: ignore[misc]  # bound at once
            entry = Entry(entry.key, file.size, found.etag if found is not None and found.size == file.size else "")
        entries.append((file.path, entry))
    holes = {file.path: file.data for file in files if file.data is not None}
    directories = tuple(sorted({above for path, _ in entries if (above := os.path.dirname(path))}))
    held = [(path, replace(entry, size=_held(holes.get(path), entry.size))) for path, entry in entries]
    check_room(FetchPlan.of(*held, directories=directories), os.fspath(stage))
    progress = Progress(log, "resuming", files=len(entries), size=sum(entry.size for _, entry in held))
    whole = [(path, entry) for path, entry in entries if path not in holes]
    try:
        _bring_all(target, FetchPlan.of(*whole, directories=directories), stage, nodes, progress, stop)
    except (NothingThere, SourceChanging):  # then one by one, so that it is known of which this is true
        for path, entry in whole:
            try:
                _bring_all(target, FetchPlan.of((path, entry), directories=directories), stage, nodes, progress, stop)
            except (NothingThere, SourceChanging) as error:
                bad[path] = error.why or error.what
    retry = Retry(target.store.retry_window, stop, rate_limit=RateLimit(nodes), say=progress.trouble)
    for path, entry in entries:
        if (stretches := holes.get(path)) is not None:
            place = os.fspath(stage / path)
            try:
                bring_stretches(
                    target.store, entry.key, entry.size, stretches, place, retry=retry, progress=progress, stop=stop
                )
            except (NothingThere, SourceChanging) as error:
                bad[path] = error.why or error.what
    rest = [file for file in files if file.path not in bad]

    def check(file: File) -> str:
        return digest(stage / file.path)

    def beat() -> None:
        if stop.is_set():
            raise TransferStopped

    for done in in_parallel(rest, check, width=min(_HASHING, len(rest)), beat=beat):
        if done.value() != done.task.sha256:
            bad[done.task.path] = "its SHA-256 is not the manifest's"
    for path in bad:
        (stage / path).unlink(missing_ok=True)
    return bad


def _held(stretches: Sequence[tuple[int, int]] | None, size: int) -> int:
    """Bytes on a disk."""
    return size if stretches is None else sum(end - start for start, end in stretches)


def _bring_all(target: Target, plan: FetchPlan, stage: Path, nodes: int, progress: Progress, stop: StopRequest) -> None:
    index, limit = FetchIndex.nowhere(), RateLimit(nodes)
    bring_all(target.store, plan, os.fspath(stage), index, rate_limit=limit, progress=progress, stop=stop)


def digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        for piece in pieces(file.fileno(), 0, os.fstat(file.fileno()).st_size, _CHUNK):
            digest.update(piece)
    return digest.hexdigest()
