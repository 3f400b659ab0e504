"""All messages at once: what can be told from their form. Whether they read well is for who reads the list:
``python -m tests.reporting.messages``.
"""

from __future__ import annotations

import ast
import re

import pytest

from bootstrap.reporting.prose import _PHRASES
from tests.lab.sharing import ROOT
from tests.reporting.messages import LEVELS, LOGS, Message, everything

ALL = everything()
FAULTS = {
    "a number that is never one": r"\b1 (?:files|errors|warnings|nodes|names|bytes left)\b",
    "from a clause": r"\bfrom [A-Z_]+ is (?:not )?set",
    "the same word twice": r"\b(?!python)(\w{2,}) \1\b",
    "a place without its value": r"\{[a-z_]*\}",
    "two marks": r"(?<![.\w])[.:,;] ?[,;](?!//)|[.:,;][:;]|[^.]\.\.(?![.0-9])|::| [.] ",
    "a space before a mark": r" [,;](?: |$)",
    "advice to fetch us from an index": r"pip install (?:modelarts-)?bootstrap",
}
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def test_all_are_found() -> None:
    """A few of each kind, wherever they are written down."""
    told = [str(message) for message in ALL]
    for part in (
        ": info: no code URL: nothing to fetch",
        "storage/transfer.py",
        "bucket-missing: words: ",
        "--log-interval: setting: Upload new log output every SECONDS",
        "bootstrap copy: help: -n, --dry-run",
        "rule device-out-of-memory: words: ",
    ):
        assert any(part in one for one in told), part
    assert len(ALL) > 800


@pytest.mark.parametrize("fault", FAULTS)
def test_none_has_this_fault(fault: str) -> None:
    found = [str(message) for message in ALL if re.search(FAULTS[fault], message.en) and not allowed(fault, message)]
    assert not found, "\n".join(found)


def allowed(fault: str, message: Message) -> bool:
    return fault == "a place without its value" and message.kind == "words"  # Words are filled by who speaks


def test_errors_begin_in_the_middle_of_a_line() -> None:
    """They stand behind `error: `."""
    began = re.compile(r"(?:A|An|The|This|There|No|Not|Nothing|Node) ")
    kinds = {"words", "setting", "help"}
    assert [str(one) for one in ALL if one.kind not in kinds and began.match(one.en)] == []


def test_what_has_two_languages_has_chinese_in_the_second() -> None:
    both = [one for one in ALL if one.zh and re.search(r"[a-z]{3,} [a-z]{2,}", one.en)]
    quoted = [one for one in both if not CHINESE.search(one.zh)]
    assert [
        str(one) for one in quoted if "<" not in one.en and "connection refused" not in one.en and one.en != one.zh
    ] == []


def test_every_fact_has_words_of_its_own() -> None:
    """Or the console would print its name: `bytes 3`."""
    odd = set()
    for path in (ROOT / "bootstrap").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                owner, _, method = ast.unparse(node.func).rpartition(".")
                if method in LEVELS and LOGS.search(owner):
                    odd |= {word.arg for word in node.keywords if word.arg not in (*_PHRASES, "mark", "lines", None)}
    assert odd == set()
