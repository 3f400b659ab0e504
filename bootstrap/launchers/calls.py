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
from .wrappers import program_of, text_behind_c

_OTHERS = (
    *("accelerate launch", "accelerate-launch", "-m accelerate.commands.launch", "colossalai run", "composer", "srun"),
    *("llamafactory-cli train", "swift sft", "swift pt", "swift rlhf", "xtuner train", "tune run", "axolotl train"),
    *("lightning run", "fabric run", "torchx run", "-m torch_xla.distributed.xla_dist"),
)
"""Launchers that are not in the table: what they read is their own business, but that they start processes is known."""

OTHERS_FLAGS = {
    **dict.fromkeys(
        ("accelerate launch", "accelerate-launch", "-m accelerate.commands.launch"),
        ("--num_machines", "--machine_rank", "--main_process_ip", "--config_file", "--deepspeed_hostfile"),
    ),
    "colossalai run": ("--host", "--hostfile", "--nnodes", "--node_rank", "--master_addr"),
    "lightning run": ("--num-nodes", "--node-rank", "--main-address"),
    "fabric run": ("--num-nodes", "--node-rank", "--main-address"),
    "tune run": ("--nnodes", "--node-rank", "--rdzv-endpoint", "--rdzv-backend"),
}
"""Those of them that read nothing of the nodes from the environment, and the flags that tell them."""

_CALLS = {words: row.name for row in LAUNCHERS.values() for words in row.calls} | dict.fromkeys(_OTHERS, "")
# What is a package or an everyday word, too, is mentioned for other reasons: pip install deepspeed.
_AMBIGUOUS = ("deepspeed", "composer", "srun", "tune run", "lightning run", "fabric run")
_MENTION = pattern(
    "|".join(
        rf"(?<![\w./-]){re.escape(words.removeprefix('-m '))}(?![\w.-])"
        for words in sorted(_CALLS, reverse=True)
        if words.removeprefix("-m ") not in _AMBIGUOUS
    )
)
# A quotation is kept whole; what ends a command, or begins one inside another, is a part of its own.
_PARTS = pattern(r"""('[^']*'|"(?:\\.|[^"\\])*"|\\.|[^'"\\;|&\n`(){}])+|\$\(|[;|&\n`(){}]+|['"\\]""", re.DOTALL)
_FOUND = pattern(r"(?:\$\(|`)(?:which|command -v|type -p) ([\w./-]+)[)`]")
_MODULE = pattern(r"-[bBdEhiIOPqsSuvVx]*m(.*)")
_SUFFIX = pattern(r"(?<=mpirun)\.\w+$|(?<=mpiexec)\.\w+$")  # Debian's alternatives, MPICH's Hydra
_UNKNOWN = pattern(r"\$\{[^{}]*\}|\$\(dirname [^()]*\)")
_DECLARED = ("export", "local", "readonly", "declare", "typeset")
_LONGEST = 1 << 20  # bytes of a script


def of_command(command: Sequence[str], work_dir: str) -> list[Call]:
    """What ``command`` calls, where it starts in ``work_dir``: certain calls first, in their order."""
    if found := _called(command):
        return [Call(_CALLS[found], found, "the command", shlex.join(command))]
    words = _program(command)
    if (text := text_behind_c(words)) is not None:
        return _sorted(_of_text(text, "the command", [work_dir], set()))
    script = shell_script(words, work_dir)
    return _sorted(_of_file(script, [work_dir], set())) if script else []


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


def _of_file(path: Path, places: list[str], read: set[str]) -> Iterator[Call]:
    """``read`` holds the scripts that have been looked at: each is once, however they call each other. ``places`` are
    the directories that a script may be in when it is called.
    """
    if (name := os.path.realpath(path)) not in read:
        read.add(name)
        yield from _of_text(_read(path), path.name, [*places, str(path.parent)], read)


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as opened:
            text = opened.read(_LONGEST)
    except (OSError, ValueError):
        return ""
    return "" if "\0" in text else text  # no script


def _of_text(text: str, name: str, places: list[str], read: set[str]) -> Iterator[Call]:
    whole = _without_comments(text)
    places = [*places]
    seen: set[str] = set()
    for number, line in _lines(whole):
        where = name if name == "the command" else f"{name}, line {number}"
        for words in _commands(line):
            if found := _called(words):
                seen.add(found)
                yield Call(_CALLS[found], found, where, whole)
            elif (inner := text_behind_c(_program(words))) is not None:
                yield from _of_text(inner, where, places, read)
            elif words[0] in ("cd", "pushd") and len(words) > 1:
                places += [os.path.join(place, words[1]) for place in places]
            elif script := _script_in(words, places):
                yield from _of_file(script, places, read)
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


def _script_in(words: Sequence[str], places: Sequence[str]) -> Path | None:
    """The script that a line of a script runs, where its name is spelled out."""
    rest = _program(words)
    if rest[:1] in (["source"], ["."]):
        rest = ["sh", *rest[1:2]]
    rest = [re.sub(r"^\$\w+/", "", word) for word in rest]  # its own directory, more often than not
    return next((found for place in places if (found := shell_script(rest, place))), None) if rest else None


def _called(words: Sequence[str]) -> str | None:
    """Which of the known calls ``words`` begin with, wrappers such as ``env`` and ``nohup`` passed over."""
    rest = _program(words)
    if not rest:
        return None
    first = os.path.basename(rest[0])
    if PYTHON.match(first) or first.startswith("$"):  # $PYTHON
        del rest[0]
        while rest and rest[0].startswith("-") and (module := _MODULE.match(rest[0])) is None:
            del rest[: 2 if rest[0] in ("-W", "-X") else 1]
        if not rest:
            return None
        if module := _MODULE.match(rest[0]):  # -m NAME, -um NAME, -mNAME
            name = f"-m {module[1] or ''.join(rest[1:2])}"
            return name if name in _CALLS else None
    return _begins(rest)  # or python /opt/conda/bin/torchrun


def _program(words: Sequence[str]) -> list[str]:
    return program_of(words, lambda rest: _begins(rest) is not None)


def _begins(words: Sequence[str]) -> str | None:
    """Which known call ``words`` begin with."""
    first = _SUFFIX.sub("", os.path.basename(words[0]))
    for width in (2, 1):
        candidate = " ".join([first, *words[1:width]])
        if candidate in _CALLS:
            return candidate
    return None


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
