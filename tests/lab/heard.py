"""A log that remembers what was said in it."""

from __future__ import annotations


class Heard:
    """``lines`` has each event with its facts."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def _hear(self, event: str, **facts: object) -> None:
        self.lines.append((event, facts))

    debug = info = warning = error = _hear
