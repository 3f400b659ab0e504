"""The scripts that make their own environment say clearly what they miss."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.lab.sharing import ROOT

TOOLS = ("bash", "cat", "cksum", "dirname", "env", "getconf", "head", "grep")


@pytest.fixture
def bare_path(tmp_path: Path) -> str:
    """A PATH with a shell and its usual tools, but without any Python."""
    for tool in TOOLS:
        (tmp_path / tool).symlink_to(shutil.which(tool) or "")
    return str(tmp_path)


@pytest.mark.parametrize("script", ["scripts/test", "scripts/lint", "scripts/demo"])
def test_without_a_python_the_way_to_one_is_named(bare_path: str, script: str) -> None:
    environ = {"PATH": bare_path, "HOME": bare_path}
    ran = subprocess.run([ROOT / script], env=environ, text=True, capture_output=True)
    assert ran.returncode == 1
    assert "No Python >= 3.10 with the modules venv and ensurepip was found." in ran.stderr
    assert "PYTHON=/path/to/python" in ran.stderr


def test_a_python_that_was_chosen_and_cannot_be_used_is_named(bare_path: str) -> None:
    environ = {"PATH": bare_path, "HOME": bare_path, "PYTHON": "/bin/false"}
    ran = subprocess.run([ROOT / "scripts/test"], env=environ, text=True, capture_output=True)
    assert ran.returncode == 1
    assert "PYTHON=/bin/false is not a Python >= 3.10" in ran.stderr


PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "one"
version = "1"
optional-dependencies.none = []
"""
# The smallest build backend that there can be, so that pip has nothing to download.
BACKEND = """
import os, zipfile

def build_editable(directory, *_):
    name = "one-1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        wheel.writestr("one-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: one\\nVersion: 1\\n")
        wheel.writestr("one-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("one-1.dist-info/RECORD", "")
    return name
"""


def test_an_environment_is_made_once_and_again_when_the_project_changes(tmp_path: Path) -> None:
    project = tmp_path / "a project"
    project.mkdir()
    (project / "pyproject.toml").write_text(PYPROJECT)
    (project / "backend.py").write_text(BACKEND)
    make = f'. "{ROOT}/scripts/venv.sh" && make_venv "$(find_python)" .venv none'
    environ = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", str(tmp_path))}

    def made() -> bool:
        ran = subprocess.run(["bash", "-euc", make], cwd=project, env=environ, text=True, capture_output=True)
        assert ran.returncode == 0, ran.stderr
        return "making .venv" in ran.stderr

    assert made()
    assert (project / ".venv/bin/python").exists()
    assert not made()
    (project / "pyproject.toml").write_text(PYPROJECT + "# changed\n")
    assert made()
