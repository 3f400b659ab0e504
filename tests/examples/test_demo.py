"""The demo is the first thing that a newcomer runs: it shows the main job at work and leaves nothing behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.sharing import ROOT


def demo(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The demo with this interpreter; ``scripts/demo`` adds only the making of one."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", str(tmp_path)),
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }
    argv = [sys.executable, "examples/demo/demo.py", *options]
    return subprocess.run(argv, cwd=ROOT, env=environ, text=True, capture_output=True, timeout=240)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    directory = tmp_path_factory.mktemp("demo")
    return demo(directory, "--keep"), directory


def test_the_demo_learns_and_delivers(shown: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    ran, _ = shown
    assert ran.returncode == 0, ran.stdout + ran.stderr
    losses = [float(loss) for loss in re.findall(r"held-out loss (\d\.\d+)", ran.stdout)]
    assert losses[-1] < losses[0] < 5.0  # 5.0 is what the frequencies of letters alone are worth
    for step in ("identify", "unlock", "connect", "fetch", "launch", "deliver", "conclude"):
        assert f"bootstrap {step}" in ran.stderr
    assert "s3://demo/project/output/model.json.gz" in ran.stdout
    assert "the same, byte for byte" in ran.stdout
    assert "NOT the same" not in ran.stdout


def test_what_is_kept_is_where_the_demo_says(shown: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    ran, directory = shown
    (kept,) = directory.iterdir()
    assert f"{kept}/bucket" in ran.stdout
    assert (kept / "bucket/project/output/sample.txt").read_text().strip()
    assert (kept / "home/dls-task-0.log").read_text().count("held-out loss") == 8


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    assert demo(tmp_path).returncode == 0
    assert list(tmp_path.iterdir()) == []
