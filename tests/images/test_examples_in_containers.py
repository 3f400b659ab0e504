"""The examples that need an engine, each by its one command: `docker` is podman here, bases are stand-ins.

The clone is this one, whose environment is there already; only the build of the runtime is given wheels.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.images import recipe
from tests.images.conftest import Workshop
from tests.images.test_documentation import CONDA
from tests.lab.containers import Engine
from tests.lab.engines import python_with
from tests.lab.sharing import ROOT

pytestmark = [pytest.mark.container, pytest.mark.timeout(3600)]
Run = Callable[..., str]


@pytest.fixture
def run(containers: Engine, workshop: Workshop, runtime: str, tmp_path: Path) -> Iterator[Run]:
    """``run("own-image", ...)``: what an example says; it has to succeed."""
    docker = tmp_path / "docker"
    docker.write_text(recipe.docker(containers, workshop.context("examples")))
    docker.chmod(0o755)

    def started(name: str, *words: str, **environ: str) -> str:
        done = subprocess.run(
            [ROOT / "examples" / name / "run", *words],
            env={**os.environ, "DOCKER": str(docker), **environ},
            text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=1800,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    with containers.names_of_documentation():
        yield started


def test_an_image_of_ones_own_by_dockerfile_and_by_commit(run: Run) -> None:
    said = run("own-image", LAB_NETWORK="host")  # packages come from Debian's mirror
    assert said.count("trained as 1101 1101\n") == 2
    assert "installed\ntrained" in said


def test_pytorch_is_verified_in_the_image_of_the_guide(run: Run, workshop: Workshop, tmp_path: Path) -> None:
    """The conda tree's packages are those of the lab's engines, mounted: torch is real."""
    python = python_with("torch")
    find = "import sys, sysconfig; print(sys.version_info[1], sysconfig.get_path('purelib'))"
    minor, packages = subprocess.run([python, "-c", find], text=True, capture_output=True, check=True).stdout.split()
    assert minor == "11", "the lab's engines are for the Python of Debian 12"
    workshop.engine.tag(workshop.engine.base(include=["python3"]), "docker.io/nvidia/cuda:11.8.0-runtime-ubuntu22.04")
    (tmp_path / "Miniconda.sh").write_text(CONDA)
    torch = f"--volume={packages}:/packages:ro --env=PYTHONPATH=/packages"
    said = run("v2-verify", MINICONDA=str(tmp_path / "Miniconda.sh"), LAB_OPTIONS=torch)
    assert "torch 2." in said and "devices 0" in said and "tensor(" in said
