"""What an honest node says has these shapes; whatever else comes, be it sealed, is not believed. No I/O.

A node that knows the secret may still be of another version, or broken: what it says goes into records and exit codes
of all nodes, so that each value is looked at where it comes in. ``ValueError`` is raised for a message that makes no
sense; of a failure's facts, those that make none are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .node_info import NodeInfo

LONGEST_TEXT = 8 << 10
"""Characters of one text."""

MOST_NODES = 1 << 20
"""Beyond what a job can have."""

_MOST_FACTS = 64
_LATEST = 1e11  # seconds since the epoch: beyond what a date can be made of
_TEXTS = ("step", "error", "why", "reason", "host", "traceback", "error_file")
_NUMBERS = ("exit_code", "rank", "rank_exit_code", "node")


def rank_of(value: object, size: int) -> int:
    """A node's rank."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < size:
        raise ValueError("no rank of this job")
    return value


def code_of(value: object) -> int:
    """An exit code."""
    if isinstance(value, bool) or not isinstance(value, int) or not -255 <= value <= 255:
        raise ValueError("no exit code")
    return value


def text_of(value: object) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise ValueError("no text")
    return value


def seconds_of(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("no seconds")
    return float(value)


def node_info_of(value: object) -> NodeInfo:
    """What a node tells of itself."""
    if not isinstance(value, dict):
        raise ValueError("nothing of the node")
    return NodeInfo(*(text_of(value.get(name, "")) for name in ("host", "address", "interface", "share")))


def took_of(value: object) -> dict[str, float]:
    """Seconds by what they were spent on."""
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > _MOST_FACTS:
        raise ValueError("no durations")
    return {text_of(name): seconds_of(seconds) for name, seconds in value.items()}


def facts_of(value: object) -> dict[str, Any]:
    """What a node says of its failure: texts and numbers by name, those that are known of the right kind."""
    if not isinstance(value, Mapping):
        raise ValueError("no facts")
    return {name: said for name, said in list(value.items())[:_MOST_FACTS] if _is_fact(name, said)}


def _is_fact(name: object, said: object) -> bool:
    if not isinstance(name, str) or len(name) > LONGEST_TEXT:
        return False
    if name in _TEXTS:
        return isinstance(said, str) and len(said) <= LONGEST_TEXT
    if isinstance(said, bool) or said is None:
        return name not in (*_NUMBERS, "at")
    if name == "at":
        return isinstance(said, float) and 0 < said < _LATEST
    if isinstance(said, int | float):
        return abs(said) < _LATEST and (name not in _NUMBERS or isinstance(said, int))  # not what is no number
    return isinstance(said, str) and len(said) <= LONGEST_TEXT and name not in _NUMBERS
