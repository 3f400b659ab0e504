"""What the words of a command say: which interpreter runs it, and which script that is going to read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from .patterns import pattern

PYTHON = pattern(r"(python|pypy)[0-9.]*[dmt]?$")
SHELL = pattern(r"(ba|da|z|k|mk|a|fi|c|tc)?sh$")
_PYTHON_OPTIONS_WITH_VALUE = "WX"
_SHELL_OPTIONS_WITH_VALUE = "oO"
_SHELL_LONG_WITH_VALUE = ("--rcfile", "--init-file")


def script_of(argv: Sequence[str]) -> str | None:
    """The script file that an interpreter in ``argv[0]`` is going to read; None if there is none, or in doubt."""
    name = os.path.basename(argv[0])
    if PYTHON.match(name):
        return _script(
            argv[1:], stop="cm", with_value=_PYTHON_OPTIONS_WITH_VALUE, long_with_value=("--check-hash-based-pycs",)
        )
    if SHELL.match(name):
        return _script(
            argv[1:], stop="cs", with_value=_SHELL_OPTIONS_WITH_VALUE, long_with_value=_SHELL_LONG_WITH_VALUE
        )
    return None


def text_of(argv: Sequence[str]) -> str | None:
    """The script in the words of a shell's command: that of ``bash -euo pipefail -c SCRIPT``; None if there is none."""
    rest = iter(argv[1:])
    in_words = False
    for word in rest:
        if word in ("--", "-"):
            return next(rest, None) if in_words else None
        if word.startswith("--"):
            if word in _SHELL_LONG_WITH_VALUE:
                next(rest, None)
        elif word[:1] in ("-", "+"):
            in_words = in_words or (word[0] == "-" and "c" in word)
            for _ in range(sum(word.count(letter) for letter in _SHELL_OPTIONS_WITH_VALUE)):
                next(rest, None)
        else:
            return word if in_words else None
    return None


def _script(words: Sequence[str], *, stop: str, with_value: str, long_with_value: Sequence[str]) -> str | None:
    """The first word that is no option. ``stop``: options after which there is no script file."""
    rest = iter(words)
    for word in rest:
        if word in ("--", "-"):
            # a shell's script follows either; Python reads its standard input at "-"
            return next(rest, None) if "s" in stop else None
        if word.startswith("--"):
            if word in ("--help", "--version"):
                return None
            if word in long_with_value:
                next(rest, None)
        elif word.startswith("-") or (word.startswith("+") and "s" in stop):
            for position, letter in enumerate(word[1:], 2):
                if letter in stop or letter in "hV?":
                    return None
                if letter in with_value:
                    # -Wignore has it attached; a shell takes the next word, as in -eo pipefail
                    if not (position < len(word) and "m" in stop):
                        next(rest, None)
                    if "m" in stop:
                        break
        else:
            return word
    return None


def named_in(argv: Sequence[str], directory: str) -> str:
    """The program or script that ``argv`` names by an absolute path below ``directory``, relative to it; else empty."""
    tops = {os.path.join(os.path.abspath(directory), ""), os.path.join(os.path.realpath(directory), "")}
    for place, word in enumerate(argv):
        if place == 0 or word == script_of(argv) or word.endswith((".py", ".sh")):
            for top in tops:
                if (path := os.path.normpath(word)).startswith(top) and os.path.isabs(word):
                    return path[len(top) :]
    return ""


class PythonCommand(NamedTuple):
    """A Python program: the interpreter, and what follows (``script.py --lr 1`` or ``-m module --lr 1``)."""

    interpreter: str
    program: tuple[str, ...]

    @property
    def is_module(self) -> bool:
        return self.program[0] == "-m"


def as_python(command: tuple[str, ...]) -> PythonCommand | None:
    """``train.py ...``, ``python train.py ...`` or ``python -u -m module ...`` taken apart; None for anything else.

    ``-u`` is dropped, since PYTHONUNBUFFERED says the same; with any other option of Python it is left whole.
    """
    first, rest = command[0], command[1:]
    if first.endswith(".py"):
        return PythonCommand("python3", command)
    if not PYTHON.match(os.path.basename(first)):
        return None
    while rest[:1] == ("-u",):
        rest = rest[1:]
    if not rest or (rest[0].startswith("-") and (rest[0] != "-m" or len(rest) < 2)):
        return None
    return PythonCommand(first, rest)
