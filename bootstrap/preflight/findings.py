"""What a check says: a stable id, how bad it is, what was found, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from ..diagnosis.own import CHINESE
from ..errors import BootstrapError
from ..reporting.language import NOTHING, Lang, Words
from ..values import dataclass


class Level(str, Enum):
    """``failure``: this job would fail. ``warning``: some would, or it could not be found out."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Finding:
    """``id`` names the subject and never changes its meaning. ``error`` is what a run would end with, where known."""

    id: str
    level: Level
    what: Words
    remedy: Words = NOTHING
    error: BootstrapError | None = None

    def recorded(self, lang: Lang) -> Mapping[str, str]:
        """``{id, level, what, remedy, cause}``; ``cause`` is the id of the error, as ``bootstrap explain`` knows it."""
        return {
            "id": self.id,
            "level": self.level.value,
            "what": self.what.to(lang),
            "remedy": self.remedy.to(lang),
            "cause": self.error.id if self.error is not None else "",
        }


def ok(id: str, en: str, zh: str) -> Finding:
    return Finding(id, Level.OK, Words(en, zh))


def warning(id: str, what: Words, remedy: Words = NOTHING) -> Finding:
    return Finding(id, Level.WARNING, what, remedy)


def failure(id: str, what: Words, remedy: Words = NOTHING) -> Finding:
    return Finding(id, Level.FAILURE, what, remedy)


def of_error(id: str, error: BootstrapError, level: Level = Level.FAILURE) -> Finding:
    """What a step would raise, as a finding: the evidence as it is, our own words around it in both languages."""
    evidence = "".join(
        part for part in (f" ({error.where})" if error.where else "", f": {error.why}" * bool(error.why))
    )
    chinese = CHINESE.get(error.id, (error.what, error.remedy))
    what = Words(error.what + evidence, f"{chinese[0]}：{error.what}{evidence}")
    return Finding(id, level, what, Words(error.remedy, chinese[1]), error)
