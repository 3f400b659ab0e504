"""``auto``: the engine by what the program imports. Who asks for it gets it; no command is rewritten unasked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from ..ground.argv import as_python
from ..job import Cluster
from .table import LAUNCHERS

_BY_IMPORT = {package: row.name for row in LAUNCHERS.values() for package in row.imports}
_IMPORT = re.compile(rf"^[ \t]*(?:import|from)[ \t]+({'|'.join(_BY_IMPORT)})\b", re.MULTILINE)
_LOOK_AT = 1 << 20  # bytes of a script


class Guess(NamedTuple):
    launcher: str
    reason: str


def choose(command: tuple[str, ...], cluster: Cluster, work_dir: str) -> Guess:
    """The launcher for a command that starts in ``work_dir``; ``direct`` wherever there is doubt."""
    if cluster.size == 1 and cluster.slots <= 1:
        return Guess("direct", "there is one process only")
    python = as_python(command)
    if python is None or python.is_module:
        return Guess("direct", "the command is not a Python script: it knows itself what it starts")
    script = Path(work_dir, python.program[0])
    try:
        with script.open(encoding="utf-8", errors="replace") as opened:
            text = opened.read(_LOOK_AT)
    except OSError as error:
        return Guess("direct", f"{script} cannot be read: {error.strerror}")
    imported = set(_IMPORT.findall(text))
    for name, launcher in _BY_IMPORT.items():
        if name in imported:
            return Guess(launcher, f"{script.name} imports {name}")
    return Guess("direct", f"{script.name} imports no engine that has a launcher")
