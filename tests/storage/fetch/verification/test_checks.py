"""By what an object can be verified, of an ETag and of what a store tells."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Collection, Iterator
from types import SimpleNamespace
from zlib import crc32

import pytest

from bootstrap.storage.common.progress import Progress
from bootstrap.storage.fetch.verification import checks
from bootstrap.storage.fetch.verification.checks import DigestCheck, InOrder, can_compute, guessed, is_of, new, told
from bootstrap.storage.fetch.verification.verifier import Verifier
from bootstrap.storage.model.store import Entry, Told
from bootstrap.storage.report import name_unverified
from bootstrap.storage.s3.fast.http1 import Answer
from bootstrap.storage.s3.told import told as asked
from tests.storage.conftest import MemoryLog

MIB = 1 << 20
ETAG = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("size", "count", "part"),
    [
        (100 * MIB, 13, 8 * MIB),  # AWS CLI
        (100 * MIB, 7, 16 * MIB),
        (100 * MIB, 20, 5 * MIB),
        (512 * MIB + 1, 11, 50 * MIB),  # s5cmd
        (100 * MIB, 1, 100 * MIB),
        (3_000_000_001, 7, -(-3_000_000_001 // 7)),  # none is usual: as many bytes in each
    ],
)
def test_the_usual_size_of_parts_is_guessed_first(size: int, count: int, part: int) -> None:
    first, *_ = guesses = guessed(Entry("k", size, f"{ETAG.upper()}-{count}"))
    assert (first.part, first.digest) == (part, ETAG)
    assert all(-(-size // one.part) == count and not one.certain for one in guesses)


@pytest.mark.parametrize("etag", ["", ETAG, f"{ETAG}-0", f"{ETAG}-x", "of-3", f"{ETAG}-2-encrypted"])
def test_of_other_etags_nothing_is_guessed(etag: str) -> None:
    assert guessed(Entry("k", 100, etag)) == []


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 3500])
@pytest.mark.parametrize("part", [0, 1000])
def test_in_order_it_is_what_it_is_at_once(size: int, part: int) -> None:
    content = os.urandom(size)
    check = DigestCheck("sha256", "", "e", part)
    digests = [hashlib.sha256(content[start:end]).digest() for start, end in check.spans(size)]
    whole = hashlib.sha256(b"".join(digests)).hexdigest() if part else digests[0].hex()
    assert check._replace(digest=whole).fits(digests)
    running = InOrder(check._replace(digest=whole), size)
    for at in range(0, size, 300):
        running.update(memoryview(content)[at : at + 300])
    assert running.fits()
    assert not InOrder(check, size).fits()


@pytest.mark.parametrize(
    ("kind", "digest"), [("crc32", "cbf43926"), ("crc32c", "e3069283"), ("crc64nvme", "ae8b14860a799888")]
)
def test_checksums_are_those_of_their_definitions(kind: str, digest: str) -> None:
    """The catalogue of CRCs gives the value of each for "123456789"."""
    if kind != "crc32":
        pytest.importorskip("awscrt")
    assert can_compute(kind)
    running = new(kind)
    running.update(b"1234")
    running.update(b"56789")
    assert running.digest().hex() == digest


def test_what_the_store_tells_of_the_whole_comes_before_what_it_tells_of_parts() -> None:
    entry = Entry("k", 30, f"{ETAG}-3")
    assert told(entry, Told({"crc32": "00000001"}, part_size=10)) == DigestCheck("crc32", "00000001", entry.etag)
    assert told(entry, Told({"crc32": "00000001"}, of_parts=True)) is None
    assert told(entry, Told({"crc32": "1"}, of_parts=True, part_size=10)) == DigestCheck("crc32", "1", entry.etag, 10)
    assert told(entry, Told(part_size=10)) == DigestCheck("md5", ETAG, entry.etag, 10)
    assert told(entry, Told(part_size=11)) == DigestCheck("md5", ETAG, entry.etag, 11)
    assert told(entry, Told(part_size=20)) is None, "which does not make three"
    assert told(entry, Told(part_size=10, encrypted=True)) is None
    assert told(entry, Told({"xxh3": "1"})) is None


def test_a_check_is_of_one_state_of_an_object() -> None:
    check = DigestCheck("md5", ETAG, "a-3", 10)
    assert is_of(check, Entry("k", 30, "a-3"))
    assert not is_of(check, Entry("k", 30, "b-3"))
    assert not is_of(check, Entry("k", 30, "a-3-encrypted"))
    assert is_of(check._replace(kind="crc32"), Entry("k", 30, "a-3-encrypted"))


class Client:
    """A store's answers to HEAD, as texts."""

    def __init__(self, *sizes: int, whole: str = "", etag: str = f"{ETAG}-3", knows: bool = True) -> None:
        self._sizes, self._whole, self._etag, self._knows = sizes, whole, etag, knows

    def heads(self, key: str, queries: Collection[str]) -> Iterator[Answer]:
        for query in queries:
            size, more = sum(self._sizes), self._whole
            if query and self._knows:
                size, more = (
                    self._sizes[int(query.partition("=")[2]) - 1],
                    f"x-amz-mp-parts-count: {len(self._sizes)}\r\n",
                )
            yield Answer(f'HTTP/1.1 200 OK\r\nETag: "{self._etag}"\r\n{more}Content-Length: {size}\r\n')


