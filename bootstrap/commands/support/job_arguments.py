"""The arguments of a job: every setting as an option, and the command. `run`, `plan` and `doctor` take the same."""

from __future__ import annotations

import argparse

from ... import settings

# An option that may stand alone, and the values that it may have: `--pty python train.py` is `--pty=yes`.
ALONE = {
    settings.option(name): ("auto", "yes", "no", "true", "false", "on", "off", "1", "0")
    for name, knob, _ in settings.knobs()
    if knob.parse is settings.switch
}


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Every setting as an option, and the command: what `bootstrap doctor` and `bootstrap plan` take, too."""
    # Every option stays a text until `settings.resolve`, which gives options and variables the same parser and words.
    for name, knob, _ in settings.knobs():
        if knob.parse is settings.flag:
            parser.add_argument(settings.option(name), action=argparse.BooleanOptionalAction, default=None)
        elif knob.parse is settings.switch:
            parser.add_argument(settings.option(name))
            parser.add_argument(settings.option(f"no_{name}"), dest=name, action="store_const", const="no")
        else:
            parser.add_argument(settings.option(name), action="append" if knob.many else "store")
    parser.add_argument("command", nargs=argparse.REMAINDER)


def asked(arguments: argparse.Namespace) -> tuple[dict[str, str | list[str] | bool], list[str]]:
    """The options that were given, by the settings' names, and the command."""
    given = vars(arguments)
    options = {name: given[name] for name, _, _ in settings.knobs() if given[name] is not None}
    command = given["command"]
    return options, command[1:] if command[:1] == ["--"] else command
