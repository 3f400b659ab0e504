"""The next attempt goes on: the newest complete checkpoint, and the run's other files, back to where they were.

Everything comes into a directory of its own, is verified there, and only then moved to its place. A mark says meanwhile
what is on its way, so that the next attempt ends what one that was killed in between had begun, whatever it is told
about resuming. What cannot be used is said, with its name: there is no silent start from zero.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from ..errors import BootstrapError, NothingThere, SourceChanging
from ..ground.json_text import load_json
from ..ground.safe_files import replace_own
from ..job import Ending, Log, StopRequest
from ..reporting.record import utc
from ..storage.common.file_errors import local_trouble
from ..storage.common.progress import Progress
from ..storage.common.rate_limit import RateLimit
from ..storage.common.retry import Retry
from ..storage.common.sparse import pieces
from ..storage.common.workers import TransferStopped, in_parallel
from ..storage.fetch.download import bring_all
from ..storage.fetch.index import FetchIndex
from ..storage.fetch.plan import FetchPlan, check_name, check_room
from ..storage.fetch.sparse_file import bring_stretches
from ..storage.model.store import Entry
from ..values import dataclass, field, replace
from .final import doubts
from .local import units
from .local.units import Unit
from .publisher import Publisher, named
from .remote.manifest import Checkpoint, Contents, File, WholeCheckpoint, parents
from .remote.reading import ago
from .remote.sending import Known
from .remote.target import Target

_MARK = ".bootstrap/resuming"
_STAGE = ".bootstrap/resume"
_LARGE = 32 << 20
"""Bytes from which an object is fetched in pieces, for which its ETag has to be known."""

_HASHING = 4  # threads
_CHUNK = 1 << 20
_TRIES = 10
"""How often a checkpoint may be replaced by a newer one while it is brought: what writes there is faster than we read.
"""

_TOLD = 3  # checkpoints that are not used, of one kind, before the rest are a number


@dataclass(frozen=True, slots=True)
class Resumed:
    """Where the command goes on from: ``path`` is the checkpoint's on this disk; ``whence`` its URL or the disk."""

    path: str
    checkpoint: str
    attempt: int
    saved: float
    whence: str
    files: int = 0
    bytes: int = 0
    others: tuple[str, ...] = field(default=())
    """Why newer ones were not used."""

    def told(self) -> dict[str, object]:
        """As the command and the record are told."""
        return {
            "path": self.path,
            "checkpoint": self.checkpoint,
            "attempt": self.attempt,
            "saved": utc(self.saved),
            "from": self.whence,
            "files": self.files,
            "bytes": self.bytes,
            "not_used": list(self.others),
        }


class _Damaged(Exception):
    """Files that are not there as their manifest says."""


def restore(
    publisher: Publisher,
    contents: Contents,
    *,
    reread: Callable[[], Contents],
    same_job: bool,
    stop: StopRequest,
    log: Log,
) -> Resumed | None:
    """Bring back what the next attempt needs, or use what is on this disk. None: there is nothing to go on from.

    ``contents`` is what counts of what the store has, and ``reread`` the same as it is by now. With ``same_job``, that
    is of an earlier attempt of this job, and need not be sent again.

    Raises what the store says, :class:`DiskFull`, :class:`PathUnusable` and :class:`TransferStopped`.
    """
    root = publisher.root
    _know_what_is_here(publisher, contents, same_job)
    here = _on_disk(publisher, contents.newest.attempt if contents.newest is not None else 0)
    notes = _unusable(contents, log)
    useless: list[WholeCheckpoint] = []
    while (one := _next(contents, useless)) is not None and not (here is not None and here.since(one)):
        try:
            resumed = _bring(publisher, contents, one, same_job, stop, log)
        except _Damaged as damage:
            useless.append(one)
            contents = reread()
            if one not in contents.checkpoints and len(useless) < _TRIES:
                log.info(
                    "a checkpoint was replaced while it was brought: a newer one is looked for", checkpoint=one.path
                )
                continue
            notes.append(f"{one.path} of attempt {one.attempt} is damaged: {damage}")
            log.warning(f"a checkpoint cannot be used, and an older one is looked for: {notes[-1]}")
            continue
        log.info("going on from", checkpoint=one.path, saved=ago(one.saved), attempt=one.attempt, files=resumed.files)
        return replace(resumed, others=tuple(notes))
    if here is not None:
        log.info("going on from what is on this disk", checkpoint=here.unit.path, saved=ago(here.saved))
        return here.resumed(publisher, others=tuple(notes))
    if contents.loose.get(publisher.options.node) and same_job:
        _bring_files(publisher, contents, None, [], contents.loose[publisher.options.node].values(), stop, log)
        _know_what_is_here(publisher, contents, same_job)
    if notes:
        log.warning("nothing there can be resumed from", output=str(root))
    return None


