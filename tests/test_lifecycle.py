"""The boundary around the steps: a defect of ours ends in words, a record and a code, never in a traceback.

The defects are put in by replacing a step's function: there is nothing real that could be relied on to be broken.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
# In a process of its own: a bootstrap adopts orphans and hardens itself for good, and so should not pytest's process.
BOOT = """
import json, sys
from importlib import import_module
from bootstrap import lifecycle

def broken(run, *values):
    raise ZeroDivisionError("of ours")

step, options, command, environ = json.loads(sys.argv[1])
if step:
    import_module(f"bootstrap.steps.{step}").step = broken
sys.exit(lifecycle.run(options, tuple(command), environ))
"""


class Booted(NamedTuple):
    code: int
    record: dict[str, Any]
    out: str
    err: str


def boot(tmp_path: Path, *command: str, broken: str = "") -> Booted:
    options = {"log_file": str(tmp_path / "job.log"), "job_dir": str(tmp_path), "log": str(tmp_path / "logs")}
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    told = json.dumps([broken, options, command or ("echo", "trained"), environ])
    done = subprocess.run([sys.executable, "-c", BOOT, told], cwd=ROOT, capture_output=True, text=True, timeout=60)
    record = json.loads((tmp_path / "job.run" / "run.json").read_text())
    return Booted(done.returncode, record, done.stdout, done.stderr)


@pytest.mark.parametrize("step", ["unlock", "connect", "fetch"])
def test_a_defect_before_the_command_is_exit_100_and_the_log_says_so(tmp_path: Path, step: str) -> None:
    code, record, out, err = boot(tmp_path, broken=step)
    assert (code, record["bootstrap"]["id"], record["user"]) == (100, "internal", None)
    assert "ZeroDivisionError" in record["bootstrap"]["traceback"]
    assert "the bootstrap has a defect" in err and "Traceback" not in err
    assert "trained" not in out
    assert "ZeroDivisionError: of ours" in (tmp_path / "logs" / "job.log").read_text()


def test_a_defect_in_the_delivery_fails_a_success_and_leaves_a_failure_alone(tmp_path: Path) -> None:
    code, record, _, _ = boot(tmp_path, broken="deliver")
    assert (code, record["user"]["status"], record["bootstrap"]["id"]) == (100, 0, "internal")
    code, record, _, _ = boot(tmp_path, "sh", "-c", "exit 7", broken="deliver")
    assert (code, record["user"]["status"], record["bootstrap"]["id"]) == (7, 7, "internal")


def test_a_defect_in_the_conclusion_keeps_the_commands_code(tmp_path: Path) -> None:
    code, _, _, err = boot(tmp_path, "sh", "-c", "exit 7", broken="conclude")
    assert code == 7
    assert "Traceback" not in err


def test_steps_are_recorded_in_their_order(tmp_path: Path) -> None:
    code, record, _, _ = boot(tmp_path)
    assert code == 0
    names = ["identify", "unlock", "connect", "fetch", "launch", "deliver", "conclude"]
    assert [(step["name"], step["result"]) for step in record["steps"]] == [(name, "ok") for name in names]
