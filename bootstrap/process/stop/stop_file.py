"""The file that tells the command that it is being stopped, why, and how many seconds it has."""

from __future__ import annotations

import json
import os
import signal
import time

from ...ground.safe_files import replace_own
from ...job import AskedBy

STOP_FILE = "BOOTSTRAP_STOP_FILE"  # in the command's environment: where the file will be


def write(path: str, by: AskedBy, number: int | None, why: str, seconds: float) -> str:
    """Put the file at ``path``, whole or not at all; returns "" or what went wrong, in words.

    It is one JSON object: ``asked_by``, ``why``, ``signal`` (a name, or null), ``seconds`` from now until KILL, and
    ``deadline``, the same as seconds since the epoch. It is there before the stop signal is sent.
    """
    said = {
        "asked_by": by.value,
        "why": why,
        "signal": signal.Signals(number).name if number else None,
        "seconds": round(seconds, 3),
        "deadline": round(time.time() + seconds, 3),
    }
    try:
        replace_own(path, json.dumps(said).encode() + b"\n")
    except OSError as error:
        return f"the command could not be told that it is being stopped ({path}: {error.strerror})"
    return ""


def remove(path: str) -> None:
    """Take away what an earlier life has left: a new one must not believe that it is being stopped."""
    try:
        os.unlink(path)
    except OSError:  # none is there, as it should be; one that cannot be removed is replaced at the stop
        pass