def _next(contents: Contents, useless: Sequence[WholeCheckpoint]) -> WholeCheckpoint | None:
    """The newest complete one, but for those that have turned out to be ``useless``."""
    return next((one for one in contents.checkpoints if one.complete and one not in useless), None)


def _unusable(contents: Contents, log: Log) -> list[str]:
    """What is newer than the newest complete checkpoint and is not whole; said, and returned."""
    notes = [f"{key} cannot be read: {why}" for key, why in contents.unreadable]
    newest = contents.newest
    for one in contents.checkpoints:
        if newest is not None and one.age_key <= newest.age_key:
            break
        if not one.complete:
            notes.append(f"{one.path} of attempt {one.attempt} is not complete, without {', '.join(one.missing)}")
    for note in notes[:_TOLD]:
        log.warning(f"not resumed from: {note}")
    if len(notes) > _TOLD:
        log.warning(f"not resumed from: {len(notes) - _TOLD} more")
    return notes


@dataclass(frozen=True, slots=True)
class _Here:
    """A checkpoint that is whole on this disk; ``attempt`` and ``saved`` tell how new it is."""

    unit: Unit
    attempt: int
    saved: float

    def since(self, one: WholeCheckpoint) -> bool:
        """Whether it is ``one``, or newer."""
        return (self.attempt, self.saved) >= (one.attempt, one.saved - 1)

    def resumed(self, publisher: Publisher, *, others: tuple[str, ...] = ()) -> Resumed:
        root, path = publisher.root, self.unit.path
        place = str(root if path == "." else root / path)
        return Resumed(place, path, self.attempt, self.saved, str(root), others=others)


def newest_on_disk(publisher: Publisher, doubtful: Collection[str] = ()) -> Resumed | None:
    """The newest checkpoint on this disk, for a command that is started again in this container. Of what is
    ``doubtful``, only what is in the store as it is here.
    """
    here = _on_disk(publisher, publisher.claim.attempt, doubtful)
    return here.resumed(publisher) if here is not None else None


def left_unfinished(publisher: Publisher, ending: Ending) -> dict[str, str]:
    """The checkpoints on this disk that a command may have been at work on when it ended, with reasons."""
    try:
        found = publisher.look()
    except BootstrapError:
        return {}
    everything = units.units_of(found.items, publisher.options.globs, publisher.clock)
    there = {unit.path for unit in everything if not publisher.shelf.differs(unit)}
    doubtful = doubts(publisher, everything, found.failed, ending)
    return {path: why for path, why in doubtful.items() if path not in there}


def _on_disk(publisher: Publisher, attempt: int, doubtful: Collection[str] = ()) -> _Here | None:
    """The newest checkpoint that is whole on this disk: a restart in the same container.

    What is in the store as it is here is as new as it is there, whatever a clock has said since; anything else is taken
    for the work of ``attempt``.
    """
    try:
        found = publisher.look()
    except BootstrapError:
        return None
    newest: _Here | None = None
    shelf, now = publisher.shelf, publisher.clock.now()
    for unit in units.units_of(found.items, publisher.options.globs, publisher.clock):
        if unit.kind != "checkpoint" or unit.path in doubtful:
            continue
        mine = shelf.manifests.get(unit.path)
        known = mine is not None and not shelf.differs(unit)
        one = _Here(unit, mine.attempt, mine.saved) if mine and known else _Here(unit, attempt, unit.modified)
        if newest is not None and (one.attempt, one.saved) <= (newest.attempt, newest.saved):
            continue
        if not units.unfinished(unit, found.items, now, 0.0, nodes=1):
            newest = one
    return newest


