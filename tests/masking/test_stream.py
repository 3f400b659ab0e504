"""Streaming redaction against the simplest reference there is: one replacement over all bytes at once."""

from __future__ import annotations

import base64
import json
import sys
import threading
from functools import lru_cache
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrap.masking.stream import SHORTEST, Redactor, forms
from tests.process.driver import Secrets

# few letters, so that secrets overlap, repeat and begin inside one another
LETTERS = "ab/+é\n"
secret_values = st.lists(st.text(LETTERS, min_size=1, max_size=12), max_size=4)
output = st.lists(st.text(LETTERS, max_size=8).map(str.encode), max_size=8)


def reference(data: bytes, secrets: list[str]) -> bytes:
    """Leftmost, then longest, over everything at once."""
    needles, done, at = _by_head(tuple(secrets)), b"", 0
    while at < len(data):
        here = next((needle for needle in needles.get(data[at : at + 2], ()) if data.startswith(needle, at)), b"")
        done += b"***" if here else data[at : at + 1]
        at += len(here) or 1
    return done


@lru_cache(maxsize=64)
def _by_head(secrets: tuple[str, ...]) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    needles = {needle for value in secrets if len(value.encode()) >= SHORTEST for needle in forms(value)}
    for needle in sorted(needles, key=len, reverse=True):
        found.setdefault(needle[:2], []).append(needle)
    return found


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[str], list[bytes]]:
    """Secrets, and chunks in which their spellings occur, cut anywhere."""
    secrets = draw(secret_values)
    spelled = [spelling for value in secrets for spelling in sorted(forms(value))]
    pieces = draw(st.lists(st.one_of(st.sampled_from(spelled), st.binary(max_size=5)), max_size=8)) if spelled else []
    data = b"".join(pieces) + b"".join(draw(output))
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=10)))
    return secrets, [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@settings(max_examples=100, deadline=None)
@given(streams())
def test_any_chunking_gives_what_one_replacement_over_all_bytes_gives(stream: tuple[list[str], list[bytes]]) -> None:
    secrets, chunks = stream
    redactor = Redactor(Secrets(*secrets))
    passed = b"".join([*(redactor.feed(chunk) for chunk in chunks), redactor.flush()])
    assert passed == reference(b"".join(chunks), secrets)


@settings(max_examples=100, deadline=None)
@given(streams(), st.sampled_from([1, 10, 1 << 30]), st.sampled_from([1, 8, 1 << 30]), st.sampled_from([1, 4096]))
def test_the_fast_no_is_never_wrong(
    stream: tuple[list[str], list[bytes]], rare: int, choose_again: int, sample: int
) -> None:
    """Whatever letters were chosen, after whatever bytes, and however soon they are given up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bootstrap.masking.stream.RARE", rare)
        patch.setattr("bootstrap.masking.stream.CHOOSE_AGAIN", choose_again)
        patch.setattr("bootstrap.masking.stream.SAMPLE", sample)
        test_any_chunking_gives_what_one_replacement_over_all_bytes_gives.hypothesis.inner_test(stream)


KEYS = [
    "AKIAIOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI/K7MDENG+bPxRfi",
    "hunter22",
    'p/a+s s&"w\u00f6rd\\1',
    "22hunter2hunter22",
]
LINE = b"[2026-02-03 04:05:06.789] INFO worker 3: step 12345/100000 loss=0.12345 lr=1.2e-05 images/s=1234.5\n"


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2 * len(LINE)), st.sampled_from(sorted({f for k in KEYS for f in forms(k)})))),
    st.lists(st.integers(1, 700), min_size=1, max_size=40),
)
def test_any_spelling_anywhere_in_a_training_log_is_masked(put: list[tuple[int, bytes]], sizes: list[int]) -> None:
    """Long streams of ordinary lines, in which the letters are chosen that a log has seldom."""
    data = LINE * 20
    for skip, spelling in put:
        data += (LINE * 3)[:skip] + spelling
    data += LINE
    redactor, passed, at = Redactor(Secrets(*KEYS)), b"", 0
    while at < len(data):
        size = sizes[at % len(sizes)]
        passed += redactor.feed(data[at : at + size])
        at += size
    assert passed + redactor.flush() == reference(data, KEYS)


@pytest.mark.parametrize("key", KEYS[:3])
@pytest.mark.parametrize("before", range(46))
def test_a_secret_at_every_place_around_a_border_of_chunks_is_masked(key: str, before: int) -> None:
    redactor = Redactor(Secrets(*KEYS))
    for spelling in sorted(forms(key)):
        data = LINE * 3 + spelling + LINE
        cut = 3 * len(LINE) + before - 1
        passed = redactor.feed(data[:cut]) + redactor.feed(data[cut:]) + redactor.flush()
        assert passed == reference(data, KEYS)


def test_of_secrets_that_begin_alike_the_longest_is_masked_and_of_those_that_overlap_the_first() -> None:
    redactor = Redactor(Secrets("horse-battery", "horse-battery-staple", "staple-gun"))
    assert redactor.mask("horse-battery-staple horse-battery-staple-gun horse-battery.") == "*** ***-gun ***."


@settings(max_examples=80, deadline=None)
@given(streams())
def test_less_than_one_needle_is_held_back(stream: tuple[list[str], list[bytes]]) -> None:
    secrets, chunks = stream
    redactor = Redactor(Secrets(*secrets))
    longest = max((len(needle) for value in secrets for needle in forms(value)), default=0)
    came = passed = 0
    masked = b""
    for chunk in chunks:
        came += len(chunk)
        masked += redactor.feed(chunk)
        passed = came - len(redactor._tail)
        assert came - passed < max(longest, 1)


@settings(max_examples=80, deadline=None)
@given(streams(), st.lists(st.booleans(), min_size=12, max_size=12))
def test_pauses_let_no_secret_pass(stream: tuple[list[str], list[bytes]], pauses: list[bool]) -> None:
    secrets, chunks = stream
    redactor = Redactor(Secrets(*secrets))
    passed = b""
    for chunk, pause in zip(chunks, pauses, strict=False):
        passed += redactor.feed(chunk) + (redactor.idle() if pause else b"")
    passed += redactor.flush()
    whole = b"".join(chunks)
    if reference(whole, secrets) == whole:
        assert passed == whole  # where there is nothing to mask, a pause changes nothing
    for value in secrets:
        if len(value.encode()) >= SHORTEST and value.encode() not in reference(whole, secrets):
            assert value.encode() not in passed


def test_a_prompt_that_ends_like_a_secret_begins_is_delivered_in_a_pause() -> None:
    redactor = Redactor(Secrets("yes-i-am-secret"))
    assert redactor.feed(b"continue? [y") == b"continue? ["
    assert redactor.held
    assert redactor.idle() == b"y"
    assert not redactor.held
    assert redactor.feed(b"/n]") == b"/n]"


def test_what_follows_a_pause_is_masked_if_it_completes_a_secret() -> None:
    redactor = Redactor(Secrets("yes-i-am-secret"))
    passed = redactor.feed(b"key: yes") + redactor.idle() + redactor.feed(b"-i-am-secret!\n") + redactor.flush()
    assert passed == b"key: yes***!\n"


def test_a_long_beginning_of_a_secret_waits_for_the_byte_that_decides() -> None:
    """A program that fills a buffer of 4096 bytes writes the two halves of a secret minutes apart."""
    redactor = Redactor(Secrets("AKIAIOSFODNN7EXAMPLE"))
    assert redactor.feed(b"id AKIAIOSFOD") == b"id "
    assert redactor.idle() == b""
    assert redactor.feed(b"NN7EXAMPLE.") == b"***."


@pytest.mark.parametrize("before", ["", "x", "xy", "xyz", "user:"])
@pytest.mark.parametrize("after", ["", "q", "qr", "qrs"])
@pytest.mark.parametrize("value", ["s3cr3t-k3y", "abcdef", "pa/ss+wörd?", "a" * 40])
def test_base64_of_any_alignment_is_masked(before: str, after: str, value: str) -> None:
    text = (before + value + after).encode()
    for encoded in (base64.b64encode(text), base64.urlsafe_b64encode(text)):
        masked = Redactor(Secrets(value)).mask(encoded.decode())
        assert "***" in masked
        assert len(masked.replace("***", "").rstrip("=")) <= len(base64.b64encode((before + after).encode())) + 6


@pytest.mark.parametrize(
    "spell", [str, quote, lambda v: quote(v, safe=""), quote_plus, json.dumps, lambda v: quote(v, safe="").lower()]
)  # type: ignore[no-any-return]
def test_every_spelling_is_masked(spell: object) -> None:
    value = 'p/a+s s&"wörd\\1'
    if spell(value) != spell(value).lower() and "%" not in spell(value):  # type: ignore[operator]
        assert spell(value)  # type: ignore[operator]
    assert "***" in Redactor(Secrets(value)).mask(f"x{spell(value)}y")  # type: ignore[operator]


def test_a_value_that_is_too_short_is_refused_and_counted() -> None:
    redactor = Redactor(Secrets("abc", "", "long-enough"))
    assert redactor.mask("abc long-enough") == "abc ***"
    assert redactor.refused == 1


def test_a_secret_learnt_later_is_masked_from_then_on() -> None:
    secrets = Secrets("first-secret")
    redactor = Redactor(secrets)
    assert redactor.feed(b"second-secret\n") == b"second-secret\n"
    secrets._values, secrets.version = ("first-secret", "second-secret"), 2
    assert redactor.feed(b"first-secret second-secret\n") == b"*** ***\n"


def test_messages_of_several_threads_are_masked_while_letters_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bootstrap.masking.stream.CHOOSE_AGAIN", 1)  # at every message
    keys = [a + b * 7 for a, b in zip("acegikmoqsuwy", "bdfhjlnprtvxz", strict=True)]  # no two have a letter in common
    redactor, leaked = Redactor(Secrets(*keys)), threading.Event()

    def speak() -> None:
        for _ in range(20):
            if redactor.mask(" ".join(keys)) != " ".join(["***"] * len(keys)):
                leaked.set()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=speak) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert not leaked.is_set()


def test_without_secrets_nothing_is_held_or_copied() -> None:
    redactor = Redactor(Secrets())
    data = b"anything"
    assert redactor.feed(data) is data
    assert not redactor.held
    assert redactor.flush() == b""


def test_a_new_secret_may_be_shorter_than_what_was_held() -> None:
    secrets = Secrets("aaaaaaaaaaaaaaaaaaaa")
    redactor = Redactor(secrets)
    passed = redactor.feed(b"aaaaaaaaaaaaaaa")
    secrets._values, secrets.version = (), 2
    passed += redactor.feed(b"!") + redactor.flush()
    assert passed == b"aaaaaaaaaaaaaaa!"
