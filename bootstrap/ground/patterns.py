"""Regular expressions that are compiled when they are first used.

A start loads fifty of them and uses a dozen; to compile one is 0.1 to 3 ms.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, AnyStr


class _Pattern:
    """Compiles with the first question, and hands out the compiled one's methods from then on."""

    def __init__(self, text: str | bytes, flags: int) -> None:
        self._text, self._flags = text, flags

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(self._text, self._flags), name)  # which `re` keeps, for the next name
        self.__dict__[name] = found
        return found


def _pattern(text: str | bytes, flags: int = 0) -> Any:
    return _Pattern(text, flags)


if TYPE_CHECKING:

    def pattern(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
        """As :func:`re.compile`, later."""
else:
    pattern = _pattern
