"""Digests that are computed while the pieces come: right in any order, and done when the last has come."""

from __future__ import annotations

import hashlib
import os
import random
import threading

import pytest

from bootstrap.ground.machine import cores
from bootstrap.storage.fetch.verification.checks import DigestCheck
from bootstrap.storage.fetch.verification.running_digest import RunningDigest
from tests.lab.waiting import until

PIECE = 300_000
CONTENT = os.urandom(10 * PIECE + 17)
PART = 700_001
WHOLE = DigestCheck("md5", hashlib.md5(CONTENT).hexdigest(), "e")
OF_PARTS = DigestCheck(
    "md5",
    hashlib.md5(
        b"".join(hashlib.md5(CONTENT[at : at + PART]).digest() for at in range(0, len(CONTENT), PART))
    ).hexdigest(),
    "e-5",
    PART,
)


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "usable", lambda: 8.0)


class File:
    """Ten pieces and a bit, some of which are here."""

    def __init__(self) -> None:
        self.here: set[int] = set()
        self.readers: list[int] = []
        self.bytes = 0

    def up_to(self, at: int) -> int:
        number = at // PIECE
        return min((number + 1) * PIECE, len(CONTENT)) if number in self.here else at

    def read(self, start: int, end: int) -> bytes:
        self.readers.append(threading.get_ident())
        self.bytes += end - start
        return CONTENT[start:end]

    def digest(self, check: DigestCheck | None = WHOLE) -> RunningDigest:
        return RunningDigest(lambda: check, len(CONTENT), self.up_to, self.read)


@pytest.mark.parametrize("check", [WHOLE, OF_PARTS], ids=lambda check: check.name)
@pytest.mark.parametrize("seed", range(4))
def test_in_any_order_it_is_the_files(seed: int, check: DigestCheck) -> None:
    file = File()
    digest = file.digest(check)
    for number in random.Random(seed).sample(range(11), 11):
        file.here.add(number)
        digest.arrived()
    assert digest.result() == (check, True)
    assert file.bytes == len(CONTENT), "nothing is read twice"


@pytest.mark.parametrize("check", [WHOLE, OF_PARTS], ids=lambda check: check.name)
def test_other_bytes_do_not_fit(check: DigestCheck) -> None:
    file = File()
    wrong = check._replace(digest="0" * 32)
    digest = file.digest(wrong)
    file.here.update(range(11))
    assert digest.result() == (wrong, False)


def test_parts_are_computed_side_by_side() -> None:
    """Two threads have to be reading at the same moment for the barrier to open."""
    both = threading.Barrier(2)
    file = File()
    file.here.update(range(11))
    first: set[int] = set()

    def read(start: int, end: int) -> bytes:
        if threading.get_ident() not in first and len(first) < 2:
            first.add(threading.get_ident())
            both.wait(30)
        return CONTENT[start:end]

    digest = RunningDigest(lambda: OF_PARTS, len(CONTENT), file.up_to, read)
    digest.arrived()
    until(lambda: len(first) == 2)
    assert digest.result()[1]


def test_what_has_come_is_done_before_the_last_and_nothing_is_read_twice() -> None:
    file = File()
    digest = file.digest()
    file.here.update(range(10))
    digest.arrived()
    until(lambda: file.bytes == 10 * PIECE)
    assert threading.get_ident() not in file.readers
    file.here.add(10)
    assert digest.result()[1]
    assert file.bytes == len(CONTENT)


def test_it_waits_for_the_first_piece() -> None:
    file = File()
    digest = file.digest()
    file.here.update(range(1, 11))
    digest.arrived()
    assert not file.bytes
    file.here.add(0)
    digest.arrived()
    until(lambda: file.bytes == len(CONTENT))
    assert digest.result()[1]


def test_nobody_computes_when_it_is_closed() -> None:
    file = File()
    digest = file.digest()
    digest.close()
    file.here.update(range(11))
    digest.arrived()
    assert not file.readers
    assert digest.result()[1], "unless it is asked for"


def test_without_anything_to_compare_nothing_is_read() -> None:
    file = File()
    digest = file.digest(None)
    file.here.update(range(11))
    digest.arrived()
    assert digest.result() == (None, True)
    assert not file.readers


def test_trouble_is_who_asks_to_meet() -> None:
    file = File()
    digest = RunningDigest(lambda: WHOLE, len(CONTENT), file.up_to, lambda start, end: b"")
    file.here.update(range(11))
    digest.arrived()
    with pytest.raises(OSError, match="shorter"):
        digest.result()


def test_nobody_reads_when_it_has_ended() -> None:
    file, reading, go_on = File(), threading.Event(), threading.Event()

    def read(start: int, end: int) -> bytes:
        reading.set()
        go_on.wait(60)
        return file.read(start, end)

    digest = RunningDigest(lambda: WHOLE, len(CONTENT), file.up_to, read)
    file.here = {0}
    digest.arrived()
    assert reading.wait(60)
    ended = threading.Thread(target=digest.end)
    ended.start()
    ended.join(0.2)
    assert ended.is_alive() and not file.readers
    go_on.set()
    ended.join(60)
    assert not ended.is_alive() and len(file.readers) == 1