def _bring(
    publisher: Publisher, contents: Contents, one: WholeCheckpoint, same_job: bool, stop: StopRequest, log: Log
) -> Resumed:
    """A checkpoint, the run's other files, and the checkpoints that its pointers name."""
    node, root = publisher.options.node, publisher.root
    loose = contents.loose.get(node, {}) if same_job or not node else {}
    if not same_job:  # another job's checkpoint is wanted, with what names it
        loose = {path: file for path, file in loose.items() if units.is_pointer(path, file.size)}
    others: dict[str, WholeCheckpoint] = {}
    for each in contents.checkpoints if same_job else ():  # the newest of every kind: a script may know it by its name
        if each.complete and units.series(each.path) != units.series(one.path):
            others.setdefault(units.series(each.path), each)
    count, size = _bring_files(publisher, contents, one, list(others.values()), loose.values(), stop, log)
    if same_job:
        _know_what_is_here(publisher, contents, same_job)
    path = root if one.path == "." else root / one.path
    if one.format == "tensorflow":
        path = root / one.path  # a prefix, as TensorFlow wants it
    return Resumed(str(path), one.path, one.attempt, one.saved, str(publisher.target.url), count, size)


def _bring_files(
    publisher: Publisher,
    contents: Contents,
    main: WholeCheckpoint | None,
    others: Sequence[WholeCheckpoint],
    loose: Iterable[File],
    stop: StopRequest,
    log: Log,
) -> tuple[int, int]:
    """Files into a place of their own, verified, then to theirs. Raises :class:`_Damaged` for those of ``main``:
    what else is damaged is said and left out.
    """
    root, target, node, nodes = publisher.root, publisher.target, publisher.options.node, publisher.options.nodes
    stage = root / _STAGE
    with local_trouble(str(root), "cannot bring a checkpoint back"):
        shutil.rmtree(stage, ignore_errors=True)
        stage.mkdir(parents=True)
        try:
            must = {file.path: file for file in main.files_for(node)} if main is not None else {}
            files = dict(must)
            fetched = 0
            for several in (*(whole.files_for(node) for whole in others), loose):
                wanted = [file for file in several if file.path not in files]
                ours = [file for file in wanted if not _was_fetched(publisher, file)]
                fetched += len(wanted) - len(ours)
                _add(files, [file for file in ours if not _newer_here(root, file)], log)
            if fetched:
                log.info("not brought back: the code or an input has brought it itself", files=fetched)
            missing = {path: file for path, file in files.items() if not _is_here(root, file)}
            bad = _fetch(target, list(missing.values()), stage, nodes, stop, log)
            broken = [f"{path} ({why})" for path, why in bad.items() if path in must]
            if broken:
                raise _Damaged(", ".join(broken[:_TOLD]))
            for path, why in bad.items():
                log.warning(f"not brought back: {path}: {why}")
            have = [main] if main is not None else []
            for whole in others:  # all of one, or nothing of it
                mine = {file.path for file in whole.files_for(node)}
                if mine.isdisjoint(bad):
                    have.append(whole)
                else:
                    missing = {path: file for path, file in missing.items() if path not in mine - must.keys()}
            for pointer, other in _named_by_pointers(publisher, contents, stage, files):
                if other in have:
                    continue
                more = {file.path: file for file in other.files_for(node) if not _is_here(root, file)}
                worse = dict.fromkeys(other.missing, "is not there")
                worse = worse or _fetch(target, list(more.values()), stage, nodes, stop, log)
                if worse:
                    path, why = next(iter(worse.items()))
                    what = f"it names {other.path}, which cannot be used: {path}: {why}"
                    log.warning(f"not brought back: {pointer}: {what}")
                    missing.pop(pointer, None)
                else:
                    have.append(other)
                    missing.update(more)
            brought = [file for path, file in missing.items() if (stage / path).exists()]
            _place(brought, root)
        finally:
            _clear(root)
    return len(brought), sum(file.size for file in brought)


