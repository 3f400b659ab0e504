"""A sign of life in the store: a container that vanishes leaves behind when it was last seen, and at what."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass

from ..record import utc


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """``last_seen`` is UTC in ISO 8601; ``log_bytes`` of the log are in the store; the next is due in ``interval`` s.

    ``phase`` is the step that runs (as in ``run.json``), or ``ended``.
    """

    last_seen: str
    phase: str
    attempt: int
    node: int
    log_bytes: int
    interval: float
    host: str = ""

    @classmethod
    def now(cls, phase: str, attempt: int, node: int, count: int, interval: float) -> Heartbeat:
        return cls(utc(time.time()), phase, attempt, node, count, interval, os.uname().nodename)

    @classmethod
    def read(cls, text: bytes) -> Heartbeat | None:
        """The heartbeat in ``text``, or None if it is something else."""
        try:
            found = json.loads(text)
            return cls(**{name: found[name] for name in cls.__dataclass_fields__})
        except (ValueError, KeyError, TypeError):
            return None

    def text(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode() + b"\n"
