"""The catalogue of causes: codes and ids are promises to schedulers."""

from __future__ import annotations

import signal

from bootstrap.errors import BucketMissing, KeysUnavailable, SecretUnreadable, StoreUnavailable, catalogue


def test_every_cause_has_its_own_code_and_id() -> None:
    kinds = catalogue()
    assert len({kind.code for kind in kinds}) == len(kinds) == len({kind.id for kind in kinds})
    assert all(kind.meaning and kind.remedy_hint for kind in kinds)


def test_codes_stay_clear_of_what_already_means_something() -> None:
    taken = {0, 1, 2, *range(64, 79), 80, 93, 125, 247, 255}
    taken |= {128 + number for number in signal.valid_signals()}
    codes = {kind.code for kind in catalogue()}
    assert not codes & taken
    assert {code for code in codes if not (100 <= code < 125 or 200 <= code < 220)} == {126, 127}


def test_the_hundreds_tell_whether_to_retry() -> None:
    assert not BucketMissing("x").retry
    assert StoreUnavailable("x").retry


def test_the_words_say_what_where_why_and_what_to_do() -> None:
    error = BucketMissing("cannot list", where="obs://b/", why="NoSuchBucket", remedy="create it")
    assert str(error) == "cannot list (obs://b/): NoSuchBucket. What to do: create it."
    assert BucketMissing.remedy_hint in str(BucketMissing("cannot list"))


def test_a_failure_told_in_other_words_is_another_of_its_kind() -> None:
    error = StoreUnavailable("cannot list", where="obs://b/", why="HTTP 503", remedy="wait", temporary=True)
    other = error.replace(where="--code = obs://b/")
    assert (error.where, other.where) == ("obs://b/", "--code = obs://b/")
    told = (StoreUnavailable, "HTTP 503", "wait", {"temporary": True})
    assert (type(other), other.why, other.remedy, other.facts) == told
    assert error.replace(why="gone").why == "gone" and error.replace(remedy="ask").remedy == "ask"


def test_a_cause_that_refines_another_one_is_in_the_catalogue() -> None:
    assert KeysUnavailable in catalogue() and SecretUnreadable in catalogue()
