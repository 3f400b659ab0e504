"""Environments of Python activated without a login shell: real virtual environments, conda's layout, real hooks.

conda itself cannot be had with pip. One environment here is made, and activated for comparison, by rattler, the conda
project's tooling that pixi is built on; the others are laid out by hand.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bootstrap.errors import CannotStart, UsageError
from bootstrap.launchers.python import environments
from bootstrap.launchers.python.environments import apply, conda, venv
from tests.lab.engines import python_with

PATH = "/usr/local/bin:/usr/bin:/bin"


def test_a_virtual_environments_python_is_the_one_that_is_found(tmp_path: Path) -> None:
    made = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(made)], check=True)
    environ = apply(venv(str(made), {}), {"PATH": PATH, "PYTHONHOME": "/nowhere", "KEEP": "1"})
    assert "PYTHONHOME" not in environ
    assert environ["KEEP"] == "1"
    python = shutil.which("python", path=environ["PATH"])
    told = subprocess.run(
        [python or "", "-c", "import sys; print(sys.prefix)"], env=environ, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == environ["VIRTUAL_ENV"] == str(made)


def test_a_directory_that_is_no_virtual_environment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="bin/python is absent"):
        venv(str(tmp_path), {})


CONDAS_OWN = {"CONDA_EXE": "conda", "CONDA_PYTHON_EXE": "python"}
"""Where the conda is that an environment belongs to; one outside of any conda belongs to none."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with miniconda3 and two environments, laid out as conda does."""
    root = tmp_path / "miniconda3"
    for prefix in (root, root / "envs/train", tmp_path / ".conda/envs/mine"):
        (prefix / "conda-meta").mkdir(parents=True)
        (prefix / "bin").mkdir()
    return tmp_path


def environ_of(home: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(home), "PATH": PATH, **more}


def test_a_conda_environment_is_found_by_name_and_activated_as_conda_does(home: Path) -> None:
    prefix = home / "miniconda3/envs/train"
    environ = apply(conda("train", environ_of(home)), environ_of(home, PYTHONHOME="/x", VIRTUAL_ENV="/y"))
    assert environ["PATH"] == f"{prefix}/bin:{PATH}"
    assert environ["CONDA_PREFIX"] == str(prefix)
    assert (environ["CONDA_DEFAULT_ENV"], environ["CONDA_SHLVL"]) == ("train", "1")
    assert environ["CONDA_EXE"] == str(home / "miniconda3/bin/conda")
    assert not environ.keys() & {"PYTHONHOME", "VIRTUAL_ENV"}


@pytest.mark.parametrize(
    ("asked", "where", "named"),
    [
        ("base", "miniconda3", "base"),
        ("mine", ".conda/envs/mine", "mine"),
        ("{home}/miniconda3/envs/train", "miniconda3/envs/train", "train"),
    ],
)
def test_the_base_a_persons_own_and_a_prefix_are_found(home: Path, asked: str, where: str, named: str) -> None:
    found = conda(asked.format(home=home), environ_of(home))
    assert found.prefix == home / where
    assert found.variables["CONDA_DEFAULT_ENV"] == named
    whose = {name: str(home / "miniconda3/bin" / program) for name, program in CONDAS_OWN.items()}
    assert {name: found.variables.get(name) for name in whose} == (whose if asked != "mine" else dict.fromkeys(whose))


@pytest.mark.parametrize(
    "place",
    [
        "home/miniconda3",
        "home/user/miniconda",
        "home/somebody/anaconda",
        "opt/conda",
        "usr/local/miniforge3",
        "miniconda",
    ],
)
def test_the_trees_that_guides_and_images_make_are_found(place: str, tmp_path: Path) -> None:
    for prefix in (tmp_path / place, tmp_path / place / "envs/train"):
        (prefix / "conda-meta").mkdir(parents=True)
    environ = environ_of(tmp_path / "nobody")
    assert conda("train", environ, root=tmp_path).prefix == tmp_path / place / "envs/train"
    assert conda("base", environ, root=tmp_path).prefix == tmp_path / place


@pytest.mark.parametrize("directory", ["bin", "condabin", "envs/other/bin"])
def test_conda_on_path_is_found_wherever_it_is(directory: str, tmp_path: Path) -> None:
    for prefix in (tmp_path / "odd", tmp_path / "odd/envs/train"):
        (prefix / "conda-meta").mkdir(parents=True)
    environ = {"HOME": str(tmp_path / "nobody"), "PATH": f"{tmp_path}/odd/{directory}:{PATH}"}
    assert conda("train", environ, root=tmp_path).prefix == tmp_path / "odd/envs/train"


def test_conda_elsewhere_is_found_through_its_own_variables(home: Path, tmp_path: Path) -> None:
    (home / "miniconda3").rename(tmp_path / "tools")
    environ = environ_of(home, CONDA_EXE=str(tmp_path / "tools/bin/conda"))
    assert conda("train", environ).prefix == tmp_path / "tools/envs/train"
    (tmp_path / "shared/extra/conda-meta").mkdir(parents=True)
    environ["CONDA_ENVS_PATH"] = str(tmp_path / "shared")
    assert conda("extra", environ).prefix == tmp_path / "shared/extra"


