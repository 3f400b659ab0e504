"""``auto``: the engine by what the program imports. Who asks for it gets it; no command is rewritten unasked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from ..job import Cluster
from .plan import as_python

# In the order in which they count: a script that imports DeepSpeed imports torch as well.
_BY_IMPORT = {
    "deepspeed": "deepspeed",
    "horovod": "mpi",
    "mpi4py": "mpi",
    "paddle": "paddle",
    "mindspore": "msrun",
    "ray": "ray",
    "tensorflow": "tensorflow",
    "jax": "jax",
    "torch": "torchrun",
}
_IMPORT = re.compile(rf"^[ \t]*(?:import|from)[ \t]+({'|'.join(_BY_IMPORT)})\b", re.MULTILINE)
_LOOK_AT = 1 << 20  # bytes of a script


class Choice(NamedTuple):
    launcher: str
    reason: str


def choose(command: tuple[str, ...], cluster: Cluster, work_dir: str) -> Choice:
    """The launcher for a command that starts in ``work_dir``; ``direct`` wherever there is doubt."""
    if cluster.size == 1 and cluster.slots <= 1:
        return Choice("direct", "there is one process only")
    python = as_python(command)
    if python is None or python.is_module:
        return Choice("direct", "the command is not a Python script: it knows itself what it starts")
    script = Path(work_dir, python.program[0])
    try:
        with script.open(encoding="utf-8", errors="replace") as opened:
            text = opened.read(_LOOK_AT)
    except OSError as error:
        return Choice("direct", f"{script} cannot be read: {error.strerror}")
    imported = set(_IMPORT.findall(text))
    for name, launcher in _BY_IMPORT.items():
        if name in imported:
            return Choice(launcher, f"{script.name} imports {name}")
    return Choice("direct", f"{script.name} imports no engine that has a launcher")
