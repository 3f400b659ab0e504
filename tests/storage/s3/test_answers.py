"""Answers that say yes: whose they are, and whether they are whole."""

from __future__ import annotations

from typing import Any

import pytest

from bootstrap.storage.s3.answers import OBJECT, WRITTEN, check_whole, no_strangers, with_etag
from bootstrap.storage.s3.boto_errors import NoEtag, NoStore

LIST, PUT = "ListObjectsV2", "PutObject"
LISTING = b"<?xml version='1.0'?>\n<ListBucketResult><Name>b</Name></ListBucketResult>"


def answered(body: object, operation: str = LIST, status: int = 200, kind: str = "application/xml") -> None:
    context = {"operation_name": operation}
    no_strangers({"status_code": status, "headers": {"content-type": kind}, "body": body, "context": context}, None)


@pytest.mark.parametrize(
    ("body", "operation"),
    [
        (LISTING, LIST),
        (b"<ListBucket/>", LIST),  # rclone leaves out the Result
        (b"<listbucketresult/>", LIST),
        (b" \n" + LISTING, LIST),
        (b"<Error><Code>SlowDown</Code></Error>", LIST),  # a store's own word, which botocore knows to read
        (b"<?xml version='1.0'?>", LIST),  # broken off before the root, inside a tag, inside text
        (b"<?xml version='1.0'?><List", LIST),
        (b"<?xml version='1.0'?><L><![CDATA[ab", LIST),
        (LISTING + b" " * 1000 + b"<html>", LIST),  # a key may be called so
        (b"", LIST),
        (b"  ", LIST),
        (b'{"any": "thing"}', PUT),  # whose body nobody reads
        (b"<InitiateMultipartUploadResult/>", "CreateMultipartUpload"),
        (b"<CompleteMultipartUploadResult/>", "CompleteMultipartUpload"),
        (b"<CopyPartResult/>", "UploadPartCopy"),
    ],
)
def test_a_stores_answer_is_taken_whole_or_broken_off(body: bytes, operation: str) -> None:
    answered(body, operation)


@pytest.mark.parametrize("operation", [LIST, PUT])
@pytest.mark.parametrize(
    "page", [b"<!DOCTYPE html>", b"\n <!doctype html>", b"<?xml version='1.0'?><HTML>", b"<p><html lang='zh'>"]
)
def test_a_page_is_no_stores_answer_whatever_was_asked(operation: str, page: bytes) -> None:
    with pytest.raises(NoStore, match="web page"):
        answered(page, operation)


def test_what_is_sent_as_html_is_a_page_unless_it_is_empty() -> None:
    with pytest.raises(NoStore, match="web page"):
        answered(b"log in", PUT, kind="text/html; charset=utf-8")
    answered(b"", PUT, kind="text/html; charset=utf-8")  # as Swift says it


@pytest.mark.parametrize(
    "body",
    [
        b'{"objects": []}',
        b"ListBucketResult",
        b"ListBucketResult <Error>",
        b"<CopyObjectResult/>",  # another operation's
        b"<Buckets/>",
        b"<a></b>",  # broken, and not broken off
        b"<a>&nbsp;</a>",
        b"<Buckets>" + b" " * 1000 + b"<ListBucketResult/></Buckets>",
    ],
)
def test_something_else_in_a_listings_place_is_named(body: bytes) -> None:
    with pytest.raises(NoStore, match="something else came instead of a ListBucket"):
        answered(body)


@pytest.mark.parametrize("status", [200, 299])
def test_an_answer_that_says_yes_is_looked_at(status: int) -> None:
    with pytest.raises(NoStore):
        answered(b"hello", status=status)


@pytest.mark.parametrize("status", [199, 300, 403, 500])
def test_one_that_says_no_is_not(status: int) -> None:
    answered(b"<html>", status=status, kind="text/html")


def test_neither_is_a_body_that_is_still_to_be_read_or_no_answer_at_all() -> None:
    answered(object())
    no_strangers(None, None)


# --- whole -----------------------------------------------------------------------------------------------------------


def told(headers: dict[str, str], **fields: Any) -> dict[str, Any]:
    return {**fields, "ResponseMetadata": {"HTTPHeaders": headers}}


def test_a_head_with_all_that_is_needed_is_whole() -> None:
    check_whole(told({}, ContentLength=1, ETag='"ab"'), OBJECT)
    check_whole(told({}, ETag='W/"ab"'), WRITTEN)
    check_whole("any answer", ())


@pytest.mark.parametrize("fields", [{}, {"ContentLength": 1, "ETag": '"ab'}, {"ETag": '"ab"'}])
def test_a_head_that_broke_off_is_a_connection_that_did(fields: dict[str, Any]) -> None:
    with pytest.raises(ConnectionResetError):
        check_whole(told({"content-type": "application/xml"}, **fields), OBJECT)


def test_without_an_etag_alone_it_depends_on_whether_the_rest_of_the_head_came() -> None:
    with pytest.raises(NoEtag):
        check_whole(told({"content-length": "0"}), WRITTEN)
    with pytest.raises(ConnectionResetError) as broken:
        check_whole(told({"date": "today"}), WRITTEN)
    assert not isinstance(broken.value, NoEtag)
    with pytest.raises(NoStore, match="web page"):
        check_whole(told({"content-type": "text/html", "content-length": "9"}), WRITTEN)


def test_who_never_gives_an_etag_is_no_store_and_who_did_once_gets_another_try() -> None:
    whole, bare, other = (
        told({"content-length": "0"}, ETag='"ab"'),
        told({"content-length": "0", "date": "1"}),
        told({"content-length": "0"}),
    )
    answers = iter([bare, bare, whole])
    assert with_etag(lambda: next(answers)) is whole
    answers = iter([bare, bare, bare, whole])
    with pytest.raises(NoStore, match="gave no ETag"):
        with_etag(lambda: next(answers))
    assert next(answers) is whole, "three times, and no more"
    with pytest.raises(NoEtag):
        answers = iter([bare, other, bare])
        with_etag(lambda: next(answers))
