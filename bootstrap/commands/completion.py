"""``bootstrap completion SHELL``: what makes a shell complete our commands, options, their values and object stores.

    eval "$(bootstrap completion bash)"                                     this shell
    bootstrap completion bash > ~/.local/share/bash-completion/completions/bootstrap
    bootstrap completion zsh > ~/.zfunc/_bootstrap
    bootstrap completion fish > ~/.config/fish/completions/bootstrap.fish

It needs the package argcomplete, in the Python that bootstrap runs on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

from ..errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    try:
        from argcomplete.shell_integration import shellcode
    except ImportError as error:
        raise UsageError(
            "completion needs the package argcomplete", remedy=f"{sys.executable} -m pip install argcomplete"
        ) from error
    print(shellcode(["bootstrap"], shell=arguments.shell))
    return 0
