"""``bootstrap run [OPTIONS] -- COMMAND [ARG...]``: the main job. Options never do work; the lifecycle does."""

from __future__ import annotations

import argparse
import gc
import os
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .. import settings
from ..errors import BootstrapError, catalogue

if TYPE_CHECKING:
    from ..cli import Parser

_INTRODUCTION = """\
usage: bootstrap run [OPTIONS] [--] COMMAND [ARG...]

Takes a training job from boot to exit in seven steps: identify the platform, unlock the credentials, connect,
fetch the code and inputs, launch the command, deliver its log and outputs, conclude with its exit code.
Without options, all that is needed is taken from the platform's environment.

Each setting is an option and an environment variable. The first of these that is there wins: option, variable,
what the platform says, the default. `now:` is what this environment gives, and from where.
"""

_EXIT_CODES = """\
Exit codes: the command's own, unchanged (128+n when signal n ended it). Failures of the bootstrap itself have the
codes below; 1xx means the job as it stands cannot work, 2xx that the same job may work when started again.
"""


def add_arguments(parser: Parser) -> None:
    parser.describe = lambda: describe(os.environ)
    # Every option stays a text until `settings.resolve`, which gives options and variables the same parser and words.
    for name, knob, _ in settings.knobs():
        if knob.parse is settings.flag:
            parser.add_argument(settings.option(name), action=argparse.BooleanOptionalAction, default=None)
        else:
            parser.add_argument(settings.option(name), action="append" if knob.many else "store")
    parser.add_argument("command", nargs=argparse.REMAINDER)


def main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    gc.disable()  # what is imported is there to stay: searches for garbage among it are 4 ms of our start
    from ..lifecycle import run

    gc.freeze()
    gc.enable()
    given = vars(arguments)
    options = {name: given[name] for name, _, _ in settings.knobs() if given[name] is not None}
    command = given["command"]
    return run(options, command[1:] if command[:1] == ["--"] else command, environ)


def describe(environ: Mapping[str, str]) -> str:
    """The help text: all settings in one table with what this environment makes of them, and the exit codes."""
    import textwrap

    from ..platforms import identify, salvage
    from ..storage.url import shown
    from . import here

    width = max(60, min(shutil.get_terminal_size().columns, 120))
    problems: list[BootstrapError] = []
    try:
        facts = identify(environ)
    except BootstrapError as error:  # help must come, and say so, in a broken environment most of all
        facts = salvage(environ)
        problems.append(error)
    resolved = settings.resolve({}, environ, facts.defaults, problems=problems)
    mask = here.masker(environ)  # before lines are broken, which would tear secrets apart
    current = {
        name: f"{'***' if knob.secret else mask(shown(_shown(getattr(resolved.settings, name))))} from {source}"
        for name, knob, _ in settings.knobs()
        if (source := resolved.sources[name]) != "default"
    }
    platform = f"Platform: {facts.platform}, because {facts.reason}."
    if problems:
        platform += f" It cannot be used as it is: {mask(str(problems[0]))}"

    lines = [_INTRODUCTION, *textwrap.wrap(platform, width)]
    group = ""
    for name, knob, default in settings.knobs():
        if knob.group != group:
            group = knob.group
            lines += ["", f"{group}:"]
        is_flag = knob.parse is settings.flag
        text = knob.help + (f" (default: {_shown(default)})" if default and not is_flag else "")
        refusal = settings.option(f"no_{name}")
        text += f" (default: yes; {refusal} to refuse)" if is_flag and default else ""
        lines.append(f"  {settings.option(name)} {knob.metavar}".rstrip())
        lines += textwrap.wrap(text, width, initial_indent=" " * 8, subsequent_indent=" " * 8)
        lines.append(f"{'':8}{settings.variable(name)}")
        if name in current:
            lines += textwrap.wrap(f"now: {current[name]}", width, initial_indent=" " * 8, subsequent_indent=" " * 13)
    lines += ["", _EXIT_CODES]
    lines += [f"  {kind.code:>3}  {kind.id:<23} {kind.meaning}" for kind in catalogue()]
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return "; ".join("=".join(pair) for pair in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
