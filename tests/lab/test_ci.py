"""A skipped lab fails in CI and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.sharing import ROOT

SUITE = """
import pytest

@pytest.fixture
def podman():
    pytest.skip("lab: podman is missing")

def test_in_a_container(podman): pass

@pytest.mark.skipif(True, reason="not on this platform")
def test_elsewhere(): pass
"""


@pytest.mark.parametrize(("ci", "status", "outcome"), [("true", 1, "1 skipped, 1 error"), ("", 0, "2 skipped")])
def test_a_skipped_lab_is_a_failure_in_ci_only(tmp_path: Path, ci: str, status: int, outcome: str) -> None:
    suite = tmp_path / "test_suite.py"
    suite.write_text(SUITE)
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.lab.ci",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(suite),
    ]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "CI": ci}
    run = subprocess.run(argv, env=environ, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == status
    assert outcome in run.stdout
