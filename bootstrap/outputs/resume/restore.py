"""Which checkpoint comes: the newest that is complete and turns out to be whole, unless a newer one is on this disk.

What cannot be used is said, with its name: there is no silent start from zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ...errors import SourceChanging
from ...job import Log, StopRequest
from ...storage.common.file_errors import local_trouble
from ...values import replace
from ..local import units
from ..publisher import Publisher
from ..remote.contents import Contents, WholeCheckpoint
from ..remote.reading import ago
from ..remote.target import Target
from .bring import TOLD, Damaged, bring_files
from .fetch import fetch_verified
from .on_disk import know_what_is_here, newest_there
from .resumed import Resumed
from .stage import emptied, put_in_place, staged

_TRIES = 10
"""How often a checkpoint may be replaced by a newer one while it is brought: what writes there is faster than we read.
"""


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
    know_what_is_here(publisher, contents, same_job)
    attempt = contents.newest.attempt if contents.newest is not None else 0
    here, maybe = newest_there(publisher, attempt, surely=True), newest_there(publisher, attempt)
    notes = _unusable(contents, log)
    if maybe is not None and (here is None or maybe.unit.path != here.unit.path):
        alone = publisher.options.nodes == 1
        if alone and contents.newest is None and here is None:
            here = maybe
        else:
            why = "nothing tells that it was finished" if alone else "not complete in the store, where all nodes see it"
            notes.append(f"{maybe.unit.path} is on this disk, and {why}")
            log.warning(f"not resumed from: {notes[-1]}")
    useless: list[WholeCheckpoint] = []
    while (one := _next(contents, useless)) is not None and not (here is not None and here.since(one)):
        try:
            resumed = _bring(publisher, contents, one, same_job, stop, log)
        except Damaged as damage:
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
        bring_files(publisher, contents, None, [], contents.loose[publisher.options.node].values(), stop, log)
        know_what_is_here(publisher, contents, same_job)
    if notes:
        log.warning("nothing there can be resumed from", output=str(root))
    return None


def _next(contents: Contents, useless: Sequence[WholeCheckpoint]) -> WholeCheckpoint | None:
    """The newest complete one, but for those that have turned out to be ``useless``."""
    return next((one for one in contents.checkpoints if one.complete and one not in useless), None)


def _unusable(contents: Contents, log: Log) -> list[str]:
    """What is newer than the newest complete checkpoint and is not whole; said, and returned."""
    notes = [f"{key} cannot be read: {why}" for key, why in contents.unreadable]
    for run in contents.runs:
        if run.attempt == contents.attempt:
            what = f"of attempt {run.attempt} was not finished"
            notes += [f"{one.get('path')} {what}: {one.get('why')}" for one in run.unfinished]
    newest = contents.newest
    for one in contents.checkpoints:
        if newest is not None and one.age_key <= newest.age_key:
            break
        if not one.complete:
            notes.append(f"{one.path} of attempt {one.attempt} is not complete, without {', '.join(one.missing)}")
    for note in notes[:TOLD]:
        log.warning(f"not resumed from: {note}")
    if len(notes) > TOLD:
        log.warning(f"not resumed from: {len(notes) - TOLD} more")
    return notes


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
    count, size = bring_files(publisher, contents, one, list(others.values()), loose.values(), stop, log)
    if same_job:
        know_what_is_here(publisher, contents, same_job)
    path = root / one.path  # of TensorFlow's a prefix, as it wants it
    return Resumed(str(path), one.path, one.attempt, one.saved, str(publisher.target.url), count, size)


def fetch_one(
    target: Target, choose: Callable[[Contents], WholeCheckpoint], directory: Path, stop: StopRequest, log: Log
) -> tuple[WholeCheckpoint, int, int]:
    """All nodes' files of a checkpoint that ``choose`` chooses into ``directory``, whole and verified or not at all;
    which it was, the number of files, and their bytes. One that is replaced meanwhile is chosen again.

    Raises :class:`SourceChanging` when something is not as its manifest says.
    """
    one = choose(target.contents(surely=True))
    with local_trouble(str(directory), "cannot bring a checkpoint"), staged(directory) as stage:
        for tries in range(1, _TRIES + 1):
            files = one.files_for(0)
            bad = fetch_verified(target, files, emptied(stage), 1, stop, log)
            if not bad:
                break
            before, contents = one, target.contents(surely=True)
            if before in contents.checkpoints or tries == _TRIES:
                path, why = next(iter(bad.items()))
                raise SourceChanging("a checkpoint is damaged", where=f"{before.path}: {path}", why=why)
            one = choose(contents)
            log.info(
                "a checkpoint was replaced while it was fetched: the one that is there by now is", checkpoint=one.path
            )
        put_in_place(files, directory)
    return one, len(files), sum(file.size for file in files)
