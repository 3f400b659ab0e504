"""Answers without an end, on both ways to a store: given up in words, within bounds of time and memory."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bootstrap.errors import StoreUnavailable
from bootstrap.storage.s3 import boto_client, boto_session, bounded_botocore, bounds
from bootstrap.storage.s3.fast import http1
from bootstrap.storage.schemes import parse
from tests.lab.odd_store import OddStore
from tests.lab.waiting import until
from tests.storage.conftest import Mover, stores_of

WAYS = ["fast path", "boto3"]
ENDLESS: list[dict[str, Any]] = [
    {"tokens": "same"},
    {"tokens": "turns"},
    {"tokens": "new"},
    {"endless": "trailers"},
    {"endless": "chunks"},
    {"announced": 900_000_000_000},
    {"nested": 3_000_000},
    {"dripping": "listing"},
]


@pytest.fixture(autouse=True)
def short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same deadlines, in less of a reader's time."""
    monkeypatch.setattr(bounded_botocore, "PAGE_TIMEOUT", 1.0)
    monkeypatch.setattr(bounded_botocore, "_FIRST_BYTE", 1.0)
    monkeypatch.setattr(http1, "PAGE_TIMEOUT", 1.0)
    monkeypatch.setattr(http1, "HEAD_TIMEOUT", 1.0)
    monkeypatch.setattr(http1, "SILENCE", 2.0)
    monkeypatch.setattr(boto_client, "READ_TIMEOUT", 2.0)
    monkeypatch.setattr(boto_session, "READ_TIMEOUT", 2.0)
    monkeypatch.setattr(bounds, "MOST_EMPTY", 50)
    monkeypatch.setattr(http1, "SLOWEST", 1 << 20)
    monkeypatch.setattr(boto_client, "SLOWEST", 1 << 20)


def mover_of(odd: OddStore, way: str) -> Mover:
    mover = Mover(stores_of(odd, retry_window=0.5))  # type: ignore[arg-type]  # it has what is asked
    if way == "boto3":
        mover.stores.open(parse(odd.url("c/"))).pipeline = None  # type: ignore[misc]
    return mover


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("oddity", ENDLESS, ids=str)
def test_a_listing_without_an_end_is_given_up_in_words(way: str, oddity: dict[str, Any], tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with OddStore(**oddity) as odd:
        odd.put("c/a", b"a")
        with pytest.raises(StoreUnavailable, match="has no end that one could wait for"):
            mover_of(odd, way).fetch(odd.url("c/"), tmp_path)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 400 << 10, "KiB, with what this test's own store takes"


@pytest.mark.parametrize("way", WAYS)
def test_a_store_that_makes_up_keys_is_given_up_at_once_and_the_setting_is_named(way: str, tmp_path: Path) -> None:
    with OddStore(tokens="keys") as odd:
        odd.put("c/a", b"a")
        mover = Mover(stores_of(odd, max_objects=5000))  # type: ignore[arg-type]  # it has what is asked
        if way == "boto3":
            mover.stores.open(parse(odd.url("c/"))).pipeline = None  # type: ignore[misc]
        with pytest.raises(StoreUnavailable, match=r"lists more than 5,000 objects.*--max-objects") as raised:
            mover.fetch(odd.url("c/"), tmp_path)
    assert "tried" not in str(raised.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("oddity", [{"dripping": "GET"}, {"dripping_bodies": True}, {"cut_bodies": True}], ids=str)
def test_an_object_that_does_not_come_is_given_up_in_words(way: str, oddity: dict[str, Any], tmp_path: Path) -> None:
    with OddStore(**oddity) as odd:
        odd.put("c/a", b"a" * 5000)
        with pytest.raises(StoreUnavailable):
            mover_of(odd, way).fetch(odd.url("c/"), tmp_path)


@pytest.mark.parametrize("way", WAYS)
def test_a_write_whose_answer_drips_is_given_up_in_words(way: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"f" * 100_000)
    with OddStore(dripping="PUT") as odd, pytest.raises(StoreUnavailable):
        mover_of(odd, way).deliver(tmp_path / "f", odd.url("c/f"))


def test_a_listing_of_parts_that_does_not_go_on_is_given_up() -> None:
    text = "<ListPartsResult><IsTruncated>true</IsTruncated><Part><PartNumber>1</PartNumber><ETag>e</ETag>"
    page = f"{text}<Size>1</Size></Part></ListPartsResult>"
    with OddStore(page=page, page_type="application/xml") as odd:
        store = stores_of(odd, retry_window=0.5).open(parse(odd.url("c/")))  # type: ignore[arg-type]
        assert store.multipart is not None
        with pytest.raises(StoreUnavailable, match="does not go on"):
            store.multipart.parts("c/a", "u0")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("oddity", ENDLESS[3:], ids=str)
def test_term_ends_all_of_them(way: str, oddity: dict[str, Any], tmp_path: Path) -> None:
    """With the deadlines of every day, which are longer than a stop may take."""
    environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with OddStore(**oddity) as odd:
        odd.put("c/a", b"a")
        environ |= {
            "TMPDIR": str(tmp_path),
            "S3_ENDPOINT": odd.endpoint,
            "S3_ACCESS_KEY_ID": "AK",
            "S3_SECRET_ACCESS_KEY": "SK" * 8,
        }
        if way == "boto3":
            environ |= {"http_proxy": odd.endpoint, "S3_ENDPOINT": "http://store"}
        command = [sys.executable, "-m", "bootstrap", "run", "--job-dir", str(tmp_path), "--code", odd.url("c/")]
        process = subprocess.Popen(
            [*command, "--", "true"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            until(lambda: len(odd.seen) > 0, 60)
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 143, output.decode()
