"""When the next look comes, and what a look leaves to it."""

from __future__ import annotations

import errno
import os
import pickle
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from bootstrap.job import StopRequest
from bootstrap.outputs.live import Schedule
from bootstrap.outputs.local.scan import Look
from bootstrap.outputs.local.snapshot import Snapshots
from bootstrap.outputs.publisher import Publisher
from bootstrap.storage.common.workers import TransferStopped
from tests.lab.faulty_proxy import Fault, FaultyProxy, Pieces
from tests.lab.proxy import Handler
from tests.lab.stores import Store
from tests.outputs.conftest import NEVER, Place, stores_of, write


def pauses(publisher: Publisher, found: Sequence[frozenset[str]], *, cost: float = 0.0) -> list[float]:
    """What comes after rounds that found these checkpoints at work."""
    schedule, told = Schedule(60.0), []
    for moving in found:
        publisher.moving, publisher.look_cost = moving, cost
        told.append(schedule.pause([publisher], worked=True))
    return told


def test_a_look_ends_when_there_is_no_time_for_it(nas: Place, root: Path) -> None:
    """On a mount that takes 40 ms for each operation a look at a hundred files would be all of a grace."""
    publisher, stop = nas.publisher(root), threading.Event()
    write(root, {"a.pt.tmp": "not for now"})
    publisher.round(stop)
    stop.set()
    with pytest.raises(TransferStopped):
        publisher.round(stop)


def test_what_comes_behind_what_seemed_to_come_last_belongs_to_it(nas: Place, root: Path) -> None:
    """Fabric's ``meta.pt`` comes behind DCP's ``.metadata``, in a directory of any name."""
    publisher, look = nas.publisher(root), Publisher.look
    write(root, {"step-5/.metadata": pickle.dumps("__0_0.distcp"), "step-5/__0_0.distcp": "x"}, age=0)

    def look_and_save(self: Publisher, stop: StopRequest) -> Look:
        found = look(self, stop)
        write(root, {"step-5/meta.pt": "x"}, age=0)
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Publisher, "look", look_and_save)
        publisher.round(NEVER)
    assert nas.contents().checkpoints == () and publisher.moving == {"step-5"}
    publisher.round(NEVER)
    (there,) = nas.contents().checkpoints
    assert {file.path for file in there.files_for(0)} == {
        f"step-5/{name}" for name in (".metadata", "__0_0.distcp", "meta.pt")
    }


def test_a_checkpoint_that_was_at_work_is_looked_at_soon_and_then_less_and_less(nas: Place, root: Path) -> None:
    """Or a training that saves once a minute is met at work each minute."""
    publisher = nas.publisher(root)
    last = frozenset({"last.ckpt"})
    told = pauses(publisher, [last] * 12)
    assert told[0] <= 0.5 and told[1] <= 1.0 and told[3] <= 4.0
    assert all(30.0 <= pause <= 60.0 for pause in told[-3:])
    assert len(set(told[-3:])) == 3, "no rhythm that a training could have, too"
    again = pauses(publisher, [last, frozenset(), last])
    assert 58.0 <= again[1] < 60.0 and again[2] <= 0.5
    another = pauses(publisher, [last] * 8 + [frozenset({"step-7"})])
    assert another[-1] <= 0.5


def test_a_look_that_costs_much_is_not_repeated_at_once(nas: Place, root: Path) -> None:
    assert pauses(nas.publisher(root), [frozenset({"last.ckpt"})], cost=2.0) == [20.0]


def test_a_look_comes_so_early_that_what_it_finds_is_there_when_the_interval_is_over(nas: Place, root: Path) -> None:
    publisher, told = nas.publisher(root), dict[tuple[float, float], float]()
    for interval, lead in ((60.0, 0.4), (60.0, 45.0), (1.0, 0.4), (1.0, 3.0)):
        publisher.lead = lead
        told[interval, lead] = Schedule(interval).pause([publisher], worked=True)
    assert told == {(60.0, 0.4): 59.6, (60.0, 45.0): 30.0, (1.0, 0.4): 0.6, (1.0, 3.0): 0.5}
    publisher.look_cost = 0.08
    assert Schedule(1.0).pause([publisher], worked=True) == pytest.approx(0.8), "a tenth of a core at most"
    write(root, {"step-1.pt": b"1"})
    publisher.round(NEVER)
    assert 0.3 <= publisher.lead < 3.0
    lead = publisher.lead
    publisher.round(NEVER)
    assert publisher.lead == lead, "a look that finds nothing says nothing of it"
    write(root, {"metrics.csv": b"1"})
    publisher.round(NEVER)
    assert publisher.lead == lead, "nor does one that finds no checkpoint"
    publisher.lead = 20.0
    write(root, {"step-2.pt": b"2"})
    publisher.round(NEVER)
    assert 10.0 < publisher.lead < 20.0, "one that went fast is no promise"


