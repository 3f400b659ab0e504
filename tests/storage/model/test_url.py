"""The one value that a URL or a path becomes."""

from __future__ import annotations

import pytest

from bootstrap.errors import UrlInvalid
from bootstrap.storage.model.url import shown
from bootstrap.storage.schemes import parse


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("obs://bkt/a/code/", "code"),
        ("obs://bkt/a/code", "code"),
        ("obs://bkt", "bkt"),
        ("https://host/a%20b.txt", "a b.txt"),
        ("https://host/a%2Fb", "a%2Fb"),
        ("obs://bkt/a%20b", "a%20b"),
        ("/mnt/code//", "code"),
        ("/", ""),
        (".", ""),
        ("..", ""),
    ],
)
def test_the_name_is_the_last_directory_or_file(text: str, name: str) -> None:
    assert parse(text).name == name


def test_children_stay_in_the_bucket() -> None:
    root = parse("obs://bkt")
    assert str(root.child("a/b")) == "obs://bkt/a/b"
    assert str(parse("obs://bkt/a").child("b/")) == "obs://bkt/a/b/"


def test_a_directory_is_what_is_written_as_one_and_a_bucket() -> None:
    assert [parse(text).is_directory for text in ("obs://bkt", "obs://bkt/", "obs://bkt/a/", "/mnt/a/")] == [True] * 4
    assert [parse(text).is_directory for text in ("obs://bkt/a", "/mnt/a", "a")] == [False] * 3
    for text, directory in (("obs://bkt/a", "obs://bkt/a/"), ("obs://bkt/a/", "obs://bkt/a/"), ("/mnt/a", "/mnt/a/")):
        assert str(parse(text).as_directory()) == directory
    assert str(parse("obs://bkt").as_directory()) == "obs://bkt/"
    assert str(parse("/mnt/a").child("b")) == "/mnt/a/b"


def test_in_a_bucket_dots_are_names_like_any_other() -> None:
    assert (parse("obs://bkt/a/..").name, parse("/mnt/a/..").name) == ("..", "")


@pytest.mark.parametrize(("letter", "most"), [("a", 1024), ("é", 512), ("训", 341)])
def test_a_key_is_as_long_as_its_bytes(letter: str, most: int) -> None:
    assert len(parse("obs://bkt/" + letter * most).path) == most
    with pytest.raises(UrlInvalid, match="the most is 1024"):
        parse("obs://bkt/" + letter * (most + 1))


@pytest.mark.parametrize(
    ("bucket", "fine"), [("ab", True), ("a" * 63, True), ("a", False), ("a" * 64, False), ("-ab", False)]
)
def test_a_buckets_name_has_two_to_63_signs(bucket: str, fine: bool) -> None:
    if fine:
        assert parse(f"obs://{bucket}/a").bucket == bucket
    else:
        with pytest.raises(UrlInvalid, match="2 to 63"):
            parse(f"obs://{bucket}/a")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("obs://ak:sk@bkt/a@b/c", "obs://bkt/a@b/c"),
        ("obs://a@k:s@k@bkt/a", "obs://bkt/a"),
        ("obs:/ak:sk@bkt/a", "obs:/bkt/a"),
        ("S3:ak:sk@bkt/a", "S3:bkt/a"),
        ("obs://bkt/a?X-Amz-Signature=secret", "obs://bkt/a"),
        ("obs://bkt/a?v=1&AWSAccessKeyId=AK&Signature=secret", "obs://bkt/a"),
        ("obs://bkt/a&signature=secret", "obs://bkt/a"),
        ("obs://bkt/what?.txt", "obs://bkt/what?.txt"),
        ("/mnt/a@b", "/mnt/a@b"),
        ("user@host/a", "host/a"),
        ("/mnt/a\0b", "/mnt/a\\0b"),
    ],
)
def test_what_is_printed_of_a_url_has_no_keys_and_the_rest_of_it(text: str, told: str) -> None:
    assert shown(text) == told


def test_keys_before_the_bucket_are_refused_and_not_printed_and_an_at_sign_in_a_key_is_one() -> None:
    assert parse("obs://bkt/people/me@home/x").path == "people/me@home/x"
    with pytest.raises(UrlInvalid) as caught:
        parse("obs://AKIAKEY:swordfish@bkt/x")
    assert caught.value.what == "a URL with keys in front of the bucket"
    assert "swordfish" not in str(caught.value)
