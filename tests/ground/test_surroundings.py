"""What surrounds a value by accident is taken off, whatever it is; what belongs to it stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bootstrap.ground.surroundings import bare

URL = "obs://bucket/a b/c/"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (f'"{URL}"', "quotes"),
        (f"'{URL}'", "quotes"),
        (f"`{URL}`", "quotes"),
        (f"\u201c{URL}\u201d", "quotes"),
        (f"{URL}\n", "a line's end"),
        (f"{URL}\r", "a line's end"),
        (f"\ufeff{URL}", "a byte order mark"),
        (f"  {URL}\t", "space"),
        (f"\ufeff\"'{URL}'\"\r\n", "a byte order mark and quotes"),
        (f'" {URL}"', "quotes and space"),
    ],
)
def test_it_is_taken_off_and_named(written: str, words: str) -> None:
    assert bare(written) == (URL, words)


@pytest.mark.parametrize("text", ["", "x", '"', '"a', 'a"', '"a"="b"', '{"a": "b"}', "it's", "'a' or 'b'"])
def test_what_is_no_pair_around_the_whole_stays(text: str) -> None:
    assert bare(text) == (text, "")


def test_nothing_between_quotes_is_nothing() -> None:
    assert bare('""') == ("", "quotes")


@given(some.text())
def test_once_is_enough_and_what_is_left_was_there(text: str) -> None:
    value, gone = bare(text)
    assert value in text and bare(value) == (value, "")
    assert bool(gone) == (value != text)
