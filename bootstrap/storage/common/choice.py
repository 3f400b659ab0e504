"""Which files of a tree a transfer is about, and whether it only tells of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from ...values import dataclass, field


@dataclass(frozen=True, slots=True)
class Choice:
    """Files by their path below the tree's root, as patterns choose them.

    ``*`` and ``?`` stay within a name, ``**`` does not. A pattern without a slash is of the name alone, wherever the
    file is; one that ends in a slash is of a directory, with all that is below it. With ``include``, a file has to
    match one of them; a file that matches one of ``exclude`` is left out whatever else it matches.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    tell: Callable[[str, int], None] | None = field(default=None, compare=False)
    """Rehearse: called with the path and the bytes of each file that would move, and none does."""

    def takes(self, path: str) -> bool:
        if any(_pattern(one).fullmatch(path) for one in self.exclude):
            return False
        return not self.include or any(_pattern(one).fullmatch(path) for one in self.include)

    @property
    def is_everything(self) -> bool:
        return not self.include and not self.exclude

    def rehearse(self, files: Iterable[tuple[str, int]]) -> bool:
        """Tell of the files, if that is all that is wanted; whether it was."""
        if self.tell is None:
            return False
        for path, size in files:
            self.tell(path, size)
        return True


EVERYTHING = Choice()


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    """A pattern of :class:`Choice` as a regular expression over whole paths."""
    below = ".*" if text.endswith("/") else ""
    words = re.split(r"(\*\*/?|\*|\?)", text.strip("/"))
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    body = "".join(meaning.get(word) or re.escape(word) for word in words)
    anywhere = "" if "/" in text.rstrip("/") else "(?:.*/)?"
    return re.compile(f"{anywhere}{body}{'/' if below else ''}{below}", re.DOTALL)
