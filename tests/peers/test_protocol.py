"""Sealed lines: what was said arrives, and nothing else is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.peers.protocol import Forged, LineSeal, plain

MESSAGES = st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.integers()))


def both_ends(secret: bytes = b"s", theirs: bytes = b"s", from_server: bool = True) -> tuple[LineSeal, LineSeal]:
    return LineSeal(secret, "a", "b", from_server=True), LineSeal(theirs, "a", "b", from_server=from_server)


@given(st.lists(MESSAGES))
def test_what_is_sealed_can_be_opened_in_its_order(messages: list[dict[str, object]]) -> None:
    closing, opening = both_ends()
    assert [opening.open(closing.close(message)) for message in messages] == messages


@given(MESSAGES, st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_line_that_was_changed_is_not_believed(message: dict[str, object], place: int, change: int) -> None:
    closing, opening = both_ends()
    line = bytearray(closing.close(message))
    line[place % (len(line) - 1)] ^= change
    with pytest.raises(Forged):
        opening.open(bytes(line))


def test_a_line_that_was_repeated_or_left_out_is_not_believed() -> None:
    closing, opening = both_ends()
    first, second = closing.close({"n": 1}), closing.close({"n": 2})
    with pytest.raises(Forged):
        opening.open(second)
    assert opening.open(first) == {"n": 1}
    with pytest.raises(Forged):
        opening.open(first)


def test_another_secret_or_the_other_direction_opens_nothing() -> None:
    for closing, opening in (both_ends(theirs=b"t"), both_ends(from_server=False)):
        with pytest.raises(Forged):
            opening.open(closing.close({"n": 1}))


def test_only_objects_are_messages() -> None:
    closing, opening = both_ends()
    with pytest.raises(Forged):
        opening.open(closing.close(b"[1]"))
    assert both_ends()[1].open(both_ends()[0].close(plain({"n": 1}))) == {"n": 1}
