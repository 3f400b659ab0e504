"""run.json: what this run is and how it goes, from the first second on, readable at every moment.

The file is replaced by rename, so that whoever reads it sees a whole document: the platform's agent, a colleague, or
the next attempt in the same container. The user's result and ours are two fields that never mix::

    {"schema": 1, "attempt": 1, "phase": "launch", "steps": [{"name": "identify", "seconds": 0.01, ...}, ...],
     "user": {"status": 0, ...} | null, "bootstrap": {"id": ..., "code": ...} | null, "exit_code": 0, ...}

Times are UTC in ISO 8601, durations in seconds.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..ground.json_text import load_json
from ..ground.log_names import of_attempt
from ..ground.plain_text import plain_document
from ..ground.safe_files import read_own, replace_own

SCHEMA = 1
LONGEST_RECORD = 64 << 20
"""Bytes of an earlier record."""
_encode = json.JSONEncoder(ensure_ascii=False).encode


def utc(seconds: float) -> str:
    """A UTC epoch as ISO 8601 with milliseconds."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")


class Record:
    """One run's record. Before :meth:`place` has given it a file it is kept in memory; a file that cannot be written
    is no reason to stop a job, so that later writes fail without a word: the caller reports what :meth:`place` raises.
    """

    def __init__(self) -> None:
        self.mask: Callable[[str], str] = str
        self.path: Path | None = None
        self._lock = threading.RLock()  # what is delivered side by side is told side by side
        self._began = time.time()
        self._document: dict[str, Any] = {
            "schema": SCHEMA,
            "attempt": 1,
            "phase": "start",
            "started": utc(self._began),
            "steps": [],
            "user": None,
            "bootstrap": None,
        }

    def place(self, path: Path, job_id: str = "") -> None:
        """Write to ``path`` from here on. Raises :class:`OSError` when that cannot be done at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._document["attempt"] = self._earlier_attempts(path, job_id) + 1
        self.path = path
        self._write()

    @property
    def began(self) -> float:
        """When this run began, in seconds of the epoch."""
        return self._began

    @property
    def attempt(self) -> int:
        """1, and one more for every earlier run of the same job and node found at the same place."""
        return int(self._document["attempt"])

    @property
    def phase(self) -> str:
        """The step that runs, ``start`` before the first and ``ended`` after the last."""
        return str(self._document["phase"])

    def update(self, **fields: Any) -> None:
        """Set top-level fields and write."""
        with self._lock:
            self._document.update(fields)
            self._save()

    def begin(self, step: str) -> None:
        self._document["steps"].append({"name": step, "started": utc(time.time()), "result": "running"})
        self.update(phase=step)

    def end(self, result: str, **facts: Any) -> None:
        """The running step ended with ``result`` (``ok``, ``failed``, ``stopped``) after as long as it took.

        What went well is written with what follows at once: the next step, or the conclusion.
        """
        step = self._document["steps"][-1]
        began = datetime.fromisoformat(step["started"]).timestamp()
        step.update(result=result, ended=utc(time.time()), seconds=round(time.time() - began, 3), **facts)
        if result != "ok":
            self._save()

    def durations(self) -> dict[str, float]:
        """Seconds that each step took, the running one until now."""
        now = time.time()
        return {
            step["name"]: step.get("seconds", round(now - datetime.fromisoformat(step["started"]).timestamp(), 3))
            for step in self._document["steps"]
        }

    def conclude(self, exit_code: int, reason_id: str, reason: str) -> None:
        now = time.time()
        self.update(
            phase="ended",
            exit_code=exit_code,
            reason_id=reason_id,
            reason=reason,
            ended=utc(now),
            seconds=round(now - self._began, 3),
        )

    def text(self) -> str:
        """The document as it stands, secrets masked."""
        # First each text by itself: a traceback that quotes a secret in Python's way is no secret's form any more
        # once JSON has escaped it again.
        with self._lock:
            masked = _each_text(self._document, self.mask)
        return self.mask(_laid_out(plain_document(masked))) + "\n"

    def _save(self) -> None:
        if self.path is not None:
            try:
                self._write()
            except OSError:  # a disk that filled up meanwhile; the console has the same facts
                pass

    def _write(self) -> None:
        assert self.path is not None
        replace_own(self.path, self.text().encode())

    def _earlier_attempts(self, path: Path, job_id: str) -> int:
        """What the previous run left: platforms restart the boot command in the same container (ModelArts calls it
        in-place recovery). Its record is kept as ``run.attempt-N.json``; another job's counts for nothing.
        """
        try:
            earlier = load_json(read_own(path, LONGEST_RECORD))
            attempt, other = int(earlier["attempt"]), earlier["platform"]["job_id"] != job_id
        except FileNotFoundError:
            return 0
        except (OSError, ValueError, KeyError, TypeError):  # killed before it knew its job, or another program's file
            return 1
        try:
            path.replace(path.with_name(of_attempt(path.name, attempt)))
        except OSError:
            pass
        return 0 if other else attempt


def _laid_out(value: Any, depth: int = 2, margin: str = "") -> str:
    """``value`` as JSON with a line for each field, and for each step, setting or output within one. What is deeper is
    left to json's encoder in C, which cannot indent: a record is written a dozen times before the command starts.
    """
    if not depth or not value or not isinstance(value, (dict, list)):
        return _encode(value)
    below = margin + " "
    if isinstance(value, dict):
        lines = [f"{_encode(str(key))}: {_laid_out(one, depth - 1, below)}" for key, one in value.items()]
    else:
        lines = [_laid_out(one, depth - 1, below) for one in value]
    first, last = "{}" if isinstance(value, dict) else "[]"
    return f"{first}\n{below}" + f",\n{below}".join(lines) + f"\n{margin}{last}"


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    """``value`` with ``change`` applied to every text in it, keys apart."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _each_text(one, change) for key, one in value.items()}
    return [_each_text(one, change) for one in value] if isinstance(value, (list, tuple)) else value
