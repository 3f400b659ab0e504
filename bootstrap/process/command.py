"""From the argv that we were given to what is executed, or to an error that says what is missing and what is near.

The argv is never a shell string, and reaches the program unchanged. One slip of people whose boot command used to be
run by a shell is mended with a warning: a literal trailing ``2>&1``, or its misspelling ``2&>1``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ..errors import BootstrapError, CommandNotExecutable, CommandNotFound, UsageError

REDIRECTIONS = ("2>&1", "2&>1")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PYTHON = re.compile(r"(python|pypy)[0-9.]*[dmt]?$")
SHELL = re.compile(r"(ba|da|z|k|mk|a)?sh$")
PYTHON_OPTIONS_WITH_VALUE = "WX"
SHELL_OPTIONS_WITH_VALUE = "oO"
SHELL_LONG_WITH_VALUE = ("--rcfile", "--init-file")
SHELL_SYNTAX = r"[$`;|&<>\s]|^\w+=|^(\.|cd|source|export|exec|eval|ulimit|umask)$"  # wanted by the unlucky only
LOOK_AT = 20_000  # files, at most, when looking for names that are near
ELF_MACHINES = {"x86_64": (62, 3), "aarch64": (183, 40)}  # what each can run: its own and its 32-bit sibling's


class Resolved(NamedTuple):
    """What is executed: ``argv``, the file (None: found again by ``argv[0]``), and what the user should be told."""

    argv: tuple[str, ...]
    executable: str | None = None
    warnings: tuple[str, ...] = ()


def resolve(
    argv: Sequence[str], *, cwd: str, environ: Mapping[str, str], job_dir: str | None = None, line_buffered: bool = True
) -> Resolved:
    """Find the command as a shell in ``cwd`` would, on the PATH of ``environ`` (the command's own environment).

    Raises UsageError for an empty command, CommandNotFound (127) when the command or the script that an interpreter
    is given does not exist, CommandNotExecutable (126) when it does but cannot be executed. Names that are near are
    looked for below ``job_dir`` (default ``cwd``) and on PATH.

    ``line_buffered``: a program that is not Python gets ``stdbuf -oL -eL`` in front where the image has it, as
    run_train.sh did for all; stdbuf replaces itself by the program, whose argv is the user's. Python has
    ``PYTHONUNBUFFERED``, and is spared stdbuf's LD_PRELOAD. A file without a ``#!`` line is run by /bin/sh, as every
    shell does.
    """
    words, warnings = without_redirections(argv)
    if not words or not words[0]:
        raise UsageError("there is no command to run", remedy="write it after --: bootstrap run [OPTIONS] -- COMMAND")
    place = _Place(cwd, environ.get("PATH", DEFAULT_PATH), job_dir or cwd)
    file = place.find(words[0])
    if file is None:
        raise place.missing(words[0])
    if not place.runs(file):
        raise _not_executable(words, file)
    script = script_of(words)
    if script is not None and not place.has_script(script, words[0]):
        raise place.missing(script, interpreter=words[0])

    kind = _kind(file)
    python = bool(PYTHON.match(os.path.basename(words[0])))
    executable: str | None = file
    if kind == "text":
        if file.endswith(".py"):
            raise _not_executable(words, file)
        words, executable = ("/bin/sh", file, *words[1:]), None
    elif kind.startswith("#!"):
        interpreter = _interpreter(words[0], file, kind)
        python = python or any(PYTHON.match(os.path.basename(word)) for word in interpreter)
    stdbuf = place.find("stdbuf") if line_buffered and not python and kind != "foreign" else None
    if stdbuf is not None and place.runs(stdbuf):
        words, executable = (stdbuf, "-oL", "-eL", *words), None
    return Resolved(words, executable, warnings)


def without_redirections(argv: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """``argv`` without a literal redirection at its end, and the warning that explains why it was dropped."""
    words = tuple(argv)
    if len(words) < 2 or words[-1] not in REDIRECTIONS:
        return words, ()
    warning = (
        f"dropped {words[-1]!r} at the end of the command: no shell runs it, so it would have been an argument. "
        "Both outputs are in the log already; for other shell syntax use: bash -c '...'"
    )
    return words[:-1], (warning,)


def script_of(argv: Sequence[str]) -> str | None:
    """The script file that an interpreter in ``argv[0]`` is going to read; None if there is none, or in doubt."""
    name = os.path.basename(argv[0])
    if PYTHON.match(name):
        return _script(
            argv[1:], stop="cm", with_value=PYTHON_OPTIONS_WITH_VALUE, long_with_value=("--check-hash-based-pycs",)
        )
    if SHELL.match(name):
        return _script(argv[1:], stop="cs", with_value=SHELL_OPTIONS_WITH_VALUE, long_with_value=SHELL_LONG_WITH_VALUE)
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
                    attached = (
                        position < len(word) and "m" in stop
                    )  # -Wignore; a shell takes the next word: -eo pipefail
                    if not attached:
                        next(rest, None)
                    if "m" in stop:
                        break
        else:
            return word
    return None


class _Place(NamedTuple):
    """Where names mean something: a working directory, a PATH, and the directory the code was fetched into."""

    cwd: str
    path: str
    job_dir: str

    def find(self, name: str) -> str | None:
        """The file a shell would execute; one that exists but may not be executed only if there is no other."""
        if "/" in name:
            file = os.path.join(self.cwd, name)
            return file if os.path.exists(file) else None
        second = None
        for directory in self.path.split(os.pathsep):
            file = os.path.join(self.cwd, directory, name)  # an empty entry means the working directory
            if os.path.isfile(file):
                if os.access(file, os.X_OK):
                    return file
                second = second or file
        return second

    def runs(self, file: str) -> bool:
        return os.path.isfile(file) and os.access(file, os.X_OK)

    def has_script(self, script: str, interpreter: str) -> bool:
        if os.path.exists(os.path.join(self.cwd, script)):
            return True
        # a shell looks for its script on PATH as well
        return bool(SHELL.match(os.path.basename(interpreter))) and self.find(script) is not None

    def missing(self, name: str, interpreter: str = "") -> BootstrapError:
        what = (
            f"the script that {interpreter} is given does not exist: {name}"
            if interpreter
            else f"command not found: {name}"
        )
        on_path = not interpreter and "/" not in name
        near = self._near(name, on_path)
        looked = f"PATH={self.path}" if on_path else f"relative to {self.cwd}"
        rule = "paths are relative to the job dir, and code fetched from .../NAME/ lies in NAME/ below it"
        if re.search(SHELL_SYNTAX, name):
            rule = "no shell reads the command: give each word as an argument of its own, or write bash -c '...'"
        if not near:
            return CommandNotFound(what, where=looked, why="nothing of a similar name is there", remedy=rule)
        return CommandNotFound(
            what,
            where=looked,
            why=f"nearest: {', '.join(near)}",
            remedy=f"write {near[0]} if that is meant; {rule}",
            nearest=near,
        )

    def _near(self, name: str, on_path: bool) -> list[str]:
        """Up to five names: the same name elsewhere below the job dir first, then similar ones."""
        import difflib  # 1 ms, and only the unlucky need it

        wanted = os.path.basename(name.rstrip("/")) or name
        files: dict[str, list[str]] = {}
        for file in _walk(self.job_dir):
            files.setdefault(os.path.basename(file), []).append(os.path.relpath(file, self.cwd))
        names = {known: places[0] for known, places in files.items()}
        if on_path:
            names.update((known, known) for known in self._commands())
        found = files.get(wanted, [])[:3]
        found += [
            names[close] for close in difflib.get_close_matches(wanted, names, n=5, cutoff=0.7) if close != wanted
        ]
        return found[:5]

    def _commands(self) -> Iterator[str]:
        for directory in self.path.split(os.pathsep):
            try:
                yield from os.listdir(os.path.join(self.cwd, directory))
            except OSError:
                continue


def _walk(top: str) -> Iterator[str]:
    """Files below ``top``, the shallow ones first, at most ``LOOK_AT`` names looked at."""
    left, level = LOOK_AT, [top]
    while level:
        below: list[str] = []
        for directory in level:
            try:
                entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
            except OSError:
                continue
            for entry in entries:
                left -= 1
                if left < 0:
                    return
                if entry.is_dir(follow_symlinks=False):
                    if not entry.name.startswith("."):  # .git and its like hold nothing to run
                        below.append(entry.path)
                else:
                    yield entry.path
        level = below


def _kind(file: str) -> str:
    """What execve(2) sees: the first line (``#!...``), ``text``, ``binary``, or ``foreign`` (another machine's ELF)."""
    try:
        with open(file, "rb") as opened:
            head = opened.read(256)
    except OSError:  # executable but not readable: a program all the same
        return "binary"
    if head.startswith(b"\x7fELF"):
        machine = int.from_bytes(head[18:20], "big" if head[5:6] == b"\x02" else "little")
        return "binary" if machine in ELF_MACHINES.get(os.uname().machine, (machine,)) else "foreign"
    if head.startswith(b"#!"):
        return head.partition(b"\n")[0].decode("utf-8", "replace")
    return "binary" if b"\0" in head else "text"


def _interpreter(name: str, file: str, line: str) -> list[str]:
    """The words of a ``#!`` line, which must name something that exists."""
    if line.endswith("\r"):
        raise CommandNotExecutable(
            f"cannot execute {name}: its lines end as on Windows",
            where=file,
            why=f"its first line is {line!r}, and no interpreter has that name",
            remedy=f"convert it: sed -i 's/\\r$//' {name}",
        )
    words = line[2:].split()
    if words and not os.path.exists(words[0]):
        raise CommandNotExecutable(
            f"cannot execute {name}: the interpreter named in its first line does not exist",
            where=file,
            why=f"its first line is {line!r}",
            remedy="mend that line, or name the interpreter yourself: python FILE, bash FILE",
        )
    return words


def _not_executable(words: Sequence[str], file: str) -> CommandNotExecutable:
    name = words[0]
    if os.path.isdir(file):
        return CommandNotExecutable(f"cannot execute {name}: it is a directory", where=file, remedy="name a file in it")
    interpreter = {".py": "python", ".pyc": "python", ".pyw": "python", ".sh": "bash"}.get(os.path.splitext(file)[1])
    if interpreter:
        return CommandNotExecutable(
            f"cannot execute {name}: it is not a program but a script for {interpreter}",
            where=file,
            remedy=f"write: {' '.join([interpreter, *words])}",
        )
    mode = os.stat(file).st_mode & 0o7777
    return CommandNotExecutable(
        f"cannot execute {name}",
        where=file,
        why=f"its mode is {mode:04o}, we are uid {os.getuid()}; or its file system is mounted noexec",
        remedy=f"chmod +x {name}, or name its interpreter: python FILE, bash FILE",
    )
