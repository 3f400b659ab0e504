"""What a bucket holds of other attempts, of any bytes: read, or put aside in words, and never a defect."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.outputs.remote.contents import contents
from bootstrap.outputs.remote.manifest import Checkpoint, Claim, File, Part, RunManifest
from bootstrap.outputs.remote.reading import as_json, table
from bootstrap.shipping.heartbeat import Heartbeat
from tests.lab.fuzzing import fuzz

A_FILE = File("a/b", "a/b", 3, "0" * 64, 1.0)
GOOD: list[Checkpoint | RunManifest | Part | Claim] = [
    Checkpoint("ckpt", "file", 1, 1, 0, 1, 1.0, 2.0, (A_FILE,)),
    RunManifest(1, 0, 1, 1.0, 2.0, True, (A_FILE,)),
    Part(1, 0, 1, (A_FILE,)),
    Claim(1, "ab", 1.0),
]
ANYTHING = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=9),
        st.sampled_from(
            [
                10**30,
                -1,
                "../a",
                "/etc",
                "a\n\x1b[31m",
                [{"size": 1}],
                "2026-02-30",
                "0001-01-01T00:00:00+00:00",
                "9" * 5000,
                float("inf"),
                {},
            ]
        ),
    ),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=5), one, max_size=3),
    max_leaves=6,
)


def take(key: str, text: bytes) -> None:
    """As whoever resumes, lists or verifies takes it."""
    found = contents([(key.removeprefix(".bootstrap/"), text), *((each.key[11:], each.text()) for each in GOOD)])
    _ = found.newest, found.attempt, found.of_job("")
    for attempt in (0, 1, 2):
        found.ended(attempt)
        found.run_complete(attempt)
    for one in found.checkpoints:
        _ = one.complete, one.saved, one.size, one.job, one.age_key, one.files_for(0)
    for line in table(found, None):
        assert "\n" not in line and "\x1b" not in line
    json.dumps(as_json("url", found, None))
    Heartbeat.read(text)


@fuzz(200)
@given(st.data())
def test_a_field_of_any_other_kind(data: st.DataObject) -> None:
    good = data.draw(st.sampled_from(GOOD))
    document: dict[str, Any] = json.loads(good.text())
    field = data.draw(st.sampled_from(sorted(document)))
    if field == "files" and data.draw(st.booleans()):
        inner = data.draw(st.sampled_from(sorted(document["files"][0])))
        document["files"][0][inner] = data.draw(ANYTHING)
    else:
        document[field] = data.draw(ANYTHING)
    take(good.key, json.dumps(document).encode("utf-8", "surrogatepass"))


@fuzz(200)
@given(st.sampled_from(GOOD), st.integers(0, 900), st.integers(0, 30), st.binary(max_size=9))
def test_bytes_that_are_other_or_missing(good: Any, at: int, gone: int, put: bytes) -> None:
    text = good.text()
    take(good.key, text[:at] + put + text[at + gone :])


@pytest.mark.parametrize("text", [b"[" * 200_000, b'{"a":' * 100_000, b"\xff" * 10, b"9" * 10_000, b"null", b""])
def test_nonsense(text: bytes) -> None:
    for good in GOOD:
        take(good.key, text)
