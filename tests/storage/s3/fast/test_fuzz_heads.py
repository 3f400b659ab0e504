"""Heads of answers with bytes changed anywhere: understood as they stand, or left to the client of record."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.storage.model.pipeline import NeedsFallback
from bootstrap.storage.s3.fast.http1 import CHUNKED, Answer
from tests.lab.fuzzing import fuzz

HEAD = (
    'HTTP/1.1 200 OK\r\nServer: OBS\r\nETag: "d41d8cd98f00b204e9800998ecf8427e"\r\nContent-Length: 10\r\n'
    "x-amz-server-side-encryption: AES256\r\nConnection: keep-alive"
)
words = st.sampled_from(
    ["", "\r\n", ":", " ", "-1", "+1", "1_0", "chunked", "\r\nTransfer-Encoding: chunked", "9" * 5000, "\0", "\xb2"]
)
changes = st.lists(st.tuples(st.integers(0, len(HEAD)), st.integers(0, 12), words), max_size=4)


@fuzz(300)
@given(changes)
def test_a_head_with_changed_bytes_is_understood_or_left_to_the_client_of_record(
    changes: list[tuple[int, int, str]],
) -> None:
    head = HEAD
    for at, gone, new in changes:
        head = head[:at] + new + head[at + gone :]
    try:
        answer = Answer(head)
    except NeedsFallback:
        return
    assert answer.size >= 0 or answer.size == CHUNKED
    assert 0 <= answer.status <= 999
    assert isinstance(answer.etag, str)
    assert answer.is_last in (True, False)


@pytest.mark.parametrize("length", ["-1", "+1", "1_0", "", "ten", "\xb2", "9" * 5000, "10, 10"])
def test_a_length_that_is_no_number_is_left_to_the_client_of_record(length: str) -> None:
    with pytest.raises(NeedsFallback):
        Answer(HEAD.replace("Length: 10", f"Length: {length}"))