def test_a_store_that_does_not_work_is_asked_less_and_less(nas: Place, root: Path) -> None:
    schedule, publisher = Schedule(10.0), nas.publisher(root)
    publisher.moving = frozenset({"last.ckpt"})
    assert schedule.pause([publisher], worked=True) <= 0.5
    assert [schedule.pause([publisher], worked=False) for _ in range(4)] == [20.0, 40.0, 60.0, 60.0]


def test_what_is_at_work_is_known_after_a_round(nas: Place, root: Path) -> None:
    write(root, {"last.ckpt": "1", "last.ckpt-unfinished": "", "tmp-7/model.bin": "2"})
    publisher = nas.publisher(root)
    publisher.round(NEVER)
    assert publisher.moving == {"last.ckpt"} and nas.complete() == []
    (root / "last.ckpt-unfinished").unlink()
    publisher.round(NEVER)
    assert publisher.moving == set() and nas.complete() == ["last.ckpt"]


def test_when_its_time_is_over_a_round_leaves_the_rest_to_one_that_looks_first_for_what_is_newer(
    nas: Place, root: Path
) -> None:
    """A first round with hours of old files to send must not keep the checkpoint of this minute waiting."""
    for n in range(3):
        write(root, {f"step-{n}.pt": bytes([n]) * (20 << 20)}, age=100 - n)  # two of them are more than one group
    write(root, {"data.bin": bytes(100_000), "metrics.json": "small"}, age=100)
    publisher = nas.publisher(root, rate=20 << 20)
    publisher.round(NEVER, 0.5)
    assert publisher.behind and nas.complete() == ["step-2.pt"]
    write(root, {"step-3.pt": b"new"}, age=10)
    publisher.sender.throttle.rate = 0.0
    publisher.round(NEVER, 60.0)
    assert not publisher.behind and nas.complete() == ["step-3.pt", "step-2.pt", "step-1.pt", "step-0.pt"]
    assert set(nas.names()) >= {"data.bin", "metrics.json"}


def test_what_is_rewritten_faster_than_it_can_be_sent_is_copied_first(
    seaweedfs: Store, faulty: FaultyProxy, root: Path
) -> None:
    """``last.ckpt`` each second, on a machine or a network that needs longer: a state of it must come through."""
    place = Place(seaweedfs.make_bucket().url("m/"), stores_of(seaweedfs, faulty.endpoint))
    states = [str(n) * (100 + n) for n in range(9)]
    write(root, {"last.ckpt": states.pop(), "step-1.pt": "calm"})

    def sent(handler: Handler, pieces: Pieces) -> Pieces:
        write(root, {"last.ckpt": states.pop()})
        yield from pieces

    faulty.inject(Fault("a training goes on", sent=sent), method="PUT", key="*last.ckpt", times=None)
    publisher = place.publisher(root)
    publisher.round(NEVER)
    assert place.complete() == ["step-1.pt"] and publisher.moving == {"last.ckpt"}
    before = (root / "last.ckpt").read_text()
    publisher.round(NEVER)
    assert (root / "last.ckpt").read_text() != before, "it was rewritten while it was sent"
    assert set(place.complete()) == {"step-1.pt", "last.ckpt"}
    assert place.get("last.ckpt").decode() == before


def test_a_copy_is_one_state_and_none_is_made_of_what_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"1" * 100)
    with (tmp_path / "large").open("wb") as file:
        file.truncate(33 << 20)
    with Snapshots() as snapshots:
        copy = snapshots.take(tmp_path / "small", tmp_path)
        (tmp_path / "small").write_bytes(b"2" * 10)
        assert copy.read_bytes() == b"1" * 100
        try:
            shared = snapshots.take(tmp_path / "large", tmp_path)
        except OSError as error:
            assert error.errno == errno.EFBIG
        else:
            assert shared.stat().st_size == 33 << 20, "a file system that shares blocks"
    assert not copy.exists()
    assert sorted(os.listdir(tmp_path)) == ["large", "small"]
