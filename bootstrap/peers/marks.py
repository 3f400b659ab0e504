"""What tells one job from another where the platform gives it no id: two of them must not train together unnoticed.

Jobs without an id that meet at one address have nothing but their settings to be known by. What surely is the same on
all nodes of a job is a reason to refuse who has it otherwise; what only as a rule is, to tell both sides. Values travel
as short digests: names are enough for a message, and the line of somebody who is still unproven is a short one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from ..values import dataclass, field

_DIGEST = 12  # hexadecimal digits
_MOST = 8


@dataclass(frozen=True, slots=True)
class Marks:
    """Digests by names that a person knows (``--code``)."""

    sure: Mapping[str, str] = field(default_factory=dict)
    likely: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, sure: Mapping[str, object], likely: Mapping[str, object]) -> Marks:
        return cls(_digests(sure), _digests(likely))

    @classmethod
    def heard(cls, value: object) -> Marks:
        """What another node has said. Raises ``ValueError``."""
        if value is None:
            return cls()
        if not isinstance(value, list) or len(value) != 2 or not all(isinstance(part, dict) for part in value):
            raise ValueError("no marks")
        sure, likely = ({str(name): str(digest) for name, digest in list(part.items())[:_MOST]} for part in value)
        return cls(sure, likely)

    def told(self) -> list[Mapping[str, str]]:
        return [self.sure, self.likely]

    def surely_differ(self, other: Marks) -> str:
        """Names of what shows that the other is of another job; empty if nothing does."""
        return _different(self.sure, other.sure)

    def may_differ(self, other: Marks) -> str:
        """The same, of what need not mean so."""
        return _different(self.likely, other.likely)


def _digests(values: Mapping[str, object]) -> dict[str, str]:
    texts = {name: json.dumps(value, default=str) for name, value in values.items()}
    return {
        name: hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:_DIGEST]
        for name, text in texts.items()
    }


def _different(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    return ", ".join(name for name in ours if name in theirs and ours[name] != theirs[name])
