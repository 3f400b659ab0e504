"""What we write for others tells its moment in UTC, wherever the machine is; a person's own screen has local time."""

from __future__ import annotations

import calendar
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from bootstrap.ground.log_names import AttemptDirectory
from bootstrap.job import Credentials
from bootstrap.report.amounts import day
from bootstrap.reporting.console import Console
from bootstrap.reporting.record import utc
from bootstrap.storage.model.store import RetryWindow
from bootstrap.storage.s3.fast.sigv4 import Signer


@pytest.fixture(autouse=True)
def eight_hours_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """China's time, in the form that needs no table of zones."""
    monkeypatch.setenv("TZ", "CST-8")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def said(tmp_path: Path) -> str:
    console = Console(io.StringIO())
    console.open_lines(tmp_path / "x.jsonl")
    console.info("now")
    return str(json.loads((tmp_path / "x.jsonl").read_text())["timestamp"])


def signed(_: Path) -> str:
    head = Signer(Credentials("AK", "SK", source="the test"), "region", "host").head("GET", "/").decode()
    return re.findall(r"x-amz-date: (\S+)", head)[0]


@pytest.mark.parametrize(
    ("written", "form"),
    [
        (lambda _: AttemptDirectory.starting("a.log", 0, 1, time.time()).began, "%Y%m%dT%H%M%SZ"),
        (lambda _: utc(time.time()), "%Y-%m-%dT%H:%M:%S.%f+00:00"),
        (said, "%Y-%m-%dT%H:%M:%S.%fZ"),
        (lambda _: day(time.time()), "%Y-%m-%d %H:%M:%S"),
        (signed, "%Y%m%dT%H%M%SZ"),
    ],
    ids=["a log's name", "the record", "a line of JSON", "the report", "a signature"],
)
def test_a_moment_for_others_is_utc(written: Callable[[Path], str], form: str, tmp_path: Path) -> None:
    before = int(time.time())
    assert before <= calendar.timegm(time.strptime(written(tmp_path), form)) <= time.time()


def test_a_stores_clock_is_read_as_utc() -> None:
    window = RetryWindow(1.0)
    window.told_time(formatdate(usegmt=True))
    assert abs(window.ahead) < 60


def test_a_screen_has_the_time_of_where_it_stands() -> None:
    stream = io.StringIO()
    began = time.time()
    Console(stream).info("now")
    hours = {time.strftime("%H:", time.gmtime(moment + 8 * 3600)) for moment in (began, time.time())}
    assert stream.getvalue()[:3] in hours
