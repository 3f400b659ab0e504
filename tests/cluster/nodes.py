"""Machines, and one `bootstrap run` on each: what a job of two nodes or more is on a real platform."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.platforms import PLATFORMS, names
from tests.conftest import lab_or_skip
from tests.lab.netns import Host, running_hosts
from tests.lab.processes import end
from tests.lab.waiting import until

BOOTSTRAP = str(Path(sys.executable).with_name("bootstrap"))
LIMIT = 150.0  # seconds for anything that should take ten
SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Node:
    """One of them. ``home`` is its own directory; ``record`` its run.json."""

    host: Host
    home: Path
    environ: dict[str, str]
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self, *words: str, front: tuple[str, ...] = (), **more: str) -> None:
        with (self.home / "said").open("wb") as said:
            self.process = subprocess.Popen(
                self.host.argv(*front, BOOTSTRAP, "run", *words),
                cwd=self.home,
                env={**self.environ, **more},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )

    def end(self) -> int:
        assert self.process is not None
        return self.process.wait(LIMIT)

    @property
    def said(self) -> str:
        return (self.home / "said").read_text(errors="replace")

    @property
    def record(self) -> dict[str, Any]:
        return json.loads((self.home / "job.run/run.json").read_text())  # type: ignore[no-any-return]

    def wait_for(self, name: str, text: str = "") -> None:
        """Until the file ``name`` in this node's directory is there and holds ``text``."""
        path = self.home / name
        until(
            lambda: path.exists() and text in path.read_text(errors="replace"),
            lambda: f"{text or name} never came; the node said: {self.said}",
            limit=LIMIT,
        )


@contextmanager
def several_nodes(
    count: int, platform: str, tmp_path: Path, python: str = sys.executable, **environ: str
) -> Iterator[list[Node]]:
    """All, called as ``platform`` would call them, ``python`` first on their PATH. What still runs is killed."""
    with lab_or_skip(), running_hosts(count, tmp_path / "lab", names(platform, count)) as hosts:
        nodes = []
        for number, host in enumerate(hosts):
            home = tmp_path / f"node-{number}"
            home.mkdir()
            own = {
                "PATH": f"{Path(python).parent}:{SYSTEM}",
                "HOME": str(home),
                "BOOTSTRAP_JOB_DIR": str(home),
                "BOOTSTRAP_LOG_FILE": str(home / "job.log"),
                "BOOTSTRAP_PEER_TIMEOUT": "90",
                "OMP_NUM_THREADS": "1",
            }
            nodes.append(Node(host, home, {**own, **PLATFORMS[platform](number, count), **environ}))
        try:
            yield nodes
        finally:
            for node in nodes:
                if node.process is not None:
                    end(node.process)


def two_nodes(
    platform: str, tmp_path: Path, python: str = sys.executable, **environ: str
) -> AbstractContextManager[list[Node]]:
    return several_nodes(2, platform, tmp_path, python, **environ)


def run(nodes: list[Node], *words: str, **more: str) -> list[int]:
    """The same on all, to the end; their exit codes."""
    for node in nodes:
        node.start(*words, **more)
    return [node.end() for node in nodes]


def story(nodes: list[Node]) -> str:
    """What all said, for the message of an assertion."""
    return "\n".join(f"--- node {number}\n{node.said}" for number, node in enumerate(nodes))
