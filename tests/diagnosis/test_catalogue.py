"""One catalogue, in both languages, complete; one table of rules, of which each leads into it."""

from __future__ import annotations

import re

import pytest

from bootstrap.diagnosis import Facts, Machine, explain, lines_of
from bootstrap.diagnosis.catalogue import CatalogueEntry, entries
from bootstrap.diagnosis.own import CHINESE, of_error
from bootstrap.diagnosis.rules import CAUSES, RULES
from bootstrap.diagnosis.rules.model import Rule
from bootstrap.errors import BootstrapError, catalogue
from bootstrap.job import AskedBy, Ending
from bootstrap.reporting.language import Words, language
from tests.diagnosis.case import Case, in_noise
from tests.diagnosis.wordings import CASES

HAN = re.compile(r"[\u4e00-\u9fff]")
PUBLISHED = [
    "device-hardware",
    "device-out-of-memory",
    "device-assert",
    "device-missing",
    "driver-too-old",
    "device-error",
    "collective-timeout",
    "collective-failed",
    "rendezvous-timeout",
    "address-in-use",
    "out-of-memory",
    "memory-error",
    "rank-killed",
    "worker-killed",
    "shared-memory-full",
    "disk-full",
    "inodes-used-up",
    "quota-exceeded",
    "open-files-used-up",
    "processes-used-up",
    "packages-mismatch",
    "library-missing",
    "module-missing",
    "import-failed",
    "program-missing",
    "file-missing",
    "permission-denied",
    "read-only",
    "arguments-invalid",
    "config-invalid",
    "syntax-error",
    "line-endings",
    "credentials-expired",
    "clock-skewed",
    "access-denied",
    "object-missing",
    "hub-unreachable",
    "proxy-failed",
    "certificate-failed",
    "name-unresolved",
    "checkpoint-corrupt",
    "checkpoint-mismatch",
    "loss-nan",
    "not-picklable",
    "main-not-guarded",
    "stack-overflow",
    "interrupted",
    "python-exception",
    "assertion",
    "stopped-by-user",
    "stopped-by-platform",
    "stopped-by-timeout",
    "stopped-by-stall",
    "stopped-by-peer",
    "killed-from-outside",
    "segmentation-fault",
    "bus-error",
    "illegal-instruction",
    "aborted",
    "url-used-as-path",
    "network-unreachable",
    "command-failed",
]


def test_what_has_been_published_stays() -> None:
    assert [id for id in PUBLISHED if id not in CAUSES] == []


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: f"{entry.id}-{entry.code or 'command'}")
def test_every_cause_is_told_in_both_languages(entry: CatalogueEntry) -> None:
    for words in (entry.text, entry.remedy):
        assert bool(words.en) == bool(words.zh)
        assert not HAN.search(words.en) and "{" not in words.en + words.zh
        assert not words or HAN.search(words.zh)
        assert not words.zh.endswith("。") and not words.en.endswith(".")
    assert entry.remedy or entry.id in ("success", "stopped-by-user", "stopped-by-platform")


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.hint], ids=lambda rule: rule.name)
def test_every_hint_of_a_rule_is_in_both_languages(rule: Rule) -> None:
    assert HAN.search(rule.hint.zh) and not HAN.search(rule.hint.en)


def test_every_rule_has_a_name_of_its_own_and_a_cause() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names) >= 60
    assert [rule.name for rule in RULES if rule.cause not in CAUSES] == []
    for rule in RULES:
        re.compile(rule.says, re.MULTILINE)


def test_no_error_of_ours_is_without_chinese() -> None:
    assert {kind.id for kind in catalogue()} == CHINESE.keys()


@pytest.mark.parametrize("kind", catalogue(), ids=lambda kind: kind.id)
def test_an_error_of_ours_is_a_verdict_too(kind: type[BootstrapError]) -> None:
    found = of_error(kind("it went wrong", where="there", why="so"))
    assert (found.id, found.retry.value == "yes") == (kind.id, kind.code >= 200)
    assert found.evidence[0].text == "it went wrong (there): so"


@pytest.mark.parametrize(
    ("setting", "environ", "expected"),
    [
        ("auto", {}, "en"),
        ("auto", {"LANG": "zh_CN.UTF-8"}, "zh"),
        ("auto", {"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ("auto", {"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_TW"}, "zh"),
        ("en", {"LANG": "zh_CN.UTF-8"}, "en"),
        ("zh", {}, "zh"),
    ],
)
def test_the_language_is_a_choice_else_the_locales(setting: str, environ: dict[str, str], expected: str) -> None:
    assert language(setting, environ) == expected


def test_a_place_that_nothing_is_known_of_is_no_error() -> None:
    assert Words("{a} and {b}", "{a}、{b}").filled(a=1) == Words("1 and ?", "1、?")


# --- near misses: the same words, of something that did not end the program -------------------------------------------

LAST = 'Traceback (most recent call last):\n  File "/job/train.py", line 300, in step\n    x = batch["labels"]\nKeyError: \'labels\'\n'
SAID = [case for case in CASES if not case.name.startswith("near") and case.id != "device-hardware" and not case.signal]


@pytest.mark.parametrize("case", SAID, ids=lambda case: case.name)
def test_what_was_caught_and_tried_again_is_not_the_cause(case: Case) -> None:
    text = f"{case.text}\nretrying in 3 s\nepoch 2: loss 1.3\n{LAST}"
    found = explain(Facts(Ending(1), lines_of(text), Machine("/nowhere")))
    assert (found.id, found.evidence[0].line) == ("python-exception", 300)


@pytest.mark.parametrize("case", SAID, ids=lambda case: case.name)
def test_what_is_quoted_is_not_the_cause(case: Case) -> None:
    samples = "".join(
        f'{{"text": "{line}", "label": {n}}}\n' for n, line in enumerate(case.text.replace('"', "").split("\n"))
    )
    found = explain(Facts(Ending(1), lines_of(f"{samples}{LAST}"), Machine("/nowhere")))
    assert (found.id, found.evidence[0].line) == ("python-exception", 300)


@pytest.mark.parametrize("case", [case for case in CASES if case.id != "success"][::7], ids=lambda case: case.name)
@pytest.mark.parametrize("who", [AskedBy.PLATFORM, AskedBy.TIMEOUT, AskedBy.PEER, AskedBy.USER, AskedBy.STALL])
def test_whoever_asked_for_the_end_comes_before_all_words(case: Case, who: AskedBy) -> None:
    found = explain(Facts(Ending(None, 15, asked_by=who), lines_of(in_noise(case).text), Machine("/nowhere")))
    assert found.id == f"stopped-by-{who.value}"
