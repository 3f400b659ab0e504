"""From the argv that we were given to what is executed, or to an error that says what is missing and what is near.

The argv is never a shell string, and reaches the program unchanged. One slip of people whose boot command used to be
run by a shell is mended with a warning: a literal trailing ``2>&1``, or its misspelling ``2&>1``.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ...errors import BootstrapError, CommandNotExecutable, CommandNotFound, UsageError
from ...ground.argv import PYTHON, SHELL, script_of
from ...ground.patterns import pattern
from . import elf

FILE_1 = (
    "all output of this container, these words too, goes to a file named 1, since a shell has read 2&>1 as an argument "
    "2 and a redirection to that file. Write 2>&1, or nothing: both outputs are on the console and in the log anyway"
)
REDIRECTIONS = ("2>&1", "2&>1")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SHELL_SYNTAX = r"[$`;|&<>\s]|^\w+=|^(\.|cd|source|export|exec|eval|ulimit|umask)$"  # wanted by the unlucky only
SHELL_WORDS = ("|", "||", "|&", "&", "&&", ";", ";;", "<", "<<", "<<<", ">", ">>", ">|", "&>", "&>>", "2>", "2>>", "1>")
REDIRECTION = pattern(r"([0-9]?|&)(>>?|<)&?[^=<>&|;]+|[0-9]>&[0-9-]|[0-9]&>[0-9]")  # 2>err.txt, >out, 2>&1
# $(LR) and ${LR}, alone or in --lr=$(LR), $HOME/x, `date`: no word of a script, which has blanks or quotes
VARIABLE = pattern(r"[^\s'\"]*(\$(\(\w+\)|\{\w+\}|[A-Z][A-Z0-9_]+)|`[^`\s]+`)[^\s'\"]*")
NEAR = 0.81  # likeness below which another name is no help: touch for nosuch, gresource for source
_BUILTINS = "alias declare eval local read readonly set shopt trap type umask wait"
_WHOLE = "write the whole line as bash -c '...'"
# What only a shell knows, and what to do where no shell is.
SHELL_BUILTINS = {
    "source": "a script that sets variables needs a shell: bash -c 'source FILE && exec COMMAND'",
    ".": "a script that sets variables needs a shell: bash -c '. FILE && exec COMMAND'",
    "cd": "--work-dir DIR says where the command starts, or write bash -c 'cd DIR && exec COMMAND'",
    "export": "set the variable in the job's environment, or write bash -c 'export NAME=VALUE; exec COMMAND'",
    "ulimit": "write bash -c 'ulimit ...; exec COMMAND'",
    "exec": "leave it out: the command replaces nothing here",
    "unset": "bash -c 'unset NAME; exec COMMAND' does it",
    "module": "it is a function of login shells: bash -lc 'module load NAME && exec COMMAND'",
    **dict.fromkeys(_BUILTINS.split(), _WHOLE),
    **dict.fromkeys(("if", "for", "while", "until", "case", "[[", "{", "(", "!"), _WHOLE),
}
ACTIVATE = "it works in a shell only: --conda-env NAME runs the command in that environment"
STARTERS = (
    *("make", "ninja", "mpirun", "mpiexec", "orterun", "prterun", "srun", "xargs", "parallel", "find", "git", "ssh"),
    *("tini", "dumb-init", "catatonit", "busybox", "su", "runuser", "gosu", "su-exec", "doas", "setpriv", "chroot"),
    *("script", "flock", "watch", "unshare", "nsenter", "systemd-run", "strace", "ltrace", "gdb", "valgrind", "perf"),
    *("nsys", "ncu", "conda", "mamba", "micromamba", "uv", "singularity", "apptainer", "expect", "unbuffer"),
    *("perl", "ruby", "node", "java", "tclsh"),
)
"""Programs whose work is to start others, as a shell's is, and interpreters that do not write through C's stdio."""

WRAPPERS = (
    *("env", "time", "nohup", "sudo", "nice", "ionice", "chrt", "timeout", "numactl", "taskset", "setsid", "stdbuf"),
)
"""Programs that become, or wait for, the program behind their own options."""
SANITIZER = pattern(r"lib(clang_rt\.)?(hw)?asan\b")

LOOK_AT = 20_000  # files, at most, when looking for names that are near
ELF_MACHINES = {"x86_64": (62, 3), "aarch64": (183, 40)}  # what each can run: its own and its 32-bit sibling's


class Executable(NamedTuple):
    """What is executed: ``argv``, the file (None: found again by ``argv[0]``), and what the user should be told."""

    argv: tuple[str, ...]
    executable: str | None = None
    warnings: tuple[str, ...] = ()


def resolve(
    argv: Sequence[str],
    *,
    cwd: str,
    environ: Mapping[str, str],
    job_dir: str | None = None,
    line_buffered: bool = True,
    below_shells: bool = False,
) -> Executable:
    """Find the command as a shell in ``cwd`` would, on the PATH of ``environ`` (the command's own environment).

    Raises UsageError for an empty command, CommandNotFound (127) when the command or the script that an interpreter
    is given does not exist, CommandNotExecutable (126) when it does but cannot be executed. Names that are near are
    looked for below ``job_dir`` (default ``cwd``) and on PATH.

    ``line_buffered``: a program that is not Python gets ``stdbuf -oL -eL`` in front where the image has it, as
    run_train.sh did for all; stdbuf replaces itself by the program, whose argv is the user's. Python has
    ``PYTHONUNBUFFERED``, and is spared stdbuf's LD_PRELOAD. That is inherited by all that a program starts: in a
    shell's pipeline every stage would write line by line into the next (5 to 13 times slower), and programs of another
    C library fail. So shells, and others that merely start programs, have it only where somebody asked for it
    (``below_shells``), and a program that nothing can be preloaded into (:func:`_takes_preload`) never has. A file
    without a ``#!`` line is run by /bin/sh, as every shell does.
    """
    words, warnings = without_redirections(argv)
    warnings += _shell_words(words)
    if not words or not words[0]:
        raise UsageError("there is no command to run", remedy="write it after --: bootstrap run [OPTIONS] -- COMMAND")
    place = _Place(cwd, environ.get("PATH", DEFAULT_PATH), job_dir or cwd)
    file = place.find(words[0])
    if words[1:2] == ("activate",) and words[0] in ("conda", "mamba", "micromamba"):
        raise CommandNotFound(f"{words[0]} activate is no program", why="it is a word of shells", remedy=ACTIVATE)
    if file is None:
        raise place.missing(words[0])
    if not place.runs(file):
        raise _not_executable(words, file)
    script = script_of(words)
    if script is not None and not place.has_script(script, words[0]):
        raise place.missing(script, interpreter=words[0])

    kind = _kind(file)
    plain = line_buffered and kind != "foreign" and _is_plain(words, file, place, below_shells)
    executable: str | None = file
    if kind == "text":
        if file.endswith(".py"):
            raise _not_executable(words, file)
        words, executable = ("/bin/sh", file, *words[1:]), None
    elif kind.startswith("#!"):
        _check_interpreter(words[0], file, kind)
    stdbuf = place.find("stdbuf") if plain else None
    if stdbuf is not None and place.runs(stdbuf):
        words, executable = (stdbuf, "-oL", "-eL", *words), None
    return Executable(words, executable, warnings)


def without_redirections(argv: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """``argv`` without a literal redirection at its end, and the warning that explains why it was dropped."""
    words = tuple(argv)
    if len(words) > 1 and words[-1] == "2" and output_is_file_1():
        return words[:-1], (f"dropped '2' at the end of the command: {FILE_1}",)
    if len(words) < 2 or words[-1] not in REDIRECTIONS:
        return words, ()
    warning = (
        f"dropped {words[-1]!r} at the end of the command: no shell runs it, so it would have been an argument. "
        "Both outputs are in the log already; for other shell syntax use: bash -c '...'"
    )
    return words[:-1], (warning,)


def output_is_file_1() -> bool:
    """Whether our stdout and stderr are one regular file with the name ``1``: a shell has read ``2&>1``."""
    try:
        out, err = os.fstat(1), os.fstat(2)
        return (
            stat.S_ISREG(out.st_mode)
            and os.path.samestat(out, err)
            and os.path.basename(os.readlink("/proc/self/fd/1")) == "1"
        )
    except OSError:
        return False


def shown(argv: Sequence[str], mask: Callable[[str], str]) -> str:
    """``argv`` as a shell would need it, to be read and copied; each word masked before it is quoted, since a secret
    in quotes need not look like itself.
    """
    return shlex.join(mask(word) for word in without_redirections(argv)[0])


def _shell_words(words: Sequence[str]) -> tuple[str, ...]:
    """A warning of words that mean something to a shell only: the program gets them as arguments."""
    if not words or os.path.basename(words[0]) in ("expr", "test", "["):
        return ()
    found = [word for word in words[1:] if word in SHELL_WORDS or REDIRECTION.fullmatch(word)]
    if "find" in map(os.path.basename, words[:1]) or "-exec" in words:  # whose ends are at ";"
        found = [word for word in found if word != ";"]
    if not _reads_variables(words):
        found += [word for word in words[1:] if VARIABLE.fullmatch(word)]
    if not found:
        return ()
    said = ", ".join(repr(word) for word in dict.fromkeys(found))
    return (
        f"no shell reads the command: {said} {'is an argument' if len(found) == 1 else 'are arguments'} of {words[0]}. "
        f"If a shell is meant: bash -c {shlex.quote(' '.join(words))}",
    )


def _reads_variables(words: Sequence[str]) -> bool:
    """Whether the program is one to which such a word says something: a shell, or what has a language with a ``$``."""
    names = {os.path.basename(word) for word in words}
    return bool(
        names & {"sh", "bash", "dash", "zsh", "ksh", "envsubst", "awk", "gawk", "mawk", "perl", "make", "sed", "grep"}
    )


def _of_python(name: str) -> tuple[bool, list[int]]:
    """python3 first, then the newest."""
    return name != "python3", [-int(number) for number in re.findall(r"\d+", name)]


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
        if on_path and name in SHELL_BUILTINS:
            remedy = f"no shell reads the command: {SHELL_BUILTINS[name]}"
            return CommandNotFound(what, why="it is a word of shells", remedy=remedy)
        near = self._near(name, on_path)
        looked = f"PATH={self.path}" if on_path else f"relative to {self.cwd}"
        rule = "install it into the image, or write the path where it is"
        if not on_path:
            rule = "paths are relative to the job dir, and code fetched from .../NAME/ lies in NAME/ below it"
        if on_path and re.match(r"\w+=", name):
            rule = f"no shell reads the command: set it in the job's environment, or write env {name} or bash -c '...'"
        elif re.search(SHELL_SYNTAX, name):
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
        if on_path and PYTHON.match(wanted):  # python is python3 in many images, and nothing else is meant
            found += sorted((known for known in names if PYTHON.match(known) and known != wanted), key=_of_python)[:3]
        found += [
            names[close]
            for close in difflib.get_close_matches(wanted, names, n=5, cutoff=NEAR)
            if close != wanted and names[close] not in found
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


def _is_plain(words: Sequence[str], file: str, place: _Place, below_shells: bool) -> bool:
    """Whether stdbuf's preload does good, and no harm, to what the command is: a program that writes by itself."""
    name = os.path.basename(words[0])
    while name in WRAPPERS:
        behind = ((at, place.find(word)) for at, word in enumerate(words[1:], 1) if word[:1] != "-" and "=" not in word)
        at, inner = next(((at, found) for at, found in behind if found and place.runs(found)), (0, None))
        if inner is None:
            break
        words, file = words[at:], inner
        name = os.path.basename(words[0])
    kind = _kind(file)
    names = [name, *(os.path.basename(word) for word in kind[2:].split() if kind.startswith("#!"))]
    if any(PYTHON.match(one) for one in names):
        return False
    if not below_shells and (kind == "text" or any(SHELL.match(one) or one in STARTERS for one in names)):
        return False
    return kind != "binary" or _takes_preload(file, place.find("stdbuf") or "")


def _takes_preload(file: str, stdbuf: str) -> bool:
    """Whether a library of stdbuf's may be loaded into the program ``file``: one of another C library (musl, a loader
    of its own), of another word size or with a sanitizer would end before its first line.
    """
    program, of_stdbuf = elf.read(file), elf.read(stdbuf)
    if of_stdbuf is None or not of_stdbuf.loader:  # a script, say: it knows what it does
        return True
    if program is None or os.path.realpath(program.loader) != os.path.realpath(of_stdbuf.loader):
        return False
    return not any(SANITIZER.match(library) for library in program.libraries)


def _check_interpreter(name: str, file: str, line: str) -> None:
    """A ``#!`` line must name something that exists."""
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
