"""Which launchers a command calls by itself: the one that it is, or those in the shell script that it runs.

A script is read and never run, so this is a judgement: a launcher where a command begins is *certain*, its name
elsewhere in the text (in an ``echo``, in a variable that may be run later) is only a mention. Comments count for
nothing. Scripts that a script runs by name are read as well.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..ground.argv import PYTHON, SHELL, script_of
from ..ground.patterns import pattern
from .launcher import Call
from .table import LAUNCHERS

_OTHERS = ("accelerate launch", "-m accelerate.commands.launch", "colossalai run", "composer", "srun")
"""Launchers that are not in the table: what they read is their own business, but that they start processes is known."""

_CALLS = {words: row.name for row in LAUNCHERS.values() for words in row.calls} | dict.fromkeys(_OTHERS, "")
# What is a package or an everyday word, too, is mentioned for other reasons: pip install deepspeed.
_AMBIGUOUS = ("deepspeed", "composer", "srun")
_MENTION = pattern(
    "|".join(
        rf"(?<![\w./-]){re.escape(words.removeprefix('-m '))}(?![\w.-])"
        for words in sorted(_CALLS, reverse=True)
        if words.removeprefix("-m ") not in _AMBIGUOUS
    )
)
# Words that run what follows them; their own options and numbers are passed over.
_IN_FRONT = frozenset(
    (
        "env", "exec", "time", "nohup", "sudo", "nice", "ionice", "timeout", "stdbuf", "numactl", "taskset", "setsid",
        "unbuffer", "chrt", "command", "builtin", "eval", "coproc", "if", "then", "elif", "else", "while", "until",
        "do", "!",
    )
)  # fmt: skip
# A quotation is kept whole; what ends a command, or begins one inside another, is a part of its own.
_PARTS = pattern(r"""('[^']*'|"(?:\\.|[^"\\])*"|\\.|[^'"\\;|&\n`(){}])+|\$\(|[;|&\n`(){}]+|['"\\]""", re.DOTALL)
_FOUND = pattern(r"\$\((?:which|command -v) ([\w./-]+)\)")
_UNKNOWN = pattern(r"\$\{[^{}]*\}|\$\(dirname [^()]*\)")
_DECLARED = ("export", "local", "readonly", "declare", "typeset")
_LONGEST = 1 << 20  # bytes of a script


def of_command(command: Sequence[str], work_dir: str) -> list[Call]:
    """What ``command`` calls, where it starts in ``work_dir``: certain calls first, in their order."""
    words = list(command)
    if found := _called(words):
        return [Call(_CALLS[found], found, "the command", shlex.join(words))]
    if (text := _inline(words)) is not None:
        return _sorted(_of_text(text, "the command", work_dir, set()))
    script = shell_script(words, work_dir)
    return _sorted(_of_file(script, work_dir, set())) if script else []


def shell_script(words: Sequence[str], work_dir: str) -> Path | None:
    """The file of a shell script that the command runs: behind a shell, by its own name, or behind a Python that
    cannot read it.
    """
    named = script_of(words) if words else None
    if named is None:  # `/bin/bash` alone is a shell, and no script
        named = words[0] if words and "/" in words[0] and not SHELL.match(os.path.basename(words[0])) else None
    elif not SHELL.match(os.path.basename(words[0])) and not named.endswith((".sh", ".bash")):
        return None
    path = Path(work_dir, named) if named else None
    if path is None or not os.path.isfile(path):  # unlike Path's own, it takes any words for a name
        return None
    if SHELL.match(os.path.basename(words[0])) or path.suffix in (".sh", ".bash"):
        return path
    first = _read(path).partition("\n")[0]
    return path if first.startswith("#!") and any(SHELL.match(os.path.basename(w)) for w in first[2:].split()) else None


def _sorted(calls: Iterator[Call]) -> list[Call]:
    return sorted(calls, key=lambda call: not call.certain)


def _inline(words: Sequence[str]) -> str | None:
    """The script of ``bash -c SCRIPT``."""
    if not words or not SHELL.match(os.path.basename(words[0])):
        return None
    for place, word in enumerate(words[1:-1], 1):
        if not word.startswith("-"):
            return None
        if not word.startswith("--") and "c" in word:
            return words[place + 1]
    return None


def _of_file(path: Path, work_dir: str, read: set[str]) -> Iterator[Call]:
    """``read`` holds the scripts that have been looked at: each is once, however they call each other."""
    if (name := os.path.realpath(path)) not in read:
        read.add(name)
        yield from _of_text(_read(path), path.name, work_dir, read)


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as opened:
            text = opened.read(_LONGEST)
    except (OSError, ValueError):
        return ""
    return "" if "\0" in text else text  # no script


def _of_text(text: str, name: str, work_dir: str, read: set[str]) -> Iterator[Call]:
    whole = _without_comments(text)
    seen: set[str] = set()
    for number, line in _lines(whole):
        where = name if name == "the command" else f"{name}, line {number}"
        for words in _commands(line):
            if found := _called(words):
                seen.add(found)
                yield Call(_CALLS[found], found, where, whole)
            elif (inner := _inline(list(_behind_the_front(words)))) is not None:
                yield from _of_text(inner, where, work_dir, read)
            elif script := _script_in(words, work_dir):
                yield from _of_file(script, work_dir, read)
    for mention in dict.fromkeys(found[0] for found in _MENTION.finditer(whole)):
        words_of = mention if mention in _CALLS else f"-m {mention}"
        if words_of not in seen:
            yield Call(_CALLS[words_of], words_of, name, whole, certain=False)


def _commands(line: str) -> Iterator[list[str]]:
    """The words of each command of a line; a variable's value counts as one, since it may be run later."""
    line = _UNKNOWN.sub("$V", _FOUND.sub(r"\1", line))
    for part in _PARTS.finditer(line):
        words = _words(part[0])
        while words and (words[0] in _DECLARED or (words[0].startswith("-") and len(words) > 1)):
            del words[0]
        if len(words) == 1 and (value := re.match(r"\w+\+?=(.*)", words[0], re.DOTALL)):
            words = _words(value[1])
        if words:
            yield words


