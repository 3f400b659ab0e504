"""What may stand before a program in a command: wrappers that run what follows them, with options of their own.

``timeout 5m``, ``conda run -n NAME``, ``sudo -E -u USER``, ``nsys profile -o FILE``, ``tini --``: which of their
options take a value nobody can know for all of them. A word behind an option counts as its value, unless it is a
program that we look for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence

from ..ground.argv import PYTHON, SHELL, text_of
from ..ground.patterns import pattern

# Words of the shell that run what follows them.
_SHELL_WORDS = frozenset(
    (
        *("exec", "time", "nohup", "command", "builtin", "eval", "coproc"),
        *("if", "then", "elif", "else", "while", "until", "do", "!"),
    )
)
# Programs that do, with how many words of their own that are no options (numbers and KEY=VALUE do not count).
_POSITIONAL = {
    **dict.fromkeys(("env", "sudo", "doas", "nice", "ionice", "stdbuf", "numactl", "setsid", "unbuffer", "setarch"), 0),
    **dict.fromkeys(("timeout", "taskset", "chrt", "prlimit"), 0),
    **dict.fromkeys(("gosu", "su-exec", "chroot", "flock"), 1),
    **dict.fromkeys(("conda", "mamba", "micromamba", "uv", "poetry", "pipenv", "pdm", "hatch", "rye", "pixi"), 1),
    **dict.fromkeys(("nsys", "ncu", "rocprof", "msprof", "py-spy", "perf", "coverage", "memray", "viztracer"), 1),
    **dict.fromkeys(
        ("strace", "ltrace", "gdb", "valgrind", "catchsegv", "tini", "dumb-init", "catatonit", "busybox"), 0
    ),
    **dict.fromkeys(
        ("runuser", "su", "setpriv", "unshare", "systemd-run", "systemd-inhibit", "xargs", "proxychains4"), 0
    ),
    **dict.fromkeys(("singularity", "apptainer"), 2),
}
_TEXT_BEHIND_C = ("su", "runuser", "script", "flock")  # their -c takes a script for a shell

_ASSIGNMENT = pattern(r"\w+=", re.ASCII)
_NUMBER = pattern(r"[\d.,:-]+[smhd]?$|0x[0-9a-f]+$", re.ASCII)


def program_of(words: Sequence[str], known: Callable[[Sequence[str]], bool]) -> list[str]:
    """``words`` from the program on that they run. ``known`` tells whether a program that is looked for begins here."""
    rest = list(words)
    while rest:
        name = os.path.basename(rest[0])
        if _ASSIGNMENT.match(rest[0]) or name in _SHELL_WORDS:
            wrapper = name in _SHELL_WORDS
            del rest[0]
            while wrapper and rest and (rest[0].startswith("-") or _NUMBER.match(rest[0])):
                del rest[0]
        elif name in _POSITIONAL and not known(rest) and text_behind_c(rest) is None:
            del rest[: _own_words(rest, _POSITIONAL[name], known)]
        else:
            break
    return rest


def text_behind_c(words: Sequence[str]) -> str | None:
    """The script that the first word's program gives to a shell: that of ``bash -euo pipefail -c SCRIPT``, too."""
    if not words:
        return None
    name = os.path.basename(words[0])
    if SHELL.match(name):
        return text_of(words)
    if name in _TEXT_BEHIND_C:
        for place, word in enumerate(words):
            if word.startswith("--command="):
                return word.partition("=")[2]
            if re.fullmatch(r"-[a-z]*c|--command", word) and place + 1 < len(words):
                return words[place + 1]
    return None


def _own_words(words: Sequence[str], positional: int, known: Callable[[Sequence[str]], bool]) -> int:
    """How many of ``words`` are the wrapper's own."""
    place, behind_option = 1, False
    while place < len(words):
        word = words[place]
        name = os.path.basename(word)
        if word == "--":
            return place + 1
        if known(words[place:]) or PYTHON.match(name) or SHELL.match(name) or name in _POSITIONAL:
            return place
        if word.startswith("-"):
            behind_option = "=" not in word
        elif _ASSIGNMENT.match(word) or behind_option:
            behind_option = False
        elif positional and not _NUMBER.match(word):
            positional -= 1
        elif not _NUMBER.match(word):
            return place
        place += 1
    return place
