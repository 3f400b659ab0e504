"""The wheel and the sdist are complete: built, checked, installed into an empty environment, and used there."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from bootstrap.old_names import NAMES
from tests.lab.sharing import ROOT

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What scripts/package makes, which has checked both already."""
    directory = tmp_path_factory.mktemp("dist")
    made = subprocess.run([ROOT / "scripts/package", directory], text=True, capture_output=True)
    assert made.returncode == 0, made.stdout + made.stderr
    assert made.stderr.count("PASSED") == 2
    return directory


@pytest.fixture(scope="module")
def wheel(distributions: Path) -> Path:
    (found,) = distributions.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of programs of an empty environment into which the wheel was installed."""
    directory = tmp_path_factory.mktemp("empty")
    venv.create(directory, with_pip=True)
    words = [directory / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", wheel]
    done = subprocess.run(words, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return directory / "bin"


def test_the_wheel_has_the_old_names_and_all_modules(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"bootstrap/scripts/{name}" for name in NAMES} <= names
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "bootstrap").rglob("*.py")}
    assert modules <= names
    assert "bootstrap/py.typed" in names


def test_the_sdist_has_what_the_tests_need(distributions: Path) -> None:
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, text=True, capture_output=True)
    if tracked.returncode:
        pytest.skip("lab: not a clone: nothing says what belongs to the repository")
    assert [name for name in tracked.stdout.split() if name not in held] == []


def test_the_command_is_an_entry_point(distributions: Path) -> None:
    """A script of ours would not start where the path of its Python has a blank in it, or is long: pip's lines do."""
    (wheel,) = distributions.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/entry_points.txt"))
        assert b"bootstrap = modelarts_bootstrap_start:main" in archive.read(name)


def test_the_old_names_run_the_installed_command_without_python_home(installed: Path, tmp_path: Path) -> None:
    subprocess.run([installed / "bootstrap", "scripts", tmp_path], check=True, capture_output=True)
    environ = {"PATH": f"{installed}:/usr/bin:/bin", "PYTHONHOME": "/nowhere", "TMPDIR": str(tmp_path)}
    for named in ({}, {"BOOTSTRAP_BIN": str(installed / "bootstrap")}):
        words = ["sh", tmp_path / "run_train.sh", "printenv", "PYTHONHOME"]
        done = subprocess.run(words, env={**environ, **named}, text=True, capture_output=True)
        assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["/nowhere"]), done.stderr


def test_the_installed_command_runs_a_job(installed: Path, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "train.sh").write_text('mkdir -p "$BOOTSTRAP_OUTPUT_DIR"; echo model > "$BOOTSTRAP_OUTPUT_DIR/model.bin"\n')
    words = [installed / "bootstrap", "run", "--job-dir", tmp_path / "job", "--code", f"{code}/"]
    words += ["--output", f"out={tmp_path}/results/", "--log-file", tmp_path / "log", "--", "sh", "code/train.sh"]
    done = subprocess.run(words, cwd=tmp_path, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/model.bin").read_text() == "model\n"


def test_the_installed_command_puts_the_old_names_where_an_image_wants_them(installed: Path, tmp_path: Path) -> None:
    home = tmp_path / "home/work"
    done = subprocess.run([installed / "bootstrap", "scripts", home], text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in home.iterdir()) == sorted(NAMES)
    environ = {"PATH": f"{installed}:{os.environ['PATH']}", "HOME": str(home)}
    words = ["bash", home / "run_train.sh", "sh", "-c", "echo from the old boot command"]
    ran = subprocess.run(words, env=environ, cwd=tmp_path, text=True, capture_output=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert "from the old boot command\n" in ran.stdout


def test_the_metadata_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("METADATA")]
        text = archive.read(name).decode()
    for wanted in (
        "License-Expression: Apache-2.0",
        "License-File: LICENSE",
        "Keywords: ",
        "Classifier: Development Status ::",
    ):
        assert f"\n{wanted}" in text
    assert f"\nRequires-Python: >=3.{'10'}\n" in text


def test_nobody_is_sent_to_an_index_for_us() -> None:
    """The package is not on an index: whoever took the name there would be run in people's jobs."""
    said = []
    for path in [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "bootstrap").rglob("*.py"),
        *(ROOT / "scripts").iterdir(),
    ]:
        if path.is_file():
            said += [
                f"{path}: {line}"
                for line in path.read_text().splitlines()
                if "install" in line and "install modelarts-bootstrap" in line.replace("'", "").replace('"', "")
            ]
    assert said == []


def test_this_interpreter_is_not_what_was_used(installed: Path) -> None:
    shown = subprocess.run(
        [installed / "python", "-c", "import bootstrap; print(bootstrap.__file__)"],
        cwd="/",
        text=True,
        capture_output=True,
    )
    assert str(installed.parent) in shown.stdout
    assert not shown.stdout.startswith(str(ROOT)) and sys.prefix not in shown.stdout
