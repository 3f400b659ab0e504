"""What is in the store already, and what of it is to go: over a directory, with publishers of one job's attempts."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from bootstrap.outputs.publisher import Publisher
from bootstrap.outputs.remote.contents import whole
from bootstrap.outputs.remote.manifest import NEW, Checkpoint
from bootstrap.outputs.resume.on_disk import OnDisk
from tests.lab.waiting import until
from tests.outputs.conftest import NEVER, Place, write


def test_what_a_killed_attempt_was_sending_goes_and_what_another_node_or_nobody_sends_stays(
    nas: Place, root: Path
) -> None:
    killed, other = nas.publisher(root, node=0, nodes=2), nas.publisher(root, node=1, nodes=2)
    places = {name: f"{NEW}000001.{run}/a.pt" for name, run in
              (("killed", killed.claim.run), ("other", other.claim.run), ("nobody", "ffffffff"))}  # fmt: skip
    for key in places.values():
        place = Path(nas.url) / key
        place.parent.mkdir(parents=True)
        place.write_bytes(b"half")
    publisher = nas.publisher(root, node=0, nodes=2)
    write(root, {"step-1.pt": b"1"}, age=60)
    for _ in range(3):
        publisher.round(NEVER)
    there = {name for name, key in places.items() if (Path(nas.url) / key).exists()}
    assert there == {"other", "nobody"}


def test_a_checkpoint_of_several_nodes_that_this_attempt_writes_again_is_known_as_such(nas: Place, root: Path) -> None:
    publisher = nas.publisher(root, node=0, nodes=2)
    write(root, {"step-1/.metadata": pickle.dumps("__0_0.distcp"), "step-1/__0_0.distcp": b"1"}, age=0)
    (unit,) = publisher.units_of(publisher.look())
    assert not publisher.shelf.rewritten_by_several(unit), "nothing is there"

    def is_there() -> bool:
        publisher.round(NEVER)
        return "step-1" in publisher.shelf.manifests

    until(is_there)
    (unit,) = publisher.units_of(publisher.look())
    assert not publisher.shelf.rewritten_by_several(unit), "it is what is there"
    write(root, {"step-1/__0_0.distcp": b"other"}, age=0)
    (unit,) = publisher.units_of(publisher.look())
    assert publisher.shelf.rewritten_by_several(unit)
    later = nas.publisher(root, node=0, nodes=2)
    (unit,) = later.units_of(later.look())
    assert not later.shelf.rewritten_by_several(unit), "another attempt's is another checkpoint"


@pytest.mark.parametrize(
    ("attempt", "saved", "since"),
    [(2, 100.0, True), (2, 99.0, True), (2, 98.9, False), (3, 1.0, True), (1, 200.0, False)],
)
def test_what_is_on_the_disk_is_as_new_by_its_attempt_and_then_by_the_second(
    attempt: int, saved: float, since: bool, nas: Place, root: Path
) -> None:
    """Stores and file systems keep times of whole seconds."""
    publisher = nas.publisher(root)
    write(root, {"step-1.pt": b"1"})
    (unit,) = publisher.units_of(publisher.look())
    there = whole([Checkpoint("step-1.pt", "", 2, 0, 0, 1, 100.0, 100.0, ())])
    assert OnDisk(unit, attempt, saved).since(there) == since


def test_a_checkpoint_that_is_written_again_is_the_next_version_and_begins_anew_with_each_attempt(
    nas: Place, root: Path
) -> None:
    def published(publisher: Publisher, content: str) -> tuple[int, int]:
        write(root, {"last.pt": content}, age=0)

        def is_there() -> bool:
            publisher.round(NEVER)
            mine = publisher.shelf.manifests.get("last.pt")
            return mine is not None and mine.files[0].size == len(content)

        until(is_there)
        mine = publisher.shelf.manifests["last.pt"]
        return mine.attempt, mine.version

    first = nas.publisher(root)
    assert [published(first, "1" * length) for length in (1, 2, 3)] == [(1, 1), (1, 2), (1, 3)]
    second = nas.publisher(root)
    assert [published(second, "2" * length) for length in (4, 5)] == [(2, 1), (2, 2)]
