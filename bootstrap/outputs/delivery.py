"""What became of an output, in values: for the record, the console and the exit code."""

from __future__ import annotations

from typing import Literal

from ..errors import BootstrapError
from ..job import Output
from ..storage.model.url import Location
from ..storage.report import Report
from ..values import dataclass

Empty = Literal["fine", "note", "failure"]
"""What an output means in which there is nothing."""


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A file, or a checkpoint, that is not in the store; ``cut``: only time was missing."""

    path: str
    size: int
    why: str
    cut: bool


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one output. ``error`` is why nothing could be tried at all; ``report`` has single files."""

    output: Output
    target: Location
    report: Report | None = None
    error: BootstrapError | None = None
    undelivered: tuple[Undelivered, ...] = ()
    checkpoints: tuple[str, ...] = ()
    """Those of this attempt that are complete in the store, the newest first."""

    note: str = ""
    """What a person should know although nothing failed: that there was nothing to deliver, and where to look."""

    doubtful: tuple[tuple[str, str], ...] = ()
    """What looks like a checkpoint, is not whole, and went as files only; with reasons."""

    @property
    def complete(self) -> bool:
        return self.error is None and self.report is not None and not self.undelivered
