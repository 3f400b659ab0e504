"""An interruption of a rehearsal, at the moments at which an exception would have been lost."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

from bootstrap.rehearsal import play

NODE = "trap 'echo asked; exit 7' TERM; echo ready; while :; do sleep 0.05; done"


class Interrupting(list[play.NodePart]):
    """Parts at which somebody presses Ctrl-C while they are looked through, wherever that is."""

    ready = False

    def __iter__(self) -> Iterator[play.NodePart]:
        if self.ready:
            self.ready = False
            signal.raise_signal(signal.SIGINT)
        return super().__iter__()


def test_nodes_are_asked_and_not_killed_whenever_the_interruption_comes(tmp_path: Path) -> None:
    said: list[str] = []
    before = signal.getsignal(signal.SIGINT)
    parts = Interrupting([play.NodePart("here", ["sh", "-c", NODE], {"PATH": "/usr/bin:/bin"}, tmp_path)])

    def say(line: str) -> None:
        said.append(line)
        parts.ready = parts.ready or "ready" in line

    play.play(parts, [], say)
    assert "[node 0] asked" in said, said
    assert parts[0].code == 7
    assert signal.getsignal(signal.SIGINT) is before
