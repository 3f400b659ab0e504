"""argv -> options -> a command. No work is done here.

Every command is one module of :mod:`bootstrap.commands` with two functions: ``add_arguments(parser)`` and
``main(arguments, environ) -> int``. It is imported only when it is called.
"""

from __future__ import annotations

import argparse
import os
import select
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

from . import __version__
from .errors import BootstrapError, InternalError, UsageError

COMMANDS = {
    "run": "boot a training job: fetch the code, run the command, deliver logs and outputs",
    "copy": "copy files and directories between this machine and object stores",
    "downloader": "copy with the flags of modelarts-downloader.py",
    "env": "show what the platform's environment says of this job",
    "ip": "print this node's address on the interface of the cluster (ib0, ...)",
    "check-image": "find what would fail in an image, before paying for accelerators",
    "simulate": "rehearse a job of several nodes on this machine, with a platform's environment",
    "manifest": "turn a GPU manager's job file into a Volcano Job, checked",
    "logs": "print or follow the log of a running, ended or killed job",
    "secrets": "make a key, and encrypt variables with it for a job",
}


class Parser(argparse.ArgumentParser):
    """argparse with our one way to fail (its exit status 2 already means something else to schedulers), and with a
    help text of its own for a command that sets ``describe``.
    """

    describe: Callable[[], str] | None = None

    def format_help(self) -> str:
        return self.describe() if self.describe else super().format_help()

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        print(end="", flush=True)  # the help text, whose reader may have left
        super().exit(status, message)

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, remedy=f"see {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``bootstrap ARGV``; returns the exit code. Only ``--help`` and ``--version`` leave by :class:`SystemExit`.

    This is the boundary of every command, as ``lifecycle.boundary`` is that of a job's steps: whatever goes wrong
    becomes one message and a code.
    """
    _open_what_is_closed()
    argv = list(sys.argv[1:] if argv is None else argv)
    arguments = argparse.Namespace(secrets=None)  # a command that finds secrets leaves them here, to be masked
    try:
        code = _run(argv, arguments)
        print(end="", flush=True)  # here, where it can be told that the reader has left
        return code
    except BootstrapError as error:
        return _told(error, argv, arguments)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001  with lifecycle's, the place where everything must be caught
        if isinstance(error, BrokenPipeError) and _reader_left():  # `bootstrap logs URL | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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
    parser = Parser(prog=f"bootstrap {name}", description=COMMANDS[name], allow_abbrev=False)
    module.add_arguments(parser)
    words = _joined(rest, getattr(module, "VERBATIM", ()))
    return int(module.main(parser.parse_args(words, arguments), _environment()))


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


def _joined(words: Sequence[str], options: Sequence[str]) -> list[str]:
    """``--with --barrier`` as ``--with=--barrier``: argparse itself takes such a value for an option."""
    made: list[str] = []
    for place, word in enumerate(words):
        if word == "--":
            return [*made, *words[place:]]
        if made and made[-1] in options:
            made[-1] += f"={word}"
        else:
            made.append(word)
    return made


def _told(error: BootstrapError, argv: Sequence[str], arguments: argparse.Namespace) -> int:
    name = " ".join(("bootstrap", *argv[:1])) if isinstance(error, InternalError) else "bootstrap"
    print(_masked(f"{name}: error: {error} [{error.id}, exit {error.code}]", argv, arguments), file=sys.stderr)
    return error.code


def _trace(error: Exception, argv: Sequence[str], arguments: argparse.Namespace) -> str:
    """Keep the traceback for who reports the defect; returns the words for where it is."""
    import tempfile
    import traceback

    text = _masked("".join(traceback.format_exception(error)), argv, arguments)
    try:
        with tempfile.NamedTemporaryFile("w", prefix="bootstrap-defect-", suffix=".txt", delete=False) as file:
            file.write(text)
        return f"the traceback in {file.name}"
    except OSError:  # no directory that can be written to
        print(text, file=sys.stderr)
        return "the traceback above"


def _reader_left() -> bool:
    """Whether it is our own output that nobody reads any more: other pipes and sockets break, too."""
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
    from .credentials.registry import Secrets, register_environment, register_words
    from .process.redact import Redactor

    secrets = arguments.secrets or Secrets()
    register_environment(os.environ, secrets)
    register_words(argv, secrets)
    return Redactor(secrets).mask(text)


def _command(argv: list[str]) -> tuple[str, list[str]]:
    width = max(map(len, COMMANDS))
    parser = Parser(
        prog="bootstrap",
        description="Boots a training job in a container and delivers its results, whatever happens.",
        epilog="commands:\n"
        + "\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items())
        + "\n\n`bootstrap COMMAND --help` explains one of them.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"modelarts-bootstrap {__version__}")
    parser.add_argument("command", metavar="COMMAND", choices=COMMANDS)
    arguments = parser.parse_args(argv[:1])
    return arguments.command, argv[1:]
