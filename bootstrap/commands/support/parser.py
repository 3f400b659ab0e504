"""How options are read: argparse, with the ways of this package."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from ...errors import UsageError


class _Unseen(argparse.HelpFormatter):
    """What argparse asks about each option as that is added. With a width of its own: else it would measure the
    terminal for each (and load the compression libraries with ``shutil`` for that).
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=80)


class Parser(argparse.ArgumentParser):
    """argparse with our one way to fail (its exit status 2 already means something else to schedulers), and with a
    help text of its own for a command that sets ``describe``.
    """

    describe: Callable[[], str] | None = None
    document: str | None = None
    """The docstring of the command's module: it has the examples."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(formatter_class=_Unseen, **rest)

    def format_help(self) -> str:
        from .helptext import Formatter, examples, painted

        self.formatter_class = Formatter
        self.epilog = examples(self.document)
        return painted(self.describe() if self.describe else super().format_help(), sys.stdout)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        print(end="", flush=True)  # the help text, whose reader may have left
        super().exit(status, message)

    def error(self, message: str) -> NoReturn:
        near = self._near(message)
        raise UsageError(message, remedy=f"{near}see {self.prog} --help")

    def _near(self, message: str) -> str:
        """The options that those which are not known here are like, for the remedy."""
        unknown = [word.partition("=")[0] for word in message.partition("unrecognized arguments:")[2].split()]
        import difflib  # wanted by who mistyped only

        known = [text for action in self._actions for text in action.option_strings]
        near = [difflib.get_close_matches(word.lower(), known, n=1) for word in unknown if word.startswith("--")]
        return "".join(f"write {found[0]} if that is meant; " for found in near if found)
