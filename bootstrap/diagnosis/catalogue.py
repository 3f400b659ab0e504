"""Every cause that a run can end with, by its id: the command's, and our own failures. For people and for pages."""

from __future__ import annotations

from ..errors import catalogue as errors
from ..reporting.language import Words
from ..values import dataclass
from .own import explained, of_error
from .rules import CAUSES
from .verdict import Fault, Kind, RetryAdvice


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One id. ``code`` is our exit code, of our own failures; None where the exit code is the command's."""

    id: str
    kind: Kind
    retry: RetryAdvice
    fault: Fault
    text: Words
    remedy: Words
    code: int | None = None


def entries(id: str = "") -> list[CatalogueEntry]:
    """The whole catalogue, or what ``id`` stands for: a cause of the command's, an error of ours (whose exit code will
    do), or both.
    """
    found = [
        CatalogueEntry(cause.id, cause.kind, cause.retry, cause.fault, _plain(cause.text), _plain(cause.remedy))
        for cause in CAUSES.values()
    ]
    for kind in errors():
        told = explained(kind.id)
        assert told is not None
        verdict = of_error(kind(""))
        found.append(CatalogueEntry(kind.id, verdict.kind, verdict.retry, verdict.fault, *told, kind.code))
    return [entry for entry in found if id in ("", entry.id, str(entry.code))]


def _plain(words: Words) -> Words:
    """Without the places that a run fills."""
    return Words(*(text.replace("{silence}", "...").replace("{stacks}", "stall.txt") for text in (words.en, words.zh)))