def _add(files: dict[str, File], more: Sequence[File], log: Log) -> None:
    """Add ``more``, but for what has the name of a directory of what is there, or of a file in place of its own."""
    above = {parent for path in files for parent in parents(path)}
    for file in more:
        if file.path in above or any(parent in files for parent in parents(file.path)):
            log.warning(f"not brought back: {file.path}: it has been a file and a directory, and the other one comes")
        else:
            files[file.path] = file


def fetch_one(
    target: Target, choose: Callable[[Contents], WholeCheckpoint], directory: Path, stop: StopRequest, log: Log
) -> tuple[WholeCheckpoint, int, int]:
    """All nodes' files of a checkpoint that ``choose`` chooses into ``directory``, whole and verified or not at all;
    which it was, the number of files, and their bytes. One that is replaced meanwhile is chosen again.

    Raises :class:`SourceChanging` when something is not as its manifest says.
    """
    one = choose(target.contents(surely=True))
    stage = directory / _STAGE
    with local_trouble(str(directory), "cannot bring a checkpoint"):
        try:
            for tries in range(1, _TRIES + 1):
                shutil.rmtree(stage, ignore_errors=True)
                stage.mkdir(parents=True)
                files = one.files_for(0)
                bad = _fetch(target, files, stage, 1, stop, log)
                if not bad:
                    break
                before, contents = one, target.contents(surely=True)
                if before in contents.checkpoints or tries == _TRIES:
                    path, why = next(iter(bad.items()))
                    raise SourceChanging("a checkpoint is damaged", where=f"{before.path}: {path}", why=why)
                one = choose(contents)
                log.info(
                    "a checkpoint was replaced while it was fetched: the one that is there by now is",
                    checkpoint=one.path,
                )
            _place(files, directory)
        finally:
            _clear(directory)
    return one, len(files), sum(file.size for file in files)


def finish_interrupted(root: Path, log: Log) -> None:
    """End what somebody who was killed while he brought files into ``root`` had begun: what was verified gets its
    place. Where that is no longer possible, what has come of it goes again: half of it would pass for a whole.

    Raises :class:`PathUnusable` and its kin.
    """
    if not (root / ".bootstrap").is_dir():
        return
    with local_trouble(str(root), "cannot end what an earlier attempt was bringing back"):
        files = _marked(root)
        if files:
            moved = [file for file in files if not os.path.lexists(root / _STAGE / file.path)]
            lost = [file.path for file in moved if not _looks_like(root, file)]
            if not lost:
                log.warning("an earlier attempt was killed while it brought its files back: that is ended now")
                _place(files, root)
            else:
                log.warning(
                    "an earlier attempt was killed while it brought its files back, and not all are there any more: "
                    "what there is of them goes",
                    output=str(root),
                    files=len(moved) - len(lost),
                )
                for file in moved:
                    if _looks_like(root, file):
                        (root / file.path).unlink()
        (root / _MARK).unlink(missing_ok=True)
        _clear(root)


def _marked(root: Path) -> list[File]:
    """What was on its way to its place when its bringer was killed."""
    try:
        found = load_json((root / _MARK).read_bytes())
        files = [File(one["path"], one["path"], one["size"], "", one["modified"]) for one in found]
        return [file for file in files if not os.path.isabs(file.path) and ".." not in file.path.split("/")]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _place(files: Sequence[File], root: Path) -> None:
    """From the stage to their places, with a mark that tells which meanwhile."""
    mark = [{"path": file.path, "size": file.size, "modified": file.modified} for file in files]
    replace_own(root / _MARK, json.dumps(mark).encode())
    _move([file for file in files if os.path.lexists(root / _STAGE / file.path)], root / _STAGE, root)
    (root / _MARK).unlink()


def _clear(root: Path) -> None:
    """Nothing of ours stays, but for what :func:`finish_interrupted` needs."""
    if not (root / _MARK).exists():
        shutil.rmtree(root / _STAGE, ignore_errors=True)
    try:
        (root / ".bootstrap").rmdir()
    except OSError:
        pass


