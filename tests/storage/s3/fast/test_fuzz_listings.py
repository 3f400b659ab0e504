"""Pages of a listing with bytes changed anywhere: read, or left to the client of record, and never a defect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.storage.model.pipeline import NeedsFallback
from bootstrap.storage.s3.fast.client import _entries
from tests.lab.fuzzing import fuzz

PAGE = (
    b'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>b</Name><EncodingType>url</EncodingType>'
    + b"".join(
        b"<Contents><Key>c/%d</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>"
        b"<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>%d</Size></Contents>" % (number, number)
        for number in range(3)
    )
    + b"</ListBucketResult>"
)
words = st.sampled_from(
    [b"", b"<", b">", b"&", b"&amp;", b"<!", b"</Contents>", b"<Contents>", b"-1", b"9" * 30, b"\xff", b"%zz"]
)


@fuzz(300)
@given(
    st.lists(
        st.tuples(st.integers(0, len(PAGE)), st.integers(0, 30), st.one_of(words, st.binary(max_size=8))), max_size=4
    )
)
def test_a_page_with_changed_bytes_is_read_or_left_to_the_client_of_record(
    changes: list[tuple[int, int, bytes]],
) -> None:
    page = PAGE
    for at, gone, new in changes:
        page = page[:at] + new + page[at + gone :]
    try:
        entries = _entries(page)
    except NeedsFallback:
        return
    assert all(entry.key and entry.size >= 0 for entry in entries)


@pytest.mark.parametrize("size", [b"-1", b"", b"1e3", b"9" * 5000])
def test_a_size_that_is_none_is_left_to_the_client_of_record(size: bytes) -> None:
    with pytest.raises(NeedsFallback):
        _entries(PAGE.replace(b"<Size>1</Size>", b"<Size>" + size + b"</Size>"))
