"""What a rule is: a pattern over one saying, for one cause, with a hint of its own where the cause's is too general."""

from __future__ import annotations

import re
from collections.abc import Callable

from ...reporting.language import NOTHING, Words
from ...values import dataclass
from ..blocks import Form, Saying
from ..machine import Machine
from ..verdict import Cause, Fault, Kind, RetryAdvice

Look = Callable[["re.Match[str]", Saying, Machine], "dict[str, str] | None"]
"""A rule's second look: facts for the places of its texts, or None when it is not this cause after all."""


@dataclass(frozen=True, slots=True)
class Rule:
    """``says`` is searched for in what was said, line by line; ``type`` must match the exception's name as a whole.

    ``secondary``: the effect of something else, never the cause beside a primary saying. ``bare``: it also counts as a
    line by itself near the end of the log, without any block around it. ``vague``: it only says that a device failed;
    what its library has said of it counts more, where it has.
    """

    name: str
    cause: str
    says: str
    type: str = ""
    forms: tuple[Form, ...] = ()
    hint: Words = NOTHING
    look: Look | None = None
    secondary: bool = False
    bare: bool = True
    retry: RetryAdvice | None = None
    fault: Fault | None = None
    vague: bool = False

    def matches(self, saying: Saying, form: Form, machine: Machine) -> dict[str, str] | None:
        """The facts for the places in the texts, if this rule is about ``saying``."""
        if form is Form.LINE and not self.bare:
            return None
        if self.forms and form not in self.forms and form is not Form.LINE:
            return None
        if self.type and (form is not Form.LINE or saying.type) and not re.fullmatch(self.type, saying.type):
            return None
        found = re.search(self.says, saying.text, re.MULTILINE)
        if found is None:
            return None
        facts = {name: value for name, value in found.groupdict().items() if value}
        if self.look is None:
            return facts
        more = self.look(found, saying, machine)
        return None if more is None else {**facts, **more}


def rule(
    name: str,
    cause: str,
    *says: str,
    type: str = "",
    forms: tuple[Form, ...] = (),
    hint: Words = NOTHING,
    look: Look | None = None,
    secondary: bool = False,
    bare: bool | None = None,
    retry: RetryAdvice | None = None,
    fault: Fault | None = None,
    vague: bool = False,
) -> Rule:
    """A row of the table; any of ``says`` will do. A bare line counts, too, unless it is said otherwise."""
    counts = (not forms) if bare is None else bare
    return Rule(name, cause, "|".join(says), type, forms, hint, look, secondary, counts, retry, fault, vague)


def cause(
    id: str, kind: Kind, retry: RetryAdvice, en: tuple[str, str], zh: tuple[str, str], fault: Fault = Fault.YOURS
) -> Cause:
    """A row of the catalogue: sentence and remedy, in both languages."""
    return Cause(id, kind, retry, fault, Words(en[0], zh[0]), Words(en[1], zh[1]))


def unless(pattern: str) -> Look:
    """A second look: not this cause where the saying has ``pattern`` as well."""

    def look(_found: re.Match[str], saying: Saying, _machine: Machine) -> dict[str, str] | None:
        return None if re.search(pattern, saying.text) else {}

    return look
