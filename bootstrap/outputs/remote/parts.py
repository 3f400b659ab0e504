"""Files that are no checkpoint, told as they come. The documents that tell it stay few, however long a job runs."""

from __future__ import annotations

from collections.abc import Sequence

from .lingering import Lingering
from .manifest import File, Part
from .target import Target

MOST = 32
"""Documents of one attempt, before one takes the place of all."""


class Parts:
    """Of one node."""

    def __init__(self, target: Target, node: int, lingering: Lingering) -> None:
        self._target, self._node, self._lingering = target, node, lingering
        self._attempt, self._number = 0, 0
        self._files: dict[str, File] = {}  # all that the documents of the attempt say
        self._keys: list[str] = []

    def __bool__(self) -> bool:
        """Whether anything has been told."""
        return self._number > 0

    def put(self, attempt: int, files: Sequence[File]) -> None:
        if not files:
            return
        if attempt != self._attempt:
            self._attempt, self._files, self._keys = attempt, {}, []
        self._files.update((file.path, file) for file in files)
        full = len(self._keys) >= MOST
        self._number += 1
        part = Part(attempt, self._node, self._number, tuple(self._files.values()) if full else tuple(files))
        self._target.put(part.key, part.text())
        if full:
            self._lingering.let_go(self._keys)
            self._keys = []
        self._keys.append(part.key)
