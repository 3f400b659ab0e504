"""Runs to report on: one that really was, and one that was made up with all that a page can show."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bootstrap.report.model import LogEnd, NodeRun, OutputFile, OutputGroup, OutputUrl, RunReport
from tests.e2e.conftest import plain_remote as plain_remote
from tests.e2e.job import Container, Result

TRAIN = """
import os, sys, time
os.makedirs("out/checkpoint-5", exist_ok=True)
open("out/model.bin", "wb").write(b"weights")
open("out/checkpoint-5/trainer_state.json", "w").write("{}")
print("\\x1b[31mepoch 1\\x1b[0m", flush=True)
print("50%\\r100%", flush=True)
time.sleep(float(sys.argv[1]))
raise KeyError("labels<script>")
"""


class Page(HTMLParser):
    """The elements of a page, their attributes, the text that a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._hidden = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._hidden = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._hidden:
            self._hidden = ""

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path / "container")


@pytest.fixture
def failed(container: Container) -> Result:
    """A run of two seconds, with samples and outputs, that ended with an exception."""
    (container.work / "train.py").write_text(TRAIN)
    logs, models = container.tmp / "logs", container.tmp / "models"
    result = container.run(
        *("--sample-interval", "0.3", "--log", str(logs), "--output", f"out={models}"),
        *("--", "python", "train.py", "2"),
    )
    assert result.code == 1, result.stderr
    return result


def record(node: int = 0, nodes: int = 1, **other: Any) -> dict[str, Any]:
    """A run.json with every part that the page reads."""
    return {
        "schema": 1,
        "attempt": 2,
        "started": "2026-11-22T01:00:00.000+00:00",
        "ended": f"2026-11-22T02:00:0{node}.000+00:00",
        "seconds": 3600.0,
        "steps": [
            {"name": "fetch", "started": "2026-11-22T01:00:00.000+00:00", "ended": "2026-11-22T01:05:00.000+00:00"}
            | {"result": "ok", "seconds": 300.0},
            {"name": "launch", "started": "2026-11-22T01:05:00.000+00:00", "ended": "2026-11-22T01:59:00.000+00:00"}
            | {"result": "failed", "seconds": 3240.0},
        ],
        "user": {"exit_code": 1, "notes": ["a note"]},
        "bootstrap": None,
        "machine": {"host": f"host-{node}"},
        "platform": {"name": "volcano", "job_id": "job-7"},
        "node": {"rank": node, "size": nodes},
        "command": ["python", "train.py"],
        "log": "obs://bucket/logs/",
        "settings": {"grace": {"value": 30.0, "source": "default"}},
        "fetched": {"code": {"files": 3, "bytes": 3_000_000, "skipped": 1, "seconds": 2.0, "failed": []}},
        "delivered": [
            {"directory": "out", "url": "obs://bucket/models/", "files": 2, "bytes": 5000, "seconds": 1.0}
            | {"undelivered": [{"path": "big.bin", "why": "the time was up"}]}
        ],
        "diagnosis": {"id": "module-missing", "class": "environment", "retry": "no", "fault": "yours"}
        | {"confidence": "said", "text": "a Python module is missing", "remedy": "install it"}
        | {"evidence": [{"text": "ModuleNotFoundError: No module named 'x'", "rank": 1, "file": "a.py", "line": 3}]},
        "first_failure": {"node": 1, "at": "2026-11-22T01:58:00.000+00:00"},
        "exit_code": 1,
        "reason_id": "module-missing",
        "reason": "a Python module is missing",
        **other,
    }


def samples(count: int = 50, devices: int = 2) -> list[dict[str, Any]]:
    return [
        {
            "t": 1763773500.0 + 10 * number,
            "cpu_s": 20.0 * number,
            "processes": 3,
            "rss": 10**9,
            "memory": 2 * 10**9 + number * 10**7,
            "container_cpu_s": 25.0 * number,
            "shm": [1000, 10**9],
            "disks": {"/cache": [5 * 10**9, 10**10, 7]},
            "io": [1000 * number, 2000 * number],
            "net": {"eth0": [10**6 * number, 10**5 * number], "ib0": [10**9 * number, 10**9 * number]},
            "devices": [
                {"index": index, "use": 90 + index, "memory": 10**10, "temperature": 60, "power": 300, "errors": 0}
                for index in range(devices)
            ],
        }
        for number in range(count)
    ]


HEADING = {"samples": 1, "interval": 10, "interface": "ib0", "cores": 8.0, "memory_limit": 4 * 10**9}


def made_up(nodes: int = 1, **other: Any) -> RunReport:
    lines = (
        "step 1",
        "ModuleNotFoundError: No module named 'x'",
        "bootstrap: seen: ModuleNotFoundError: No module named 'x'",
    )
    return RunReport(
        "obs://bucket/logs/",
        tuple(
            NodeRun(node, record(node, nodes, **other), HEADING, samples(), LogEnd("job.log", 100, True, lines))
            for node in range(nodes)
        ),
        (
            OutputUrl(
                "obs://bucket/models/",
                (
                    OutputGroup(
                        "checkpoint-5", False, 2, (OutputFile("checkpoint-5/a.bin", 7, "ab" * 32, 0),), ("b.bin",)
                    ),
                ),
            ),
        ),
    )


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())  # type: ignore[no-any-return]
