"""What a check is asked, and what it says: where, why that matters, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from ..values import dataclass
from .contracts import Contract
from .tree import Image


class Severity(str, Enum):
    """``error``: a job would fail, or not be admitted. ``warning``: some would. ``note``: good to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class ImageFinding:
    level: Severity
    id: str
    what: str
    where: str = ""
    why: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """``base``: the image that this one was made from, where known. ``argv``: a command that is to run in it."""

    image: Image
    contract: Contract
    why_contract: str
    base: Image | None = None
    argv: tuple[str, ...] = ()


def listed(paths: Sequence[str], most: int = 8) -> str:
    """``/a, /b and 3 more``."""
    shown = ", ".join(f"/{path}" for path in paths[:most])
    return f"{shown} and {len(paths) - most} more" if len(paths) > most else shown
