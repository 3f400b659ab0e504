"""What the tests of live logs share: jobs in stand-ins for containers, and what a store holds of their logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import lab_or_skip as lab_or_skip
from tests.e2e.conftest import Remote as Remote
from tests.e2e.conftest import container as container
from tests.e2e.conftest import plain_remote as plain_remote
from tests.e2e.conftest import remote as remote
from tests.e2e.job import Container
from tests.lab.stores import Bucket

INTERVAL = 0.2

# Writes numbered lines until it is told to end, so that every prefix of its output can be recognised.
TALK = """\
import os, sys, time
number, pause = 0, float(sys.argv[1])
while not os.path.exists("enough"):
    sys.stdout.write("line %09d %s\\n" % (number, "." * int(sys.argv[2])))
    number += 1
    if pause:
        time.sleep(pause)
print("the end")
"""


def live_log(bucket: Bucket, prefix: str = "logs/") -> bytes:
    """What the parts hold, put together by their names alone, as somebody without the bootstrap would."""
    whole = b""
    keys = [key for key in bucket.list(prefix) if ".parts/" in key and key[-1].isdigit()]
    for key in sorted(keys):
        start, end = (int(number) for number in key.rpartition("/")[2].split("-"))
        if end > len(whole):
            assert start <= len(whole), f"a gap before {key}"
            whole += bucket.get(key)[len(whole) - start :]
    return whole


def live_size(bucket: Bucket, prefix: str = "logs/") -> int:
    """How much of the log the parts hold, by their names."""
    keys = [key for key in bucket.list(prefix) if ".parts/" in key and key[-1].isdigit()]
    return max((int(key.rpartition("-")[2]) for key in keys), default=0)


def heartbeat(bucket: Bucket, prefix: str = "logs/") -> dict[str, Any]:
    (key,) = (key for key in bucket.list(prefix) if key.endswith("heartbeat.json"))
    return json.loads(bucket.get(key))  # type: ignore[no-any-return]


@pytest.fixture
def talker(container: Container) -> Container:
    """A container whose ``talk.py PAUSE DOTS`` writes numbered lines until there is a file ``enough``."""
    (container.work / "talk.py").write_text(TALK)
    container.environ["BOOTSTRAP_LOG_INTERVAL"] = str(INTERVAL)
    return container


def enough(container: Container) -> None:
    (container.work / "enough").touch()


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def rss(pid: int, field: str = "VmRSS") -> float:
    """Megabytes."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024
