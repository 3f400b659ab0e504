"""What is on this disk: the newest checkpoint for a restart in the same container, and what need not be sent again."""

from __future__ import annotations

from collections.abc import Collection

from ...errors import BootstrapError
from ...job import Ending
from ...values import dataclass
from ..final import doubts
from ..local import scan, units
from ..local.units import Unit
from ..publisher import Publisher
from ..remote.contents import Contents, WholeCheckpoint
from ..remote.manifest import Checkpoint, File
from ..remote.sending import Known
from .resumed import Resumed


@dataclass(frozen=True, slots=True)
class OnDisk:
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
    here = newest_there(publisher, publisher.claim.attempt, doubtful)
    return here.resumed(publisher) if here is not None else None


def left_unfinished(publisher: Publisher, ending: Ending) -> dict[str, str]:
    """The checkpoints on this disk that a command may have been at work on when it ended, with reasons."""
    try:
        found = publisher.look()
    except BootstrapError:
        return {}
    everything = units.units_of(found.items, publisher.options.globs, publisher.clock)
    there = {unit.path for unit in everything if not publisher.shelf.differs(unit)}
    doubtful = doubts(publisher, everything, found, ending)
    return {path: why for path, why in doubtful.items() if path not in there}


def newest_there(
    publisher: Publisher, attempt: int, doubtful: Collection[str] = (), *, surely: bool = False
) -> OnDisk | None:
    """The newest checkpoint that is whole on this disk: a restart in the same container. ``surely``: only what tells it
    or is in the store, since whoever wrote it may have been killed in the middle, and silence tells nothing any more;
    of several nodes only what is in the store, where all of them see it.

    What is in the store as it is here is as new as it is there, whatever a clock has said since; anything else is taken
    for the work of ``attempt``.
    """
    try:
        found = publisher.look()
    except BootstrapError:
        return None
    newest: OnDisk | None = None
    shelf, now = publisher.shelf, publisher.clock.now()
    for unit in units.units_of(found.items, publisher.options.globs, publisher.clock):
        if unit.kind != "checkpoint" or unit.path in doubtful:
            continue
        mine = shelf.manifests.get(unit.path)
        known = mine is not None and not shelf.differs(unit)
        one = (
            OnDisk(unit, mine.attempt, mine.saved)
            if mine and known
            else OnDisk(unit, attempt, shelf.of_all(unit.modified))
        )
        if newest is not None and (one.attempt, one.saved) <= (newest.attempt, newest.saved):
            continue
        alone = publisher.options.nodes == 1
        if surely and not known and not (alone and units.tells_that_it_is_whole(unit, found.items)):
            continue
        if not units.unfinished(unit, found.items, now, 0.0, nodes=1):
            newest = one
    return newest


def know_what_is_here(publisher: Publisher, contents: Contents, same_job: bool) -> None:
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
