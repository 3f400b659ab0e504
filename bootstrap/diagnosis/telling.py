"""How a verdict is told: on the console one thing a line, at the end of the log, and to Kubernetes."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence

from ..reporting.language import Lang
from .text import CUT
from .verdict import Verdict

TERMINATION_LOG = 4096
"""Bytes that Kubernetes shows of a container's termination message (``terminationMessagePath``)."""


def log_text(verdict: Verdict, exit_code: int, lang: Lang) -> str:
    """The log's last lines; each says that it is ours."""
    lines = [f"{verdict.text.to(lang)} [{verdict.id}, exit {exit_code}]"]
    lines += [f"{mark}: {text}" for mark, text in verdict.lines(lang)]
    return "".join(f"bootstrap: {line}\n" for line in lines)


def write_termination_log(path: str, lines: Sequence[str], mask: Callable[[str], str]) -> None:
    """The end in words at ``path``, if the kubelet (or somebody else) has put a file there; never makes one.

    The message is cut at 4096 bytes, with a mark. What cannot be written costs nothing else.
    """
    try:
        if not path or not stat.S_ISREG(os.stat(path).st_mode):
            return
        with open(path, "wb") as file:
            file.write(_fitting(mask("\n".join(lines) + "\n").encode(errors="replace"), TERMINATION_LOG))
    except OSError:
        return


def _fitting(data: bytes, most: int) -> bytes:
    if len(data) <= most:
        return data
    mark = CUT.encode() + b"\n"
    return data[: most - len(mark)].decode(errors="ignore").encode() + mark
