"""English or Chinese: what is said to a person is written down in both, side by side.

One text is one :class:`Words`; whoever speaks chooses the language at the end, so that a value (a verdict, a finding)
holds no language of its own. The language is ``--lang``, else that of the locale, as in every other program:
``LC_ALL``, ``LC_MESSAGES``, ``LANG``, the first of them that is set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ..values import dataclass

Lang = Literal["en", "zh"]


@dataclass(frozen=True, slots=True)
class Words:
    """One text in both languages. ``{name}`` in it are places for :meth:`filled`."""

    en: str
    zh: str

    def __bool__(self) -> bool:
        return bool(self.en)

    def to(self, lang: Lang) -> str:
        return self.zh if lang == "zh" else self.en

    def filled(self, **facts: object) -> Words:
        """The text with its places filled; a place that nothing is known of becomes ``?``."""
        known = _Known({name: str(value) for name, value in facts.items()})
        return Words(self.en.format_map(known), self.zh.format_map(known))

    def then(self, other: Words) -> Words:
        """Two sentences as one text."""
        if not self or not other:
            return self if self else other
        return Words(f"{self.en.rstrip('.')}. {other.en}", f"{self.zh.rstrip('。')}。{other.zh}")


NOTHING = Words("", "")


class _Known(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "?"


def language(setting: str, environ: Mapping[str, str]) -> Lang:
    """The language for ``--lang`` (``auto``, ``en`` or ``zh``) in this environment."""
    if setting in ("en", "zh"):
        return "zh" if setting == "zh" else "en"
    locale = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    return "zh" if locale.lower().startswith("zh") else "en"
