"""A sign of life in the store: a container that vanishes leaves behind when it was last seen, and at what."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

from ..errors import BootstrapError
from ..ground.json_text import load_json
from ..ground.log_names import HEARTBEAT
from ..job import StopRequest
from ..reporting.record import utc
from ..storage.model.light_writer import Inline, LightWriter
from ..values import asdict, dataclass, fields
from .ending import until_it_works
from .live_files import LiveFiles

LONGEST_BEAT = 64 << 10
"""Bytes of a heartbeat that was read."""

_TEXTS, _COUNTS = ("last_seen", "phase", "host"), ("attempt", "node", "log_bytes")
_MOST = 1 << 53  # of any number in it; JSON knows some that nothing can be reckoned with


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
            found = load_json(text)
            told = {name: found[name] for name in [one.name for one in fields(cls)]}
        except (ValueError, KeyError, TypeError):
            return None
        numbers = [told["interval"], *(told[name] for name in _COUNTS if type(told[name]) is int)]
        usable = len(numbers) == 1 + len(_COUNTS) and all(isinstance(told[name], str) for name in _TEXTS)
        usable = usable and all(type(number) in (int, float) and 0 <= number <= _MOST for number in numbers)
        return cls(**told) if usable else None

    def text(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode() + b"\n"


class HeartbeatWriter:
    """Says again and again that this run is alive, in one object of the log's ``directory`` (a key, or a path)."""

    def __init__(
        self,
        open_writer: Callable[[], LightWriter],
        directory: Callable[[], str],
        files: LiveFiles,
        *,
        attempt: Callable[[], int],
        node: int,
        interval: float,
    ) -> None:
        """``files`` go beside the heartbeat. Nothing is opened before the first beat."""
        self._open, self._directory, self._files = open_writer, directory, files
        self._attempt, self._node, self._interval = attempt, node, interval
        self._writer: LightWriter | None = None

    def beat(self, phase: str, shipped: int, *, last: bool = False) -> None:
        """``shipped`` bytes of the log are there. Raises what the store raises."""
        writer = self._writer = self._writer or self._open()
        beat = Heartbeat.now(phase, self._attempt(), self._node, shipped, self._interval)
        directory = self._directory()
        writer.put(directory + HEARTBEAT, Inline(beat.text()))
        self._files.send(lambda name, data: writer.put(directory + name, data), last=last)

    def end(self, *, delivered: bool, shipped: int, stop: StopRequest) -> None:
        """Take the heartbeat away when the log was ``delivered``, and else mark it as the last one.

        Raises what the store raises.
        """
        if self._writer is None:  # nobody has been told anything
            return
        if delivered and self._removed(self._writer, stop):
            return
        self.beat("ended", shipped, last=True)

    def _removed(self, writer: LightWriter, stop: StopRequest) -> bool:
        try:
            names = [self._directory() + name for name in (HEARTBEAT, *self._files.sent)]
            until_it_works(lambda: writer.delete(names), stop)
        except BootstrapError:  # a key that may write, but not delete
            return False
        return True