def _fetch(
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
        return _digest(stage / file.path)

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


def _named_by_pointers(
    publisher: Publisher, contents: Contents, stage: Path, files: Mapping[str, File]
) -> list[tuple[str, WholeCheckpoint]]:
    """The pointers among ``files``, and the newest version of each checkpoint that they name: a complete one, where
    there is one.
    """
    from ..storage.upload.walk import Item

    found: list[tuple[str, WholeCheckpoint]] = []
    ordered = sorted(contents.checkpoints, key=lambda one: (one.complete, one.age_key))
    there = {one.path: one for one in ordered}
    wholes = {path: Unit("checkpoint", path, format=one.format) for path, one in there.items()}
    for path, file in files.items():
        place = stage / path if (stage / path).exists() else publisher.root / path
        if not units.is_pointer(path, file.size) or not place.exists():
            continue
        for unit in named(Unit("pointer", path, [Item(path, "", place, file.size)]), list(wholes.values())):
            found.append((path, there[unit.path]))
    return found


def _move(files: Sequence[File], stage: Path, root: Path) -> None:
    """Pointers last, so that they never name what is not there."""
    for file in sorted(files, key=lambda file: (units.is_pointer(file.path, file.size), file.path)):
        place = root / file.path
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        for above in list(place.relative_to(root).parents)[-2::-1]:  # the first below root comes first
            if (root / above).is_file():
                (root / above).unlink()
        place.parent.mkdir(parents=True, exist_ok=True)
        if file.modified:
            os.utime(stage / file.path, (file.modified, file.modified))
        os.replace(stage / file.path, place)


def _is_here(root: Path, file: File) -> bool:
    """Whether it is on this disk, brought back or written by an earlier attempt in the same container."""
    return _looks_like(root, file) and _digest(root / file.path) == file.sha256


def _looks_like(root: Path, file: File) -> bool:
    """Whether a file is there that has its size and its time."""
    try:
        found = (root / file.path).stat()
    except OSError:
        return False
    return found.st_size == file.size and (not file.modified or abs(found.st_mtime - file.modified) < 0.002)


def _was_fetched(publisher: Publisher, file: File) -> bool:
    """Whether this run's code or inputs have brought it: nobody can choose when a file was last changed."""
    try:
        changed = os.lstat(publisher.root / file.path).st_ctime
    except OSError:
        return False
    return publisher.fetched_since is not None and changed >= publisher.fetched_since - 0.01


def _newer_here(root: Path, file: File) -> bool:
    try:
        return (root / file.path).stat().st_mtime > file.modified + 0.002
    except OSError:
        return False


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        for piece in pieces(file.fileno(), 0, os.fstat(file.fileno()).st_size, _CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def _know_what_is_here(publisher: Publisher, contents: Contents, same_job: bool) -> None:
    """What is on this disk as it is in the store need not be sent again."""
    if not same_job:
        return
    shelf, node = publisher.shelf, publisher.options.node
    try:
        found = publisher.look()
    except BootstrapError:
        return
    files: dict[str, File] = dict(contents.loose.get(node, {}))
    newest: dict[str, WholeCheckpoint] = {}
    for one in reversed(contents.checkpoints):  # the newest last
        if one.complete:
            newest[one.path] = one
    for one in newest.values():
        files.update((file.path, file) for file in one.files_for(node))
    from .local import scan

    for path, file in files.items():
        item = found.items.get(path)
        signature = scan.signature(item) if item is not None else None
        if signature is not None and signature[0] == file.size and abs(signature[1] / 1e9 - file.modified) < 0.002:
            shelf.known[path] = Known(signature, file)
            shelf.sender.remember(shelf.known[path])
    for path, one in newest.items():
        mine = one.nodes.get(node) or _empty(one, node)
        if all(file.path in shelf.known for file in one.files_for(node)):
            shelf.manifests[path] = mine
            shelf.promise(path)  # who was killed may have left older ones, and its contents without their names


def _empty(one: WholeCheckpoint, node: int) -> Checkpoint:
    return Checkpoint(one.path, one.format, one.attempt, one.version, node, 1, one.saved, one.published, ())
