"""What hangs where pytest-timeout cannot help ends the worker, and says where."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.sharing import ROOT

CONFTEST = """
import time
import pytest
from tests.lab import hangs

hangs.SLACK = hangs.END = 1

@pytest.fixture(scope="session")
def server():
    yield
    try:
        time.sleep(60)
    finally:
        time.sleep(60)

def pytest_sessionfinish(session):
    if session.config.rootpath.name == "end" and hasattr(session.config, "workerinput"):
        time.sleep(60)
"""
SUITES = {
    "blocked": "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\n    time.sleep(60)",
    "teardown": "request.getfixturevalue('server')",
    "end": "pass",
}


@pytest.mark.parametrize("place", SUITES)
def test_a_worker_that_hangs_ends_and_says_where(tmp_path: Path, place: str) -> None:
    home = tmp_path / place
    home.mkdir()
    (home / "conftest.py").write_text(CONFTEST)
    (home / "test_suite.py").write_text(f"import signal, time\n\ndef test_it(request):\n    {SUITES[place]}\n")
    words = ["-p", "tests.lab.hangs", "-p", "no:cacheprovider", "-n", "1", "--timeout", "1", "--rootdir", str(home)]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *words, str(home)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert "Timeout (0:00:0" in run.stderr
    assert f'{home}/{"test_suite" if place == "blocked" else "conftest"}.py", line' in run.stderr
    assert ("crashed while running" in run.stdout or "worker 'gw0' crashed" in run.stdout) == (place != "end"), (
        run.stdout
    )
