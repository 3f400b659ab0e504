"""The first of our lines: our imports find what is ours, and what Python is told is told to the command's alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap.ground import ourselves
from tests.e2e.job import BOOTSTRAP, SCRIPTS, Container

PYTHON = [sys.executable, "-m", "bootstrap", "run"]
OLD_SCRIPT = [str(SCRIPTS / "run_bootstrap.sh"), "run"]
EVERY_WAY = pytest.mark.parametrize("way", [[BOOTSTRAP, "run"], PYTHON, OLD_SCRIPT], ids=["installed", "-m", "script"])


@pytest.fixture
def shadows(container: Container) -> Path:
    """A directory with a package of our name, and modules called as the standard library's and those that we need."""
    directory = container.home / "shadows"
    (directory / "bootstrap").mkdir(parents=True)
    (directory / "bootstrap/__init__.py").write_text("WHOSE = 'theirs'\n")
    names = (
        "json",
        "argparse",
        "signal",
        "threading",
        "dataclasses",
        "select",
        "psutil",
        "structlog",
        "boto3",
        "fcntl",
    )
    for name in names:
        (directory / f"{name}.py").write_text(f"raise SystemExit('the wrong {name}')\n")
    return directory


@EVERY_WAY
def test_modules_on_pythonpath_are_the_commands(container: Container, shadows: Path, way: list[str]) -> None:
    environ = {"PYTHONPATH": str(shadows), "PATH": f"{Path(sys.executable).parent}:{container.environ['PATH']}"}
    if way is PYTHON:
        (shadows / "bootstrap/__init__.py").unlink()
        (shadows / "bootstrap").rmdir()  # else it is theirs that is asked for
        environ["PYTHONPATH"] = f"{shadows}:{SCRIPTS.parent}"
    command = ["--", sys.executable, "-c", "import os; print(os.environ['PYTHONPATH'])"]
    result = container.run(argv=[*way, *command], environ=environ)
    assert result.code == 0, result.stderr
    assert result.stdout.decode().strip() == f"{container.work}:{environ['PYTHONPATH']}", (
        "as it was, behind the job dir"
    )


def test_the_commands_bootstrap_is_its_own(container: Container, shadows: Path) -> None:
    for name in shadows.glob("*.py"):
        name.unlink()
    command = ("--", "python3", "-c", "import bootstrap; print(bootstrap.WHOSE)")
    assert container.run(*command, environ={"PYTHONPATH": str(shadows)}).stdout == b"theirs\n"


def test_modules_in_the_working_directory_are_not_ours(container: Container, shadows: Path) -> None:
    for argv in ([BOOTSTRAP, "--version"], [BOOTSTRAP, "run", "--", "true"]):
        environ = {**container.environ, "PYTHONPATH": ":."}
        done = subprocess.run(argv, cwd=shadows, env=environ, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "name",
    [
        *("PYTHONINSPECT", "PYTHONVERBOSE", "PYTHONPROFILEIMPORTTIME", "PYTHONDEVMODE", "PYTHONOPTIMIZE"),
        *("PYTHONASYNCIODEBUG", "PYTHONTRACEMALLOC", "PYTHONWARNINGS", "PYTHONDONTWRITEBYTECODE", "PYTHONSTARTUP"),
        *("PYTHONUNBUFFERED", "PYTHONPYCACHEPREFIX"),
    ],
)
def test_what_python_is_told_is_told_to_the_command(container: Container, name: str) -> None:
    value = {"PYTHONWARNINGS": "error", "PYTHONPYCACHEPREFIX": "/nowhere"}.get(name, "1")
    result = container.run("--", "sh", "-c", f"printenv {name}; exit 3", environ={name: value})
    assert result.code == 3, "the command's, whatever an interpreter makes of it that inspects"
    assert result.stdout.decode() == f"{value}\n"
    assert "Traceback" not in result.stderr and ">>>" not in result.stderr


def test_no_python_home_reaches_the_scripts(container: Container) -> None:
    environ = {"PYTHONHOME": "/nowhere", "PATH": f"{Path(sys.executable).parent}:{container.environ['PATH']}"}
    environ["BOOTSTRAP_BIN"] = ""
    script = SCRIPTS / "run_bootstrap.sh"
    only_python = container.home / "only"  # no installed command in front of it, which has a python of its own
    only_python.mkdir()
    (only_python / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (only_python / "python3").chmod(0o755)
    environ["PATH"] = f"{only_python}:/usr/bin:/bin"
    result = container.run(argv=["bash", str(script), "run", "--", "printenv", "PYTHONHOME"], environ=environ)
    assert (result.code, result.stdout) == (0, b"/nowhere\n"), result.stderr


def test_programs_of_ours_that_run_in_place_of_the_command_are_not_the_commands(
    container: Container, shadows: Path
) -> None:
    environ = {**container.environ, "PYTHONHOME": "/nowhere", "PYTHONPATH": str(shadows), "PYTHONINSPECT": "1"}
    words = [*ourselves.program("bootstrap.launchers.per_device"), "--help"]
    done = subprocess.run(words, cwd=shadows, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "One process for each accelerator" in done.stdout, done.stderr
    words = [
        *ourselves.program(),
        "simulate",
        "--platform",
        "volcano",
        "--nodes",
        "1",
        "--",
        "printenv",
        "PYTHONHOME",
        "PYTHONINSPECT",
    ]
    done = subprocess.run(words, cwd=shadows, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "/nowhere" in done.stdout
