"""The one table of causes and rules. A rule is one row in the file of its subject; the order below is the order in
which they are tried: what is more specific comes first, inside a file as well.
"""

from __future__ import annotations

from ..verdict import Cause
from . import access, collectives, devices, endings, files, limits, memory, packages, scripts, training
from .model import Rule

_SUBJECTS = (devices, memory, limits, scripts, packages, training, access, files, collectives, endings)

CAUSES: dict[str, Cause] = {cause.id: cause for subject in _SUBJECTS for cause in subject.CAUSES}
RULES: tuple[Rule, ...] = tuple(rule for subject in _SUBJECTS for rule in subject.RULES)
HARDWARE: tuple[Rule, ...] = devices.HARDWARE

__all__ = ["CAUSES", "HARDWARE", "RULES"]