def test_parts_of_one_size_are_told() -> None:
    entry = Entry("k", 25, f"{ETAG}-3")
    assert asked(Client(10, 10, 5), entry) == Told(part_size=10)
    assert asked(Client(10, 5, 10), entry).part_size == 0, "uneven parts make as many"
    assert asked(Client(10, 10, 5, knows=False), entry).part_size == 0
    assert asked(Client(10, 10, 5, etag=f"{ETAG[::-1]}-3"), entry) == Told()


def test_of_many_parts_some_are_looked_at() -> None:
    sizes = [10] * 9_999 + [3]
    looked: list[str] = []

    class Counting(Client):
        def heads(self, key: str, queries: Collection[str]) -> Iterator[Answer]:
            looked.extend(queries)
            return super().heads(key, queries)

    etag = f"{ETAG}-10000"
    assert asked(Counting(*sizes, etag=etag), Entry("k", sum(sizes), etag)).part_size == 10
    assert len(looked) < 8


def test_checksums_are_told_with_what_they_are_of() -> None:
    entry = Entry("k", 25, f"{ETAG}-3")
    value = base64.b64encode(crc32(b"x").to_bytes(4, "big")).decode()
    hexed = f"{crc32(b'x'):08x}"
    for header, expected in (
        (f"x-amz-checksum-crc32: {value}\r\n", Told({"crc32": hexed}, False, 10)),
        (f"x-amz-checksum-crc32: {value}\r\nx-amz-checksum-type: FULL_OBJECT\r\n", Told({"crc32": hexed}, False, 10)),
        (f"x-amz-checksum-crc32: {value}\r\nx-amz-checksum-type: COMPOSITE\r\n", Told({"crc32": hexed}, True, 10)),
        (f"x-amz-checksum-crc32: {value}-3\r\n", Told({"crc32": hexed}, True, 10)),
        ("x-amz-checksum-crc32: n o n s e n s e\r\n", Told(part_size=10)),
        ("x-amz-server-side-encryption: aws:kms\r\n", Told(part_size=10, encrypted=True)),
    ):
        assert asked(Client(10, 10, 5, whole=header), entry) == expected


@pytest.mark.parametrize("has_it", [False, True])
def test_the_extra_that_computes_what_the_store_tells_is_named(monkeypatch: pytest.MonkeyPatch, has_it: bool) -> None:
    """AWS makes a CRC-64/NVME of every object that comes without a checksum."""
    monkeypatch.setattr(checks, "can_compute", lambda kind: has_it)
    entry, log = Entry("k", 30, "an-etag"), MemoryLog()
    store = SimpleNamespace(tells_more=lambda entry: Told({"crc64nvme": "1" * 16}))
    verifier = Verifier(store, "always")  # type: ignore[arg-type]
    assert bool(verifier.more(entry, large=False)) is has_it
    progress = Progress(log, "fetching")
    progress.verified_by("size", "k")
    name_unverified("always", progress, log, verifier.lacking)
    remedies = [str(facts.get("remedy", "")) for _, _, facts in log.lines]
    assert ["extra checksums, which computes crc64nvme" in remedy for remedy in remedies] == [not has_it]
