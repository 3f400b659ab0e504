"""``bootstrap run [OPTIONS] -- COMMAND [ARG...]``: the main job. Options never do work; the lifecycle does.

    bootstrap run -- python train.py --epochs 10
    bootstrap run --code obs://bucket/mnist/ --output out=obs://bucket/models/ -- python mnist/train.py
    bootstrap run --launcher torchrun --barrier -- train.py
    bootstrap run --job-dir /tmp/job --code ./src/ --log "$PWD/logs" -- python src/train.py
    bootstrap run --grace 2m --timeout 12h --max-restarts 3 -- bash run.sh

Each setting is an option and a variable: see docs/settings.md.
"""

from __future__ import annotations

import argparse
import gc
import os
from collections.abc import Mapping

from .. import settings
from ..errors import BootstrapError, catalogue
from ..reporting.prose import origin
from .support.job_arguments import ALONE, add_settings, asked
from .support.parser import Parser

__all__ = ["ALONE", "add_arguments", "main"]

_INTRODUCTION = (
    "Takes a training job from boot to exit in seven steps: identify the platform, unlock the credentials, connect,"
    " fetch the code and inputs, launch the command, deliver its log and outputs, conclude with its exit code. Without"
    " options, all that is needed is taken from the platform's environment.",
    "`bootstrap run --plan ...` shows all that would be done and does nothing; `bootstrap doctor ...` checks it.",
    "Each setting is an option and an environment variable. The first of these that is there wins: option, variable,"
    " what the platform says, the default. `now:` is what this environment gives, and from where. Durations take s, m,"
    " h or d behind the number (90, 10m), sizes K, M, G or T (512M).",
)

_EXIT_CODES = (
    "The command's own, unchanged (128+n when signal n ended it). Failures of the bootstrap itself have the codes"
    " below; 1xx means the job as it stands cannot work, 2xx that the same job may work when started again."
)


def add_arguments(parser: Parser) -> None:
    parser.describe = lambda: describe(os.environ)
    parser.add_argument("--plan", action="store_true")
    add_settings(parser)


def main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    if arguments.plan:
        from . import plan

        return plan.main(arguments, environ)
    gc.disable()  # what is imported is there to stay: searches for garbage among it are 4 ms of our start
    from ..lifecycle import run

    gc.freeze()
    gc.enable()
    return run(*asked(arguments), environ)


def describe(environ: Mapping[str, str]) -> str:
    """The help text: all settings in one table with what this environment makes of them, and the exit codes."""
    import textwrap

    from ..platforms import known
    from ..storage.model.url import shown
    from .support import helptext, here

    width = max(60, helptext.width())
    # help must come, and say so, in a broken environment most of all
    facts, trouble = known(environ, name=environ.get(settings.variable("platform")) or None)
    problems: list[BootstrapError] = [trouble] if trouble else []
    resolved = settings.resolve({}, environ, facts.defaults, problems=problems)
    mask = here.masker(environ)  # before lines are broken, which would tear secrets apart
    current = {
        name: f"{'***' if knob.secret else mask(shown(_shown(getattr(resolved.settings, name))))} {origin(source)}"
        for name, knob, _ in settings.knobs()
        if (source := resolved.sources[name]) != "default"
    }
    platform = f"Platform: {facts.platform}, because {facts.reason}."
    if problems:
        platform += f" It cannot be used as it is: {mask(str(problems[0]))}"

    lines = ["usage: bootstrap run [OPTIONS] [--] COMMAND [ARG...]"]
    for paragraph in (*_INTRODUCTION, platform):
        lines += ["", *textwrap.wrap(paragraph, width)]
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
    lines += ["", "Exit codes:", *textwrap.wrap(_EXIT_CODES, width, initial_indent="  ", subsequent_indent="  "), ""]
    for kind in catalogue():
        told = f"  {kind.code:>3}  {kind.id:<23} {kind.meaning}"
        lines += textwrap.wrap(told, width, subsequent_indent=" " * 31, drop_whitespace=True)
    lines += ["", helptext.examples(__doc__)]
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return "; ".join("=".join(pair) for pair in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
