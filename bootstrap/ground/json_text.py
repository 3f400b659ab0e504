"""JSON that somebody else has written: whatever is wrong with it is a ``ValueError``."""

from __future__ import annotations

from typing import Any


def load_json(text: str | bytes) -> Any:
    """What ``text`` says. Python's own raises another error, and no ``ValueError``, for two megabytes of ``[``."""
    import json  # some jobs read none

    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
