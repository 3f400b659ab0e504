"""What an honest node says has these shapes; whatever else comes, be it sealed, is not believed. No I/O.

A node that knows the secret may still be of another version, or broken: what it says goes into records and exit codes
of all nodes, so that each value is looked at where it comes in. ``ValueError`` is raised for a message that makes no
sense; of a failure's facts, those that make none are left out.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from .node_info import NodeInfo

LONGEST_TEXT = 8 << 10
"""Characters of one text."""

_MOST_FACTS = 64
_LATEST = 1e11  # seconds since the epoch: beyond what a date can be made of
_LONGEST = 1e9  # seconds: no job takes thirty years, and so long before now there still was a date
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


def port_of(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 16:
        raise ValueError("no port")
    return value


def text_of(value: object) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise ValueError("no text")
    value.encode()  # half a surrogate pair, which JSON can write, fits into no file; raises a ValueError
    return value


def seconds_of(value: object) -> float:
    """A duration. JSON knows numbers that are none, that are endless, and integers that no float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LONGEST:
        raise ValueError("no seconds")
    return float(value)


def node_info_of(value: object) -> NodeInfo:
    """What a node tells of itself. It goes into files and variables that scripts read: words, and an address."""
    if not isinstance(value, dict):
        raise ValueError("nothing of the node")
    host, address, interface = (_word_of(value.get(name, "")) for name in ("host", "address", "interface"))
    if address:
        ipaddress.ip_address(address)  # raises a ValueError
    return NodeInfo(host, address, interface, text_of(value.get("share", "")))


def _word_of(value: object) -> str:
    word = text_of(value)
    if any(not letter.isprintable() or letter.isspace() for letter in word):
        raise ValueError("no word")
    return word


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
    if not _is_text(name):
        return False
    if name in _TEXTS:
        return _is_text(said)
    if isinstance(said, bool) or said is None:
        return name not in (*_NUMBERS, "at")
    if name == "at":
        return isinstance(said, float) and 0 < said < _LATEST
    if isinstance(said, int | float):
        return abs(said) < _LATEST and (name not in _NUMBERS or isinstance(said, int))  # not what is no number
    return _is_text(said) and name not in _NUMBERS


def _is_text(value: object) -> bool:
    try:
        text_of(value)
    except ValueError:
        return False
    return True
