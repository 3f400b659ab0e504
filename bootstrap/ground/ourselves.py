"""How we start a program of our own in the environment of somebody else's: the command's, a rehearsed node's."""

from __future__ import annotations

import sys
from pathlib import Path

START = Path(__file__).resolve().parents[2] / "modelarts_bootstrap_start.py"


def program(module: str = "") -> tuple[str, ...]:
    """The words in front of its arguments: our interpreter, without a look at what the environment tells Pythons and at
    what modules lie in the working directory, and the module of ours to run; without one it is the command line.
    """
    return (sys.executable, "-E", "-X", "utf8", str(START), *([module] if module else []))
