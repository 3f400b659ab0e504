"""A source that is one archive: unpacked where nobody sees it while it comes, and given its name once it is verified.

What was made of it is written down as it is for a tree, so that the same archive is not asked for again. A fetch that
is killed begins the archive anew.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import ArchiveInvalid, SourceChanging, StoreUnavailable
from ...ground.backoff import Backoff
from ...job import Log, StopRequest
from ..common.file_errors import local_trouble
from ..common.progress import Progress
from ..common.rate_limit import RateLimit
from ..common.units import readable
from ..common.workers import TransferStopped
from ..local.staging import claim, make_directories, of_this_machine, sweep
from ..model.store import Entry, Store
from ..model.url import Location
from . import archive
from .archive import Unpacked
from .files import Files
from .index import Changed, Extra, FetchIndex, remove_extra
from .one_stream import wrong_checksum
from .plan import FetchPlan, check_name, check_room
from .verification.verifier import Verifier

_ATTEMPTS = 5
_BUFFER = 256 << 10


class UnpackedTree(NamedTuple):
    """An unpacked tree that has no name yet: its root, what is below that, and the archive that it came from."""

    root: Path
    made: dict[str, Unpacked]
    entry: Entry


Unpack = Callable[[Path], UnpackedTree]
"""Unpacks below the directory it is given."""


class Landed(NamedTuple):
    """Where the tree is; how many of its files were made now, and how many were there; those kept as they are."""

    root: Path
    files: int
    skipped: int
    kept: tuple[str, ...] = ()


def land(
    source: Location,
    entry: Entry,
    target_dir: Path,
    unpack: Unpack,
    *,
    direct: bool,
    changed: Changed,
    extra: Extra,
    log: Log,
) -> Landed:
    """Make the tree that the archive ``entry`` holds, unless it is there already.

    Raises what ``unpack`` does, and :class:`PathUnusable`.
    """
    root = target_dir if direct else target_dir / archive.stem(source.name)
    with local_trouble(os.fspath(target_dir)):
        index = FetchIndex(os.fspath(root), f"unpacked {source}")
        complete = False
        try:
            members = index.members(_version(entry)) if index.finished else Files.of(())
            standing = index.stand(members)
            touched = list(standing.changed.paths)
            if touched:
                log.warning("changed here since the last fetch", files=len(touched), first=touched[0], now=changed)
            kept = frozenset(touched if changed == "keep" else ())
            is_there = bool(len(members)) and not len(standing.missing) and len(touched) == len(kept)
            there = set(members.paths)
            paths = there if is_there else _make(unpack, root, target_dir, index, kept)
            if extra == "delete":
                removed = remove_extra(os.fspath(root), paths, {path[:-1] for path in paths if path.endswith("/")})
                log.info("removed what the source does not have", files=removed)
            complete = True
        finally:
            index.close(complete)
    files = sum(not path.endswith("/") for path in paths) - len(kept)
    return Landed(root, 0 if is_there else files, files if is_there else 0, tuple(sorted(kept)))


def _make(unpack: Unpack, root: Path, target_dir: Path, index: FetchIndex, kept: Collection[str]) -> set[str]:
    """Unpack, and give all but what is to be ``kept`` its name; returns the paths of everything the archive holds."""
    index.begin()
    with workplace(target_dir) as place:
        content = unpack(place)
        _move_in(content.root, root, kept)
    version = _version(content.entry)
    for path, file in content.made.items():
        if path not in kept:
            index.note(path, Entry("", file.size, version, content.entry.mtime), file.mtime_ns, file.digest)
    return set(content.made)


def _version(entry: Entry) -> str:
    """What tells one state of the archive from the next."""
    return f"{entry.etag} {entry.size}"


def unpack_object(
    store: Store,
    source: Location,
    entry: Entry,
    *,
    verifier: Verifier,
    rate_limit: RateLimit,
    progress: Progress,
    stop: StopRequest,
    log: Log,
) -> Unpack:
    """For an object in a store: a tar is unpacked as it comes and never stored, a zip is brought whole before."""

    def unpack(place: Path) -> UnpackedTree:
        check_name(source.name, source)
        plan = FetchPlan.of((source.name, entry))
        check_room(plan, os.fspath(place))
        progress.expect(1, entry.size)
        if archive.is_stream(source.name):
            return _unpack_stream(store, source, entry, place, verifier, rate_limit, progress, stop, log)
        from .download import bring_all

        bring_all(
            store,
            plan,
            os.fspath(place),
            FetchIndex.nowhere(),
            verifier=verifier,
            rate_limit=rate_limit,
            progress=progress,
            stop=stop,
        )
        return unpack_file(place / source.name, source, entry, stop=stop, log=log)(place)

    return unpack


def unpack_file(path: Path, source: Location, entry: Entry, *, stop: StopRequest, log: Log) -> Unpack:
    """For a file."""

    def unpack(place: Path) -> UnpackedTree:
        with io.BufferedReader(io.FileIO(path), _BUFFER) as file:
            return _unpack(file, source, entry, place, stop, log)

    return unpack


def _unpack_stream(
    store: Store,
    source: Location,
    entry: Entry,
    place: Path,
    verifier: Verifier,
    rate_limit: RateLimit,
    progress: Progress,
    stop: StopRequest,
    log: Log,
) -> UnpackedTree:
    """Wrong bytes look like a damaged archive before the digest can tell. What is damaged twice in the same way is."""
    from .read_ahead import ObjectReader

    said, pauses = "", Backoff(0.2, 10.0)
    for attempt in range(1, _ATTEMPTS + 1):
        reader = ObjectReader(store, entry, verifier=verifier, rate_limit=rate_limit, progress=progress, stop=stop)
        try:
            with io.BufferedReader(reader, _BUFFER) as stream:
                try:
                    content = _unpack(stream, source, entry, place, stop, log)
                    if reader.is_right():
                        progress.verified_by(reader.verified, entry.key)
                        return content
                except ArchiveInvalid:
                    if not entry.sha256 or reader.is_right():
                        raise
                if said and said == reader.wrong_sha256:
                    raise wrong_checksum(entry, said)
                said = reader.wrong_sha256
        except ArchiveInvalid as error:
            if str(error) == said:
                raise
            said = str(error)
        except SourceChanging:
            if attempt == _ATTEMPTS:
                raise
            entry = store.stat(entry.key) or entry
        progress.add(-reader.moved)
        shutil.rmtree(place / "content")
        if stop.wait(pauses.next()):
            raise TransferStopped
    why = f"{_ATTEMPTS} times in a row; {said or 'they are not what its digest is of'}"
    raise StoreUnavailable("an archive comes with other bytes than it has", where=str(source), why=why)


def _unpack(
    stream: io.BufferedReader[Any], source: Location, entry: Entry, place: Path, stop: StopRequest, log: Log
) -> UnpackedTree:
    name = archive.stem(source.name)
    root = place / "content" / name
    os.makedirs(root)
    unpacked = archive.unpack(stream, os.fspath(root), name=str(source), stop=stop)
    log.info("unpacked", archive=source.name, members=len(unpacked.made), size=readable(unpacked.size))
    return UnpackedTree(Path(unpacked.root), unpacked.made, entry)


@contextmanager
def workplace(target_dir: Path) -> Iterator[Path]:
    """A directory for what is in the making, on the same file system as the target; gone afterwards."""
    os.makedirs(target_dir, exist_ok=True)
    sweep(os.fspath(target_dir), ("",))
    place, lock = _claimed(target_dir)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(lock)


def _claimed(target_dir: Path) -> tuple[Path, int]:
    """A new directory, and the descriptor that holds it against being swept."""
    while True:
        place = Path(tempfile.mkdtemp(prefix=of_this_machine(), suffix=".partial", dir=target_dir))
        try:
            lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:  # another transfer's sweep was faster than our claim
            continue
        if claim(lock):
            return place, lock
        os.close(lock)


def _move_in(content: Path, root: Path, kept: Collection[str]) -> None:
    """Rename a finished tree into place: at once where nothing is there yet, file by file where something is."""
    if not os.path.lexists(root):
        os.rename(content, root)
        return
    for directory, below, files in os.walk(content):
        relative = os.path.relpath(directory, content)
        make_directories(os.fspath(root), (relative,))
        links = [name for name in below if os.path.islink(os.path.join(directory, name))]
        for name in (*files, *links):
            path = os.path.normpath(os.path.join(relative, name))
            if path not in kept:
                os.replace(os.path.join(directory, name), root / path)