def _script_in(words: Sequence[str], work_dir: str) -> Path | None:
    """The script that a line of a script runs, where its name is spelled out."""
    rest = list(_behind_the_front(words))
    if rest[:1] in (["source"], ["."]):
        rest = ["sh", *rest[1:2]]
    rest = [re.sub(r"^\$\w+/", "", word) for word in rest]  # its own directory, more often than not
    return shell_script(rest, work_dir) if rest else None


def _called(words: Sequence[str]) -> str | None:
    """Which of the known calls ``words`` begin with, wrappers such as ``env`` and ``nohup`` passed over."""
    rest = list(_behind_the_front(words))
    if not rest:
        return None
    first = os.path.basename(rest[0])
    if PYTHON.match(first) or first.startswith("$"):  # $PYTHON
        del rest[0]
        while rest and rest[0].startswith("-") and rest[0] != "-m":
            del rest[: 2 if rest[0] in ("-W", "-X") else 1]
        if rest[:1] == ["-m"]:
            module = " ".join(rest[:2])
            return module if module in _CALLS else None
        if not rest:
            return None
        first = os.path.basename(rest[0])  # python /opt/conda/bin/torchrun
    for width in (2, 1):
        candidate = " ".join([first, *rest[1:width]])
        if candidate in _CALLS:
            return candidate
    return None


def _behind_the_front(words: Sequence[str]) -> Iterator[str]:
    passing, wrapped = True, False
    for word in words:
        if passing:
            if os.path.basename(word) in _IN_FRONT:
                wrapped = True
                continue
            # KEY=value before the command; behind a wrapper its options, and their numbers (timeout 5m, nice -n 10)
            if re.fullmatch(r"\w+=.*", word, re.DOTALL) or (wrapped and re.fullmatch(r"-.*|[\d.,-]+[smhd]?", word)):
                continue
            passing = False
        yield word


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=False)
    except ValueError:  # a quotation that ends in another part
        return text.replace('"', " ").replace("'", " ").split()


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers; one that ends in a backslash goes on in the next."""
    begun, held = 1, ""
    for number, line in enumerate(text.split("\n"), 1):
        held += line
        if held.endswith("\\"):
            held = held[:-1] + " "
            continue
        yield begun, held
        begun, held = number + 1, ""
    yield begun, held


def _without_comments(text: str) -> str:
    """``text`` without ``#`` comments; a ``#`` inside quotes or a word is none."""
    made = []
    for line in text.replace("\r\n", "\n").split("\n"):
        quote = ""
        for place, sign in enumerate(line):
            if quote:
                quote = "" if sign == quote else quote
            elif sign in "\"'":
                quote = sign
            elif sign == "#" and (place == 0 or line[place - 1] in " \t;&|("):
                line = line[:place]
                break
        made.append(line)
    return "\n".join(made)
