"""How a growing log is cut into objects: few of them, each byte sent about twice, and never one missing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.process.output.logfile import LogFile
from bootstrap.process.output.place import prepare_log_file
from bootstrap.shipping.segments import ALLOWANCE, CHUNK, MOST_SMALL, Segments
from bootstrap.shipping.source import Source
from bootstrap.storage.schemes import parse
from tests.lab.faulty_proxy import FaultyProxy, lost_answer, refused
from tests.lab.stores import Bucket
from tests.shipping.conftest import live_log
from tests.storage.conftest import stores_of

BASE = "logs/job.log.parts/node-0.attempt-1.20260101T000000Z/"
NEVER = threading.Event()


class Writer:
    """A log file that grows, what is sent of it, and a count of that."""

    def __init__(self, bucket: Bucket, path: Path, limit: int | None = None) -> None:
        self.bucket = bucket
        self.proxy = FaultyProxy(bucket.store.endpoint)
        self.file = LogFile(str(path), limit)
        self.path = path
        self.output = b""
        self.store = stores_of(bucket.store, url=self.proxy.endpoint).open(parse(bucket.url("logs/")))
        self.segments = Segments(self.store, self.store.light_writer(), BASE, Source(path))

    def write(self, count: int) -> None:
        piece = b"%015d\n" % len(self.output) * (count // 16 + 1)
        self.output += piece[:count]
        self.file.write(piece[:count])

    def ship(self, *counts: int) -> None:
        for count in counts:
            self.write(count)
            self.segments.ship(NEVER)

    def join(self) -> bool:
        return self.segments.join("logs/job.log", self.path.stat().st_size, b"", NEVER)

    @property
    def parts(self) -> list[str]:
        return self.bucket.list(BASE)

    @property
    def sent(self) -> int:
        return sum(
            int(seen.headers.get("Content-Length") or 0)
            for seen in self.proxy.seen
            if seen.method == "PUT" or (seen.method == "POST" and "uploadId" not in seen.query)
        )


@pytest.fixture
def seaweed(seaweedfs: object, tmp_path: Path) -> Iterator[Writer]:
    """In a store that copies objects as pieces of others."""
    writer = Writer(seaweedfs.make_bucket(), tmp_path / "job.log")  # type: ignore[attr-defined]
    with writer.proxy:
        yield writer


@pytest.fixture
def plain(rclone: object, tmp_path: Path) -> Iterator[Writer]:
    """In a store that does not."""
    writer = Writer(rclone.make_bucket(), tmp_path / "job.log")  # type: ignore[attr-defined]
    with writer.proxy:
        yield writer


def test_each_new_piece_is_an_object_named_by_its_range(seaweed: Writer) -> None:
    seaweed.ship(10, 0, 32)
    assert seaweed.parts == [f"{BASE}0000000000000000-0000000000000010", f"{BASE}0000000000000010-0000000000000042"]
    assert live_log(seaweed.bucket) == seaweed.output
    assert seaweed.sent == 42, "nothing new costs nothing"


def test_what_fills_a_chunk_takes_in_the_small_parts_before_it(seaweed: Writer) -> None:
    seaweed.ship(1000, 2000, CHUNK)
    assert seaweed.parts == [f"{BASE}{0:016d}-{CHUNK + 3000:016d}"]
    assert live_log(seaweed.bucket) == seaweed.output
    assert seaweed.sent == CHUNK + 2 * 3000


def test_a_fast_log_is_sent_once_and_joined_in_the_store(seaweed: Writer) -> None:
    seaweed.ship(50 << 20, 7 << 20, 100)
    assert live_log(seaweed.bucket) == seaweed.output
    assert len(seaweed.parts) <= 8
    assert seaweed.join()
    assert seaweed.bucket.get("logs/job.log") == seaweed.output
    assert seaweed.sent == len(seaweed.output) + 100
    seaweed.segments.clear()
    assert seaweed.parts == []


def test_a_log_that_trickles_has_few_objects_and_is_sent_twice_behind_its_first_chunk(seaweed: Writer) -> None:
    seaweed.ship(CHUNK)
    seaweed.ship(*[100] * (2 * MOST_SMALL + 50))
    assert len(seaweed.parts) <= MOST_SMALL + 1
    assert live_log(seaweed.bucket) == seaweed.output
    assert seaweed.join()
    assert seaweed.bucket.get("logs/job.log") == seaweed.output
    assert seaweed.sent <= CHUNK + 2 * (len(seaweed.output) - CHUNK), "what is in a chunk is never sent again"


def test_before_the_first_chunk_small_parts_are_merged(seaweed: Writer) -> None:
    seaweed.ship(*[10] * (3 * MOST_SMALL))
    assert len(seaweed.parts) <= MOST_SMALL + 3
    assert live_log(seaweed.bucket) == seaweed.output
    assert seaweed.sent <= 2.2 * len(seaweed.output)


def test_a_store_without_copies_gets_each_byte_once_until_the_end(plain: Writer) -> None:
    plain.ship(3 << 20, 3 << 20, 3 << 20)
    assert live_log(plain.bucket) == plain.output
    assert not plain.join(), "then the whole log is sent"
    assert plain.sent == len(plain.output)
    assert "logs/job.log" not in plain.bucket.list()
    assert len(plain.parts) == 3, "nothing is left of the question whether it can"


def test_without_copies_merging_stays_within_its_allowance(plain: Writer) -> None:
    plain.ship(*[100_000] * (MOST_SMALL + 40))
    assert live_log(plain.bucket) == plain.output
    assert plain.sent <= 1.2 * len(plain.output) + ALLOWANCE


def test_a_write_whose_answer_was_lost_is_neither_missing_nor_twice(seaweed: Writer) -> None:
    seaweed.proxy.inject(lost_answer(), method="PUT")
    with pytest.raises(Exception, match="cannot be reached"):
        seaweed.ship(100)
    seaweed.ship(50, CHUNK)
    assert live_log(seaweed.bucket) == seaweed.output
    assert seaweed.join()
    assert seaweed.bucket.get("logs/job.log") == seaweed.output
    seaweed.segments.clear()
    assert seaweed.parts == [], "not even what we do not know of"


def test_a_join_that_fails_leaves_what_it_was_made_of(seaweed: Writer) -> None:
    seaweed.ship(CHUNK, 100)
    seaweed.proxy.inject(refused(500, "InternalError"), method="POST", query="uploadId=*")
    assert not seaweed.join()
    assert live_log(seaweed.bucket) == seaweed.output
    assert "logs/job.log" not in seaweed.bucket.list()
    uploads = seaweed.bucket.client.list_multipart_uploads(Bucket=seaweed.bucket.name)
    assert not uploads.get("Uploads"), "an upload that is not completed is given up"


def test_beyond_the_limit_the_store_holds_what_the_log_holds(seaweedfs: object, tmp_path: Path) -> None:
    limit = 64 << 10
    writer = Writer(seaweedfs.make_bucket(), tmp_path / "job.log", limit)  # type: ignore[attr-defined]
    with writer.proxy:
        writer.ship(*[4096] * 64)
        held = [key.rpartition("/")[2].split("-") for key in writer.parts]
        there = sum(int(end) - int(start) for start, end in held)
        assert there <= limit + 2 * 4096, "it does not outgrow the limit"
        assert held[0][0] == f"{0:016d}" and int(held[-1][1]) == len(writer.output), "head and newest bytes"
        for start, end in held:
            key = f"{BASE}{start}-{end}"
            assert writer.bucket.get(key) == writer.output[int(start) : int(end)]
        writer.file.close()
        assert not writer.join(), "the log is another one than what was sent"


def test_a_log_in_two_files_is_one_log(seaweedfs: object, tmp_path: Path) -> None:
    """The first half is full, nothing has been dropped yet: every byte is there, over the border of two files."""
    writer = Writer(seaweedfs.make_bucket(), tmp_path / "job.log", 64 << 10)  # type: ignore[attr-defined]
    with writer.proxy:
        writer.write(40 << 10)
        writer.ship(1000)
        assert live_log(writer.bucket) == writer.output


def test_a_log_that_was_killed_beyond_its_limit_is_set_aside_as_one(tmp_path: Path) -> None:
    """The next attempt in the same container must not take the segments of the first for its own output."""
    path = tmp_path / "job.log"
    file = LogFile(str(path), 64 << 10)
    for number in range(200):
        file.write(b"%01023d\n" % number)
    prepare_log_file(path)
    assert Source(path).look() == 0
    assert sorted(found.name for found in tmp_path.iterdir()) == ["job.earlier-1.log", "job.log"]
    assert (tmp_path / "job.earlier-1.log").read_bytes().endswith(b"0199\n")
    file.close()
