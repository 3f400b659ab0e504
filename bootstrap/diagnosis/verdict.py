"""What a diagnosis says: one frozen value, in two languages, with what it rests on.

``run.json`` has it as :meth:`Verdict.recorded` writes it; the schema is numbered by :data:`SCHEMA` and described in
docs/diagnosis.md.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from ..reporting.language import NOTHING, Lang, Words
from ..values import dataclass

SCHEMA = 1


class Kind(str, Enum):
    """The class of a cause: what sort of thing it is."""

    NONE = "none"
    STOPPED = "stopped"
    HARDWARE = "hardware"
    RESOURCES = "resources"
    NETWORK = "network"
    ACCESS = "access"
    ENVIRONMENT = "environment"
    INPUT = "input"
    PROGRAM = "program"
    UNKNOWN = "unknown"


class RetryAdvice(str, Enum):
    """Whether the same job, started again as it is, may come to a better end."""

    YES = "yes"
    NO = "no"
    MAYBE = "maybe"


class Fault(str, Enum):
    YOURS = "yours"
    PLATFORM = "platform"
    EITHER = "either"


class Confidence(str, Enum):
    """``PROVEN``: by the kernel or the machine; ``SAID``: by the program that failed; ``LIKELY``: concluded by us."""

    PROVEN = "proven"
    SAID = "said"
    LIKELY = "likely"


@dataclass(frozen=True, slots=True)
class Cause:
    """One row of the catalogue. An id, once published, is never given to another cause.

    ``text`` and ``remedy`` may have places in braces, which the evidence fills.
    """

    id: str
    kind: Kind
    retry: RetryAdvice
    fault: Fault
    text: Words
    remedy: Words


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen: the text, which rank said it, and the user's own line of code. ``id`` is the cause that it would
    be by itself, where it is not the cause that was chosen. ``zh`` is the same in Chinese, where the words are ours.
    """

    text: str
    rank: int | None = None
    file: str = ""
    line: int | None = None
    id: str = ""
    zh: str = ""

    def __str__(self) -> str:
        return self.to("en")

    def to(self, lang: Lang) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        rank = f"rank {self.rank}" if self.rank is not None else ""
        place = ", ".join(part for part in (where, rank) if part)
        text = self.zh if lang == "zh" and self.zh else self.text
        return f"{text} ({place})" if place else text

    def recorded(self, lang: Lang = "en") -> dict[str, Any]:
        text = self.zh if lang == "zh" and self.zh else self.text
        own: dict[str, Any] = {"text": text, "rank": self.rank, "file": self.file or None, "line": self.line}
        return {**own, "id": self.id} if self.id else own


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why it ended, whether to try again, and whose it is to mend."""

    id: str
    kind: Kind
    retry: RetryAdvice
    fault: Fault
    confidence: Confidence
    text: Words
    remedy: Words = NOTHING
    evidence: tuple[Evidence, ...] = ()
    also_seen: tuple[Evidence, ...] = ()

    def recorded(self, lang: Lang = "en") -> dict[str, Any]:
        """As ``run.json`` has it."""
        return {
            "schema": SCHEMA,
            "id": self.id,
            "class": self.kind.value,
            "retry": self.retry.value,
            "fault": self.fault.value,
            "confidence": self.confidence.value,
            "text": self.text.to(lang),
            "evidence": [one.recorded(lang) for one in self.evidence],
            "also_seen": [one.recorded(lang) for one in self.also_seen],
            "remedy": self.remedy.to(lang),
        }

    def lines(self, lang: Lang = "en") -> list[tuple[str, str]]:
        """What is told below the sentence, one thing a line: ``(mark, text)`` with the marks seen, hint and retry."""
        told = [("seen", one.to(lang)) for one in self.evidence]
        if self.remedy:
            told.append(("hint", self.remedy.to(lang)))
        if self.kind is not Kind.NONE:
            told.append(("retry", _RETRY[self.retry, self.fault].to(lang)))
        return told

    def __str__(self) -> str:
        """The whole in one English line, for places that have one."""
        seen = "; ".join(str(one) for one in self.evidence)
        parts = (self.text.en, f"Seen: {seen.rstrip('.')}" if seen else "", self.remedy.en)
        return ". ".join(part for part in parts if part)


def _retries() -> dict[tuple[RetryAdvice, Fault], Words]:
    again = {
        RetryAdvice.YES: Words("yes", "是"),
        RetryAdvice.NO: Words("no", "否"),
        RetryAdvice.MAYBE: Words("maybe", "不一定"),
    }
    whose = {
        (RetryAdvice.YES, Fault.YOURS): Words(
            "the same job may well work when it is started again", "原样重新提交作业很可能成功"
        ),
        (RetryAdvice.YES, Fault.PLATFORM): Words(
            "this is the platform's; start it again, on another node if you can", "问题在平台侧；请重新提交，尽量换节点"
        ),
        (RetryAdvice.YES, Fault.EITHER): Words(
            "it may pass by itself; if it comes back, look at the hint", "可能是偶发问题；若反复出现，请按提示排查"
        ),
        (RetryAdvice.NO, Fault.YOURS): Words(
            "it ends the same way until the job is changed", "不修改作业，重试结果不变"
        ),
        (RetryAdvice.NO, Fault.PLATFORM): Words(
            "this is the platform's, and it stays until somebody mends it", "问题在平台侧，修复之前重试无用"
        ),
        (RetryAdvice.NO, Fault.EITHER): Words(
            "it ends the same way until the job or the platform is changed", "作业或平台不做改动，重试结果不变"
        ),
        (RetryAdvice.MAYBE, Fault.YOURS): Words("only if its cause was a passing one", "仅当原因是偶发时才有用"),
        (RetryAdvice.MAYBE, Fault.PLATFORM): Words(
            "this is the platform's; ask it before you pay for another run", "问题在平台侧；重跑之前请先向平台确认"
        ),
        (RetryAdvice.MAYBE, Fault.EITHER): Words("only if its cause was a passing one", "仅当原因是偶发时才有用"),
    }
    return {
        key: Words(f"{again[key[0]].en}: {text.en}", f"{again[key[0]].zh}：{text.zh}") for key, text in whose.items()
    }


_RETRY = _retries()
