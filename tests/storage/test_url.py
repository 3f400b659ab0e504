from __future__ import annotations

import pytest

from bootstrap.errors import BootstrapError, UrlInvalid, UrlSchemeUnknown
from bootstrap.storage.url import Location, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("obs://bkt/a/code/", Location("obs", "a/code/", "bkt")),
        ("s3://bkt/a/code", Location("obs", "a/code", "bkt")),
        ("OBS://bkt/K", Location("obs", "K", "bkt")),
        ("obs://bkt", Location("obs", "", "bkt")),
        ("obs://bkt/", Location("obs", "", "bkt")),
        ("obs://bkt/名前 +%41?.txt", Location("obs", "名前 +%41?.txt", "bkt")),
        ("file:///mnt/a%20b/", Location("file", "/mnt/a b/")),
        ("file://localhost/mnt/a", Location("file", "/mnt/a")),
        ("file:/mnt/a", Location("file", "/mnt/a")),
        ("/mnt/nas/code", Location("file", "/mnt/nas/code")),
        ("code", Location("file", "code")),
        ("odd:name", Location("file", "odd:name")),
    ],
)
def test_what_people_write_becomes_a_location(text: str, expected: Location) -> None:
    assert parse(text) == expected


def test_a_leading_slash_is_a_bucket_only_in_the_consoles_dialect() -> None:
    assert parse("/bkt/a/code/", console_form=True) == Location("obs", "a/code/", "bkt")
    assert parse("/bkt/a/code/") == Location("file", "/bkt/a/code/")
    assert parse("obs://bkt/a/", console_form=True) == Location("obs", "a/", "bkt")
    assert parse("relative/dir", console_form=True) == Location("file", "relative/dir")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("obs://bkt/a/code/", "code"),
        ("obs://bkt/a/code", "code"),
        ("obs://bkt", "bkt"),
        ("/mnt/code//", "code"),
        ("/", ""),
        (".", ""),
        ("..", ""),
    ],
)
def test_the_name_is_the_last_directory_or_file(text: str, name: str) -> None:
    assert parse(text).name == name


def test_children_and_parents_stay_in_the_bucket() -> None:
    root = parse("obs://bkt")
    assert str(root.child("a/b")) == "obs://bkt/a/b"
    assert str(parse("obs://bkt/a").child("b/")) == "obs://bkt/a/b/"
    assert str(parse("obs://bkt/a/b/c").parent) == "obs://bkt/a/b/"
    assert str(parse("obs://bkt/a/").parent) == "obs://bkt/"
    assert root.parent == root
    assert str(parse("/mnt/a/b").parent) == "/mnt/a/"
    assert str(parse("b").parent) == "./"


@pytest.mark.parametrize(
    "text",
    ["", "  ", "obs://", "obs:///key", "obs:/bkt/key", "s3:bkt", "obs://b kt/k", "obs://-x/k", "file://host/x", "a\0b",
     "obs://bkt/" + "k" * 1025, "file:relative"],
)  # fmt: skip
def test_a_malformed_url_is_refused(text: str) -> None:
    with pytest.raises(UrlInvalid):
        parse(text)


def test_a_missing_slash_is_put_right_in_the_remedy() -> None:
    with pytest.raises(UrlInvalid) as caught:
        parse("obs:/bkt/code/")
    assert "obs://bkt/code/" in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("ob://bkt/x/", "obs://bkt/x/"),
        ("osb://bkt/x", "obs://bkt/x"),
        ("s3a://bkt/x", "s3://bkt/x"),
        ("https://bkt.obs.cn-north-4.myhuaweicloud.com/a/code/", "obs://bkt/a/code/"),
        ("https://obs.cn-north-4.myhuaweicloud.com/bkt/a/", "obs://bkt/a/"),
        ("http://example.com/x", "S3_ENDPOINT"),
    ],
)
def test_an_unknown_scheme_is_answered_with_the_form_that_works(text: str, remedy: str) -> None:
    with pytest.raises(UrlSchemeUnknown) as caught:
        parse(text)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    "text",
    [
        "obs://AKIAKEY:TOPSECRET@bkt/code/",
        "obs://bkt/code?X-Amz-Signature=TOPSECRET",
        "obs://bkt/code?AccessKeyId=a&Signature=TOPSECRET",
        "https://AKIAKEY:TOPSECRET@bkt.obs.x-y.myhuaweicloud.com/code?Signature=TOPSECRET",
        "ob://AKIAKEY:TOPSECRET@bkt/code",
        "obs:/AKIAKEY:TOPSECRET@bkt/code",
        "S3:AKIAKEY:TOPSECRET@bkt/code?Signature=TOPSECRET",
    ],
)
def test_keys_and_signatures_in_a_url_are_never_repeated(text: str) -> None:
    with pytest.raises(BootstrapError) as caught:
        parse(text)
    said = f"{caught.value} {caught.value.where} {caught.value.remedy}"
    assert "TOPSECRET" not in said
    assert "AKIAKEY" not in said
