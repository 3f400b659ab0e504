"""Answers cut and garbled at any place: they are read, or left to the client of record, or told in words."""

from __future__ import annotations

import socket

from hypothesis import given
from hypothesis import strategies as st

from bootstrap.errors import BootstrapError
from bootstrap.storage.model.pipeline import NeedsFallback
from bootstrap.storage.model.store import RetryWindow
from bootstrap.storage.s3.fast.client import _entries, _page
from bootstrap.storage.s3.fast.http1 import HttpConnection
from tests.lab.fuzzing import fuzz

PAGE = (
    b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key><LastModified>2026-11-01T10:00:00Z"
    b"</LastModified><ETag>&quot;e&quot;</ETag><Size>3</Size></Contents></ListBucketResult>"
)
PLAIN = b'HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: %d\r\nETag: "e"\r\n\r\n%b' % (
    len(PAGE),
    PAGE,
)
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"".join(b"%x;x=y\r\n%b\r\n" % (len(part), part) for part in (PAGE[:50], PAGE[50:]))
    + b"0\r\nX-Late: 1\r\n\r\n"
)
WORDS = [
    b"",
    b"\0",
    b"\r\n",
    b"\r\n\r\n",
    b"-1",
    b"ffffffffffffffff",
    b"9" * 400,
    b"HTTP/1.1 100 \r\n\r\n",
    b" ",
    b"<",
    b"\x85",
]


def read(data: bytes, how: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = HttpConnection("127.0.0.1", listener.getsockname()[1], None)
        server, _ = listener.accept()
        try:
            server.sendall(data)
            server.close()
            if how == "page":
                _entries(_page(connection, RetryWindow(1.0)))
            elif how == "whole":
                connection.whole("GET")
            else:
                answer = connection.answer()
                _ = answer.etag, answer.is_last
                if answer.size > 1 << 20:
                    return  # the exchange compares it with what was asked for
                connection.pour(answer.size, lambda piece: None) if answer.size >= 0 else connection.body(answer.size)
        except (OSError, NeedsFallback, BootstrapError):
            pass
        finally:
            connection.close()
            server.close()


@fuzz(150)
@given(
    st.sampled_from([PLAIN, CHUNKED]),
    st.sampled_from(["page", "whole", "object"]),
    st.integers(0, 420),
    st.integers(0, 40),
    st.one_of(st.sampled_from(WORDS), st.binary(max_size=6)),
)
def test_any_bytes_other_or_missing(good: bytes, how: str, at: int, gone: int, put: bytes) -> None:
    read(good[:at] + put + good[at + gone :], how)


@fuzz(100)
@given(st.sampled_from([PLAIN, CHUNKED]), st.sampled_from(["page", "whole", "object"]), st.integers(0, 420))
def test_cut_at_any_byte(good: bytes, how: str, at: int) -> None:
    read(good[:at], how)