def test_an_environment_is_activated_as_condas_own_tooling_activates_it(tmp_path: Path) -> None:
    """A package with variables, hooks and a program, in a root that has no base, as micromamba makes it."""
    python = python_with("rattler")
    prefix = tmp_path / "micromamba/envs/train"
    environ = environ_of(tmp_path, LAB_GONE="1")
    maker = Path(__file__).with_name("conda_prefix.py")
    made = subprocess.run([python, str(maker), str(prefix)], env=environ, capture_output=True, text=True, check=True)
    theirs = subprocess.run(
        ["bash", "-c", f"{made.stdout}\nexec env -0"], env=environ, capture_output=True, text=True, check=True
    )
    expected = dict(entry.split("=", 1) for entry in theirs.stdout.split("\0") if entry)
    ours = apply(conda("train", environ), environ)

    def seen(after: dict[str, str]) -> dict[str, str]:
        return {name: after[name] for name in after if name.startswith(("LAB_", "CONDA_PREFIX", "CONDA_SHLVL"))}

    assert seen(ours) == seen(expected)
    assert ours["LAB_SEEN"] == f"{prefix}|of the person|second"
    tool = shutil.which("lab-tool", path=ours["PATH"])
    assert tool == shutil.which("lab-tool", path=expected["PATH"]) == str(prefix / "bin/lab-tool")
    with pytest.raises(UsageError, match="no conda environment 'base'"):
        conda("base", environ)


def test_an_environment_that_is_not_there_is_refused_with_the_ones_that_are(home: Path) -> None:
    with pytest.raises(UsageError) as caught:
        conda("trian", environ_of(home))
    assert caught.value.why.startswith("there are: base, mine, train")


def test_an_environments_own_variables_are_set(home: Path) -> None:
    prefix = home / "miniconda3/envs/train"
    (prefix / "etc/conda/env_vars.d").mkdir(parents=True)
    (prefix / "etc/conda/env_vars.d/pkg.json").write_text('{"A": "package", "B": "package"}')
    (prefix / "etc/conda/env_vars.d/bad.json").write_text("{")
    (prefix / "conda-meta/state").write_text(json.dumps({"env_vars": {"A": "user", "C": "***unset***"}}))
    variables = conda("train", environ_of(home)).variables
    assert (variables["A"], variables["B"]) == ("user", "package")
    assert "C" not in variables


def hook(home: Path, name: str, text: str) -> None:
    directory = home / "miniconda3/envs/train/etc/conda/activate.d"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text(text)


def test_activation_hooks_run_in_order_with_the_environment_already_in_place(home: Path) -> None:
    hook(home, "10-first.sh", 'export SEEN="$CONDA_PREFIX"\necho noise\nexport LINES_IN="a\nb"\n')
    hook(home, "20-second.sh", 'export SEEN="$SEEN!"\nunset GONE\n')
    hook(home, "30-other.fish", "set -x FISH 1\n")
    before = environ_of(home, GONE="1", KEEP="1")
    after = apply(conda("train", before), before)
    assert after["SEEN"] == f"{home}/miniconda3/envs/train!"
    assert after["LINES_IN"] == "a\nb"
    assert after["KEEP"] == "1"
    assert not after.keys() & {"GONE", "FISH", "_", "SHLVL", "PWD", "BOOTSTRAP_HOOKS_FD"}


@pytest.mark.parametrize(("has_bash", "length"), [(True, "2"), (False, "")])
def test_hooks_are_run_by_bash_where_there_is_one(has_bash: bool, length: str, home: Path, tmp_path: Path) -> None:
    hook(home, "10.sh", 'export SEEN=1\n[ -z "$BASH" ] || eval "LIST=(a b); export LENGTH=\\${#LIST[@]}"\n')
    (tmp_path / "tools").mkdir()
    for tool in ("env", *(["bash"] if has_bash else [])):
        (tmp_path / "tools" / tool).symlink_to(shutil.which(tool) or "")
    before = environ_of(home) | {"PATH": str(tmp_path / "tools")}
    after = apply(conda("train", before), before)
    assert (after["SEEN"], after.get("LENGTH", "")) == ("1", length)


def test_a_hook_that_does_not_end_is_given_up_when_asked_to_stop(home: Path) -> None:
    hook(home, "10-slow.sh", "while :; do :; done\n")
    stop = threading.Event()
    stop.set()
    with pytest.raises(CannotStart, match=r"did not end.*asked to stop"):
        apply(conda("train", environ_of(home)), environ_of(home), stop=stop)


def test_a_hook_that_hangs_is_given_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "_HOOK_SECONDS", 1.5)
    hook(home, "10-slow.sh", "sleep 600\n")
    with pytest.raises(CannotStart, match=r"did not end.*longer than 1.5 s"):
        apply(conda("train", environ_of(home)), environ_of(home))


def test_a_hook_that_fails_is_named(home: Path) -> None:
    hook(home, "10-bad.sh", "return 3\n")
    with pytest.raises(CannotStart, match="exit code 3") as caught:
        apply(conda("train", environ_of(home)), environ_of(home))
    assert "10-bad.sh" in caught.value.where


def test_no_descriptor_is_left_open(home: Path) -> None:
    hook(home, "10.sh", "export A=1\n")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        apply(conda("train", environ_of(home)), environ_of(home))
    assert len(os.listdir("/proc/self/fd")) == before
