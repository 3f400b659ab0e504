"""argv -> options -> a command. No work is done here.

Every command is one module of :mod:`bootstrap.commands` with two functions: ``add_arguments(parser)`` and
``main(arguments, environ) -> int``. It is imported only when it is called.
"""

from __future__ import annotations

import argparse
import errno
import os
import select
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from types import ModuleType

from . import __version__
from .commands.support.parser import Parser
from .commands.table import COMMANDS, GROUPS
from .errors import BootstrapError, InternalError, UsageError
from .ground.plain_text import open_streams, plain


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``bootstrap ARGV``; returns the exit code. Only ``--help`` and ``--version`` leave by :class:`SystemExit`.

    This is the boundary of every command, as ``lifecycle.boundary`` is that of a job's steps: whatever goes wrong
    becomes one message and a code.
    """
    _open_what_is_closed()
    open_streams()
    argv = _unwrapped(list(sys.argv[1:] if argv is None else argv))
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what could follow (bootstrap completion)
        with suppress(ImportError):
            from .commands.support.complete import answer

            answer()
    arguments = argparse.Namespace(secrets=None)  # a command that finds secrets leaves them here, to be masked
    try:
        code = _run(argv, arguments)
        try:
            print(end="", flush=True)  # here, where it can be told that the reader has left
        except OSError as error:
            if not _nobody_reads(error):
                raise
        return code
    except BootstrapError as error:
        return _told(error, argv, arguments)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001  with lifecycle's, the place where everything must be caught
        if _nobody_reads(error):  # `bootstrap logs URL | head`
            return 0
        remedy = f"report it with {_trace(error, argv, arguments)}"
        return _told(InternalError.of(error, remedy=remedy), argv, arguments)


def _open_what_is_closed() -> None:
    """Standard input, output and errors that whoever started us has closed (``<&-``, some daemons): the next file that
    is opened would take the number, and be read or written as if it were they.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # open takes the lowest number that is free
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _run(argv: list[str], arguments: argparse.Namespace) -> int:
    name, rest = _command(argv)
    module = import_module(f".commands.{name.replace('-', '_')}", __package__)
    parser = make_parser(name, module)
    words = _joined(rest, getattr(module, "VERBATIM", ()), getattr(module, "ALONE", {}))
    return int(module.main(parser.parse_args(words, arguments), _environment()))


def make_parser(name: str, module: ModuleType) -> Parser:
    """The parser of one command; its description is the table's, its examples are in the module's docstring."""
    description = f"{COMMANDS[name][0].upper()}{COMMANDS[name][1:]}."
    parser = Parser(prog=f"bootstrap {name}", description=description, allow_abbrev=False)
    parser.document = module.__doc__
    module.add_arguments(parser)
    return parser


def _environment() -> dict[str, str]:
    """What we were started with: where no locale is set, Python sets ``LC_CTYPE`` for itself (PEP 538), and a job's
    command, which may be no Python at all, is not to see it.
    """
    environ = dict(os.environ)
    if "LC_CTYPE" in environ:
        with suppress(OSError), open("/proc/self/environ", "rb") as started:
            if not any(entry.startswith(b"LC_CTYPE=") for entry in started.read().split(b"\0")):
                del environ["LC_CTYPE"]
    return environ


def _joined(words: Sequence[str], options: Sequence[str], alone: Mapping[str, Sequence[str]]) -> list[str]:
    """``--with --barrier`` as ``--with=--barrier``: argparse itself takes such a value for an option. An option that
    may stand ``alone`` takes the next word only if that is one of its values, and is ``=yes`` otherwise.
    """
    made: list[str] = []
    for place, word in enumerate(words):
        if word == "--":
            return [*made, *words[place:]]
        if made and made[-1] in options:
            made[-1] += f"={word}"
        elif word in alone:
            follows = words[place + 1].lower() if place + 1 < len(words) else ""
            made.append(word if follows in alone[word] else f"{word}=yes")
        else:
            made.append(word)
    return made


