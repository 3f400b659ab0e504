"""Whether the command could start: its interpreter, its script, their line ends, their machine.

Found in the environment that it is going to have; of a script or module that is here its own interpreter is asked
whether it can read it, by ``bash -n`` and Python's compiler, which execute nothing. What only the fetch brings is
looked for in the listing of the sources, and its first bytes are read from there.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence

from ..errors import BootstrapError, CommandNotExecutable, CommandNotFound
from ..ground.argv import PYTHON, SHELL, as_python, script_of
from ..images.tree import loader_of, machine_of
from ..process.command.resolve import DEFAULT_PATH, resolve, without_redirections
from ..reporting.language import Words
from ..storage.model.store import Entry
from ..storage.open import Stores
from ..values import dataclass
from .findings import Finding, failure, ok, warning
from .sources import Listing

_SECONDS = 5.0  # for an interpreter to say whether it can read a script; what takes longer is not known
_COMPILE = "import sys; compile(open(sys.argv[1], 'rb').read(), sys.argv[1], 'exec')"
_FIND = "import sys, importlib.util as u; sys.exit(9 if u.find_spec(sys.argv[1]) is None else 0)"
_NO_SUCH_MODULE = 9
_SYNTAX = re.compile(r"^(?:Syntax|Indentation|Tab)Error: .*$", re.MULTILINE)
_LINE = re.compile(r'File "[^"]*", line (\d+)')
_HEAD = 4096  # bytes: an ELF header with its loader's name, or the first lines of a script
_HERE = {"x86_64": ("amd64", "386"), "aarch64": ("arm64", "arm")}


@dataclass(frozen=True, slots=True)
class Command:
    """``argv`` as it was given, where it starts, and its environment. ``hidden`` says why files may appear that no
    listing shows (an archive, ``--requirements``); empty if none can.
    """

    argv: Sequence[str]
    work_dir: str
    job_dir: str
    environ: Mapping[str, str]
    listings: Sequence[Listing] = ()
    hidden: str = ""


def check(command: Command, stores: Stores) -> Sequence[Finding]:
    """Raises :class:`CommandNotFound` (127) and :class:`CommandNotExecutable` (126) as the launch would."""
    argv, warnings = without_redirections(command.argv)
    found = [warning("command", Words(text, text)) for text in warnings]
    brought = {path: (listing, entry) for listing in command.listings for path, entry in listing.files()}
    program, script = argv[0], script_of(argv)
    chain: list[str] = []
    for word, interpreter in ((program, ""), (script, program)):
        if word is None:
            continue
        path = _here(word, command, on_path="/" not in word and not interpreter)
        there = os.path.normpath(os.path.join(command.work_dir, word))
        fetched = brought.get(there) if "/" in word or interpreter else None
        if fetched is not None:
            listing, entry = fetched
            head = _read(stores, listing, entry)
            _judge(word, interpreter, head, command.environ)
            if not interpreter and listing.source.url.is_remote and not head.startswith(b"#!"):
                raise _no_mode(word)
            chain.append(f"{word} from {listing.source.name}")
        elif path is not None:
            with open(path, "rb") as file:
                _judge(word, interpreter, file.read(_HEAD), command.environ)
            chain.append(path)
        elif command.hidden:
            en, zh = f"{word} is not here yet: {command.hidden}", f"{word} 尚未就绪：{command.hidden}"
            return [*found, warning("command", Words(en, zh))]
        else:
            raise _missing(word, interpreter, command, brought)
    if all(word is None or os.path.exists(os.path.join(command.work_dir, word)) for word in (script,)) and not brought:
        resolve(argv, cwd=_existing_dir(command), environ=command.environ, job_dir=command.job_dir)
    wrong = [] if brought or command.hidden else [*_unreadable(command, argv, chain)]
    return [*found, *(wrong or [ok("command", " runs ".join(chain), " 运行 ".join(chain))])]


def _unreadable(command: Command, argv: Sequence[str], chain: Sequence[str]) -> Iterator[Finding]:
    """What the interpreter itself says of a script that is here, or of a module."""
    interpreter, cwd = chain[0], _existing_dir(command)
    if len(chain) == 2:
        yield from _of_script(interpreter, chain[1], command.environ, cwd)
    elif (python := as_python(tuple(argv))) is not None and python.is_module:
        yield from _of_module(interpreter, python.program[1], command.environ, cwd)


def _of_script(interpreter: str, script: str, environ: Mapping[str, str], work_dir: str) -> Iterator[Finding]:
    """A failure where ``interpreter`` (a path) stumbles over ``script``, a file that is here."""
    name = os.path.basename(interpreter)
    if PYTHON.match(name):
        _, said = _asked([interpreter, "-I", "-S", "-W", "ignore", "-c", _COMPILE, script], environ, work_dir)
        error = _SYNTAX.search(said)
        if error is not None:
            line = (_LINE.findall(said) or ["?"])[-1]
            yield _stumbles(interpreter, f"{script}:{line}: {error[0]}")
    elif SHELL.match(name):
        status, said = _asked([interpreter, "-n", script], environ, work_dir)
        lines = [text for text in said.splitlines() if text.strip()]
        if status and lines:
            yield _stumbles(interpreter, lines[0].strip())


def _of_module(interpreter: str, module: str, environ: Mapping[str, str], work_dir: str) -> Iterator[Finding]:
    """A failure where ``interpreter`` has no package or module of which ``module`` is, or is a part."""
    top = module.partition(".")[0]
    status, _ = _asked([interpreter, "-c", _FIND, top], environ, work_dir)
    if status == _NO_SUCH_MODULE:
        yield failure(
            "command",
            Words(f"{interpreter} has no module named {top}", f"{interpreter} 中没有名为 {top} 的模块"),
            Words(
                "Install it in the image, or list it in requirements.txt with --requirements; it may also be another "
                "interpreter than you think",
                "在镜像中安装，或写入 requirements.txt 并使用 --requirements；也可能使用的不是您以为的解释器",
            ),
        )


def _stumbles(interpreter: str, said: str) -> Finding:
    return failure(
        "command",
        Words(f"{interpreter} cannot read the script: {said}", f"{interpreter} 无法解析脚本：{said}"),
        Words(
            "Mend the line that is named; the interpreter may be of another version than the script is for",
            "修改所指代码行；也可能是解释器版本与脚本不符",
        ),
    )


def _asked(argv: list[str], environ: Mapping[str, str], work_dir: str) -> tuple[int, str]:
    """Status and stderr; 0 and nothing where it cannot be told."""
    try:
        done = subprocess.run(
            argv,
            cwd=work_dir,
            env={**environ, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_SECONDS,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return 0, ""
    return done.returncode, done.stderr.decode(errors="replace")


def _no_mode(word: str) -> BootstrapError:
    return CommandNotExecutable(
        f"cannot execute {word}",
        where=word,
        why="objects have no mode, and of what is fetched only scripts that begin with #! become executable",
        remedy=f"name its interpreter: {'python' if word.endswith('.py') else 'bash'} {word}",
    )


def _existing_dir(command: Command) -> str:
    return command.work_dir if os.path.isdir(command.work_dir) else command.job_dir


def _here(word: str, command: Command, *, on_path: bool) -> str | None:
    """The file that ``word`` is on this machine now, if it is one that can be read."""
    if on_path:
        return shutil.which(word, path=command.environ.get("PATH", DEFAULT_PATH))
    path = os.path.join(command.work_dir, word)
    if not os.path.isfile(path) and SHELL.match(os.path.basename(command.argv[0])) and "/" not in word:
        path = shutil.which(word, path=command.environ.get("PATH", DEFAULT_PATH)) or path
    return path if os.path.isfile(path) and os.access(path, os.R_OK) else None


def _read(stores: Stores, listing: Listing, entry: Entry) -> bytes:
    if not entry.size:
        return b""
    if not listing.source.url.is_remote:
        with open(entry.key, "rb") as file:
            return file.read(_HEAD)
    body = stores.open(listing.source.url).read(entry.key, end=min(_HEAD, entry.size))
    try:
        return b"".join(body)
    finally:
        body.close()


def _judge(word: str, interpreter: str, head: bytes, environ: Mapping[str, str]) -> None:
    """Whether a file that begins with ``head`` can be run, by ``interpreter`` or, without one, by the kernel."""
    for why, remedy in _wrong(interpreter, head, environ):
        raise CommandNotExecutable(
            f"cannot execute {word}", where=word, why=why, remedy=remedy.format(word=word) if remedy else ""
        )


def _wrong(interpreter: str, head: bytes, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    first = head.partition(b"\n")[0]
    by_shell = bool(SHELL.match(os.path.basename(interpreter))) or b"sh" in first[:64].split(b"/")[-1][:5]
    windows = first.endswith(b"\r")
    if windows and not interpreter and head.startswith(b"#!"):
        yield "its first line ends as on Windows, and no interpreter has that name", "sed -i 's/\\r$//' {word}"
    elif windows and by_shell:
        yield "its lines end as on Windows, which a shell takes for a part of each command", "sed -i 's/\\r$//' {word}"
    if interpreter:
        return
    if head.startswith(b"#!"):
        words = first[2:].decode(errors="replace").split()
        if words and os.path.basename(words[0]) == "env":
            name = next((one for one in words[1:] if not one.startswith("-") and "=" not in one), "")
            if name and shutil.which(name, path=environ.get("PATH", DEFAULT_PATH)) is None:
                yield f"its first line asks for {name}, which is not on PATH", "install it, or correct the first line"
        elif words and not os.path.exists(words[0]):
            yield (
                f"the interpreter {words[0]} of its first line does not exist",
                "install it, or correct the first line",
            )
        return
    machine, here = machine_of(head), _HERE.get(os.uname().machine)
    if machine and here and machine not in here:
        yield f"it is a program for {machine}, and this machine is {here[0]}", "build it for this machine"
    loader = loader_of(head)
    if loader and not os.path.exists(loader):
        yield f"it needs {loader}, which is not in this image: it was made for another C library", ""


def _missing(word: str, interpreter: str, command: Command, brought: Mapping[str, object]) -> BootstrapError:
    """Not here, and nothing that is fetched has that name: as the launch would say it, with the nearest names."""
    if not brought and not (interpreter and not os.path.isdir(command.work_dir)):
        try:
            resolve(command.argv, cwd=_existing_dir(command), environ=command.environ, job_dir=command.job_dir)
        except BootstrapError as error:
            return error
    what = (
        f"the script that {interpreter} is given does not exist: {word}"
        if interpreter
        else f"command not found: {word}"
    )
    names = {os.path.relpath(path, command.work_dir): os.path.basename(path) for path in brought}
    near = [path for path, base in names.items() if base == os.path.basename(word)][:3]
    near += [one for one in difflib.get_close_matches(word, names, n=3, cutoff=0.7) if one not in near]
    return CommandNotFound(
        what,
        where=f"relative to {command.work_dir}",
        why=f"nearest of what is fetched: {', '.join(near)}" if near else "nothing that is fetched has such a name",
        remedy=f"write {near[0]} if that is meant" if near else "",
    )
