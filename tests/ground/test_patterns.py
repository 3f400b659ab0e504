"""Regular expressions that are compiled when they are first used."""

import re

import pytest

from bootstrap.ground.patterns import pattern


def test_nothing_is_compiled_before_it_is_used() -> None:
    wrong = pattern("(")
    with pytest.raises(re.error):
        wrong.search("a")


def test_it_is_a_pattern_to_all_who_ask() -> None:
    word = pattern(r"(?P<first>[a-z])\w*", re.IGNORECASE)
    found = word.fullmatch("Ab")
    assert found is not None and found["first"] == "A"
    assert (word.sub("_", "a b"), word.findall("a bc"), word.pattern) == ("_ _", ["a", "b"], r"(?P<first>[a-z])\w*")
    assert pattern(rb"\d+").findall(b"1 22") == [b"1", b"22"]
    assert word.search is word.search, "the compiled one's own method, with no way round after the first time"
