"""Whether to write in colour: one answer for help and for messages."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import IO


def in_colour(stream: IO[str], environ: Mapping[str, str] = os.environ) -> bool:
    """Whether ``stream`` is to be written in colour: on a terminal that can, unless somebody says otherwise."""
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    try:
        return stream.isatty() and environ.get("TERM") != "dumb"
    except ValueError:  # closed
        return False
