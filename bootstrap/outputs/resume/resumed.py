"""What a command goes on from, as it is told."""

from __future__ import annotations

from ...reporting.record import utc
from ...values import dataclass, field


@dataclass(frozen=True, slots=True)
class Resumed:
    """Where the command goes on from: ``path`` is the checkpoint's on this disk; ``whence`` its URL or the disk."""

    path: str
    checkpoint: str
    attempt: int
    saved: float
    whence: str
    files: int = 0
    bytes: int = 0
    others: tuple[str, ...] = field(default=())
    """Why newer ones were not used."""

    def told(self) -> dict[str, object]:
        """As the command and the record are told."""
        return {
            "path": self.path,
            "checkpoint": self.checkpoint,
            "attempt": self.attempt,
            "saved": utc(self.saved),
            "from": self.whence,
            "files": self.files,
            "bytes": self.bytes,
            "not_used": list(self.others),
        }
