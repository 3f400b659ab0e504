"""`bootstrap COMMAND` as a real process, in an environment that holds what the test says and nothing else."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

BOOTSTRAP = str(Path(sysconfig.get_path("scripts"), "bootstrap"))
Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def bootstrap(tmp_path: Path) -> Run:
    """``bootstrap("ip", "--all", NAME="value")`` runs it in ``tmp_path``."""

    def run(*argv: str, env: Mapping[str, str] | None = None, **more: str) -> subprocess.CompletedProcess[bytes]:
        environ = {"PATH": os.defpath, "HOME": str(tmp_path), **(env or {}), **more}
        return subprocess.run([BOOTSTRAP, *argv], env=environ, cwd=tmp_path, capture_output=True, timeout=120)

    return run