def _told(error: BootstrapError, argv: Sequence[str], arguments: argparse.Namespace) -> int:
    name = " ".join(("bootstrap", *argv[:1])) if isinstance(error, InternalError) else "bootstrap"
    if error.remedy == UsageError.remedy_hint and argv[:1] != ["run"] and argv[0] in COMMANDS:
        error = error.replace(remedy=f"see bootstrap {argv[0]} --help")  # of what was called, not the usual one
    text = f"{name}: error: {error} [{error.id}, exit {error.code}]"  # one line in a log, where it is searched for
    with suppress(OSError):  # nobody reads us any more; the code still tells it
        if sys.stderr.isatty():
            from .reporting.folding import folded, width_of

            what, *more = (plain(_masked(line, argv, arguments)) for line in error.lines())
            lines = [f"{name}: error: {what} [{error.id}, exit {error.code}]", *more]
            text = folded(lines, width_of(sys.stderr), 2)
        else:
            text = plain(_masked(text, argv, arguments))
        print(text, file=sys.stderr)
    return error.code


def _trace(error: Exception, argv: Sequence[str], arguments: argparse.Namespace) -> str:
    """Keep the traceback for who reports the defect; returns the words for where it is."""
    import tempfile
    import traceback

    text = plain(_masked("".join(traceback.format_exception(error)), argv, arguments))
    try:
        with tempfile.NamedTemporaryFile("w", prefix="bootstrap-defect-", suffix=".txt", delete=False) as file:
            file.write(text)
        return f"the traceback in {file.name}"
    except OSError:  # no directory that can be written to
        print(text, file=sys.stderr)
        return "the traceback above"


def _nobody_reads(error: Exception) -> bool:
    """Whether it is our own output that broke, its reader gone or its terminal hung up: what is left to say goes
    nowhere then. Other pipes and sockets break, too.
    """
    if not isinstance(error, OSError) or error.errno not in (errno.EPIPE, errno.EIO) or not _reader_left():
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _reader_left() -> bool:
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), select.POLLOUT)
        return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
    except (OSError, ValueError):  # closed altogether
        return True


def _masked(text: str, argv: Sequence[str], arguments: argparse.Namespace) -> str:
    """``text`` without the secrets of the environment, the arguments and what the command has read: libraries and
    stores quote what they were given.
    """
    from .credentials.environment import register_environment, register_words
    from .masking.registry import Secrets
    from .masking.stream import Redactor

    secrets = arguments.secrets or Secrets()
    register_environment(os.environ, secrets)
    register_words(argv, secrets)
    return Redactor(secrets).mask(text)


def _command(argv: list[str]) -> tuple[str, list[str]]:
    """The command and its words. Leaves by SystemExit when help or the version is all that is wanted."""
    name = argv[0] if argv else "--help"
    if name == "help":
        argv = [*argv[1:], "--help"]
        name = argv[0]
    if name in COMMANDS:
        return name, argv[1:]
    if name in ("-V", "--version"):
        print(f"modelarts-bootstrap {__version__}", flush=True)
        raise SystemExit(0)
    from .commands.support.helptext import overview, painted

    if name in ("-h", "--help"):
        print(painted(overview(GROUPS), sys.stdout), end="", flush=True)
        raise SystemExit(0)
    import difflib  # wanted by who mistyped only

    near = difflib.get_close_matches(name.lower().replace("_", "-"), COMMANDS, n=1)
    remedy = f"write {near[0]} if that is meant; see bootstrap help" if near else "see bootstrap help"
    raise UsageError(f"there is no {'option' if name.startswith('-') else 'command'} {name!r}", remedy=remedy)


def _unwrapped(argv: list[str]) -> list[str]:
    """Our own command line where an image's ENTRYPOINT was put in front of it: `docker run IMAGE bootstrap run ...` is
    `bootstrap run -- bootstrap run ...` in an image of ours.
    """
    while (
        argv[:2] == ["run", "--"] and len(argv) > 3 and _is_us(argv[2]) and (argv[3] in COMMANDS or argv[3] == "help")
    ):
        argv = argv[3:]
    return argv


def _is_us(program: str) -> bool:
    """Whether that program is this one; a bare name that nothing else has is, too: it cannot be anything else."""
    if os.path.basename(program) != "bootstrap":
        return False
    import shutil

    found = shutil.which(program)
    if found is None:
        return program == "bootstrap"
    prefix = os.environ.get("BOOTSTRAP_PREFIX", "")
    ours = {os.path.realpath(sys.argv[0]), os.path.realpath(f"{prefix}/bin/bootstrap") if prefix else ""}
    return os.path.realpath(found) in ours
