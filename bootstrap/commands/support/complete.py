"""What a shell is told when somebody presses TAB; loaded only then. The words are the commands' own parsers.

A URL is completed by what lies below its last ``/``: a listing of one level, with the keys that a copy would use. A
store that does not answer in time leaves the word as it is, since somebody is waiting at a prompt.
"""

from __future__ import annotations

import argparse
import os
from importlib import import_module
from typing import Any

import argcomplete
from argcomplete.completers import ChoicesCompleter, FilesCompleter

from ...launchers import AUTO, LAUNCHERS
from ...platforms import PLATFORMS
from ..table import COMMANDS
from .parser import Parser

URLS = frozenset({"url", "source", "target", "src", "dst", "code", "log"})
"""Names of arguments that take a URL."""
_RETRY_WINDOW = "3"  # seconds


def answer() -> None:
    """Tell the shell, and end."""
    argcomplete.autocomplete(parser(), always_complete_options="long", append_space=False)


def parser() -> argparse.ArgumentParser:
    """One parser of all commands, each value with what it may be."""
    whole = Parser(prog="bootstrap", allow_abbrev=False)
    commands = whole.add_subparsers(parser_class=Parser, metavar="COMMAND")
    for name, text in COMMANDS.items():
        one = commands.add_parser(name, help=text)
        import_module(f"bootstrap.commands.{name.replace('-', '_')}", __package__).add_arguments(one)
        for action in one._actions:
            _teach(action, name)
    commands.add_parser("help").add_argument("command", choices=tuple(COMMANDS))
    return whole


def _teach(action: argparse.Action, command: str) -> None:
    taught: Any = action
    if action.dest in URLS:
        taught.completer = urls
    elif command == "run":
        values = {
            "launcher": (AUTO, *LAUNCHERS),
            "platform": tuple(row.name for row in PLATFORMS),
            "meet": ("auto", "port", "store", "no"),
            "on_peer_failure": ("stop", "ignore"),
            "links": ("follow", "record", "skip"),
            "addressing": ("auto", "virtual", "path"),
            "pty": ("auto", "yes", "no"),
        }.get(action.dest)
        if values:
            taught.completer = ChoicesCompleter(dict.fromkeys(values, ""))


def urls(prefix: str, **_: object) -> list[str]:
    """Objects and directories right below the last ``/`` of what was typed."""
    from ...errors import BootstrapError
    from ...masking.registry import Secrets
    from ...reporting.console import Silence
    from ...storage.schemes import parse
    from .stores import open_stores

    base = prefix[: prefix.rfind("/") + 1]
    if "://" not in base:
        return list(FilesCompleter()(prefix))
    if base.count("/") < 3:
        return []
    try:
        location = parse(base)
        stores = open_stores(os.environ, Secrets(), Silence(), store_timeout=_RETRY_WINDOW)
        return [base + name for name in stores.open(location).children(location.path)]
    except BootstrapError:
        return []
