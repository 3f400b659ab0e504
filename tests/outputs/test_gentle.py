"""The trainer comes first: bytes a second within the bound, low priority, and holes that nobody reads."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from pathlib import Path

import pytest

from bootstrap.outputs.live import Live
from bootstrap.outputs.resume.restore import restore
from tests.lab.faulty_proxy import Fault, FaultyProxy, Pieces, slow_upload
from tests.lab.proxy import Handler
from tests.lab.stores import Store
from tests.lab.waiting import until
from tests.outputs.conftest import NEVER, Place, end, stores_of, write

MIB = 1 << 20
RATE = 1_000_000


def watched(seen: list[tuple[float, int]]) -> Fault:
    """No fault: what goes to the store is written down, with when."""

    def sent(handler: Handler, pieces: Pieces) -> Pieces:
        for piece in pieces:
            seen.append((time.monotonic(), len(piece)))
            yield piece

    return Fault("watched", sent=sent)


@pytest.mark.parametrize("sizes", [(4 * MIB,), (MIB // 4,) * 16], ids=["one file", "many files"])
def test_no_more_bytes_a_second_than_were_allowed_go_to_a_bucket(
    seaweedfs: Store, faulty: FaultyProxy, root: Path, sizes: tuple[int, ...]
) -> None:
    place = Place(seaweedfs.make_bucket().url("m/"), stores_of(seaweedfs, faulty.endpoint))
    write(root, {f"{n}.pt": os.urandom(size) for n, size in enumerate(sizes)})
    publisher = place.publisher(root, rate=RATE)
    seen: list[tuple[float, int]] = []
    faulty.inject(watched(seen), method="PUT", times=None)
    began, total = time.monotonic(), 0
    publisher.round(NEVER)
    for moment, size in seen:
        total += size
        assert total <= RATE * (moment - began) + 1.5 * MIB, "more than the bound and what is on its way at once"
    assert total >= 4 * MIB
    assert len(place.complete()) == len(sizes)


def test_no_more_bytes_a_second_than_were_allowed_go_to_a_directory(tmp_path: Path, root: Path, nas: Place) -> None:
    write(root, {"a.pt": os.urandom(4 * MIB)})
    publisher = nas.publisher(root, rate=RATE)
    began = time.monotonic()
    publisher.round(NEVER)
    assert time.monotonic() - began > (4 * MIB - 1.2 * MIB) / RATE
    assert nas.complete() == ["a.pt"]


def test_the_bound_ends_with_the_command(nas: Place, root: Path) -> None:
    write(root, {"a.pt": os.urandom(20 * MIB)})
    began = time.monotonic()
    end(nas.publisher(root, rate=10_000))
    assert nas.complete() == ["a.pt"]
    assert time.monotonic() - began < 300, "at its rate it would take half an hour"


def io_priority(thread: int) -> tuple[int, int]:
    """Class and level of a thread."""
    number = {"x86_64": 252, "aarch64": 31}[os.uname().machine]
    found = ctypes.CDLL(None).syscall(number, 1, thread)
    return found >> 13, found & 0xFF


def test_who_sends_has_a_low_priority_and_nobody_else(seaweedfs: Store, faulty: FaultyProxy, root: Path) -> None:
    place = Place(seaweedfs.make_bucket().url("m/"), stores_of(seaweedfs, faulty.endpoint))
    write(root, {f"{n}.pt": os.urandom(MIB) for n in range(4)})
    publisher = place.publisher(root)
    slow = faulty.inject(slow_upload(200_000), method="PUT", times=None)
    before, mine = set(threading.enumerate()), threading.get_native_id()
    usual = os.getpriority(os.PRIO_PROCESS, mine), io_priority(mine)
    if usual[0] >= 10 or usual[1] == (2, 7):
        pytest.skip("this suite itself has a low priority: what it lowers cannot be told apart")
    live = Live([publisher], interval=0.1, stop=NEVER, log=place.log)
    live.start()
    try:
        until(slow.fired.is_set)
        ours = [one for one in threading.enumerate() if one not in before]
        ours = [one for one in ours if one.name.startswith(("outputs", "transfer"))]
        assert {one.name.partition("-")[0] for one in ours} == {"outputs", "transfer"}
        for one in ours:
            assert one.native_id is not None
            assert os.getpriority(os.PRIO_PROCESS, one.native_id) == 10, one.name
            assert io_priority(one.native_id) == (2, 7), one.name
        assert (os.getpriority(os.PRIO_PROCESS, mine), io_priority(mine)) == usual
    finally:
        live.halt.set()
        live.finish(threading.Event())


def test_a_hole_is_said_before_it_goes_and_is_not_read(place: Place, root: Path) -> None:
    with (root / "sparse.pt").open("wb") as file:
        file.write(b"head")
        file.truncate(96 * MIB)
        file.seek(80 * MIB)
        file.write(b"tail")
    os.utime(root / "sparse.pt", (1_000_000, 1_000_000))
    publisher = place.publisher(root)
    before = read_by_us()
    publisher.round(NEVER)
    cost = read_by_us() - before
    assert "sparse.pt has holes" in place.log.text() and "100.7 MB, of which " in place.log.text()
    (file_,) = place.contents().checkpoints[0].files_for(0)
    assert file_.size == 96 * MIB
    assert publisher.sender.sent == 96 * MIB
    if not place.target().url.is_remote:
        assert cost < 8 * MIB
        assert (Path(place.url) / "sparse.pt").stat().st_blocks * 512 < 8 * MIB
    assert place.complete() == ["sparse.pt"]
    elsewhere = place.publisher(root.with_name("next"))
    resumed = restore(elsewhere, place.contents(), reread=place.contents, same_job=True, stop=NEVER, log=place.log)
    assert resumed is not None and resumed.checkpoint == "sparse.pt"
    back = root.with_name("next") / "sparse.pt"
    assert back.read_bytes() == (root / "sparse.pt").read_bytes()
    assert back.stat().st_blocks * 512 < 8 * MIB


def read_by_us() -> int:
    """Bytes that this process has had out of files and sockets so far."""
    return int(Path("/proc/self/io").read_text().split("rchar:")[1].split()[0])


def test_a_large_file_is_seen_while_it_is_on_its_way(seaweedfs: Store, faulty: FaultyProxy, root: Path) -> None:
    place = Place(seaweedfs.make_bucket().url("m/"), stores_of(seaweedfs, faulty.endpoint))
    write(root, {"one.bin": os.urandom(24 * MIB)})
    publisher = place.publisher(root)
    faulty.inject(slow_upload(3 * MIB), method="PUT", key="*one.bin", times=None)
    end(publisher)
    (first, *_) = [line for line in place.log.lines if line.startswith("delivering ")]
    facts = dict(word.split("=") for word in first.split()[1:])
    assert facts["of_mb"] == "25.2" and 0 < float(facts["mb"]) < 25.2, first
    assert facts["files"] == "0"
    assert publisher.sender.sent == 24 * MIB
