"""The boundary around the steps: a defect of ours ends in words, a record and a code, never in a traceback.

The defects are put in by replacing a step's function: there is nothing real that could be relied on to be broken.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bootstrap import lifecycle
from bootstrap.steps import conclude, connect, deliver, fetch, unlock


def boot(tmp_path: Path, *command: str) -> tuple[int, dict[str, Any]]:
    options = {"log_file": str(tmp_path / "job.log"), "job_dir": str(tmp_path), "log": str(tmp_path / "logs")}
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    code = lifecycle.run(options, command or ("echo", "trained"), environ)
    return code, json.loads((tmp_path / "job.run" / "run.json").read_text())


def broken(run: object) -> None:
    raise ZeroDivisionError("of ours")


@pytest.mark.parametrize("step", [unlock, connect, fetch], ids=lambda step: step.__name__.rpartition(".")[2])
def test_a_defect_before_the_command_is_exit_100_and_the_log_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], step: Any
) -> None:
    monkeypatch.setattr(step, "step", broken)
    code, record = boot(tmp_path)
    said = capfd.readouterr()
    assert (code, record["bootstrap"]["id"], record["user"]) == (100, "internal", None)
    assert "ZeroDivisionError" in record["bootstrap"]["traceback"]
    assert "the bootstrap has a defect" in said.err and "Traceback" not in said.err
    assert "trained" not in said.out
    assert "ZeroDivisionError: of ours" in (tmp_path / "logs" / "job.log").read_text()


def test_a_defect_in_the_delivery_fails_a_success_and_leaves_a_failure_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "step", broken)
    code, record = boot(tmp_path)
    assert (code, record["user"]["status"], record["bootstrap"]["id"]) == (100, 0, "internal")
    code, record = boot(tmp_path, "sh", "-c", "exit 7")
    assert (code, record["user"]["status"], record["bootstrap"]["id"]) == (7, 7, "internal")


def test_a_defect_in_the_conclusion_keeps_the_commands_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(conclude, "step", broken)
    code, _ = boot(tmp_path, "sh", "-c", "exit 7")
    assert code == 7
    assert "Traceback" not in capfd.readouterr().err


def test_steps_are_recorded_in_their_order(tmp_path: Path) -> None:
    code, record = boot(tmp_path)
    assert code == 0
    names = ["identify", "unlock", "connect", "fetch", "launch", "deliver", "conclude"]
    assert [(step["name"], step["result"]) for step in record["steps"]] == [(name, "ok") for name in names]
