"""run_bootstrap.sh finds the package wherever an image may have it, in a known order, or says that it is not there."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.scripts.conftest import Image, text


@pytest.fixture
def bare(image: Image, tmp_path: Path) -> Image:
    """An image whose PATH holds nothing but what the shell itself needs."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "sh").symlink_to(shutil.which("sh") or "sh")
    image.environ["PATH"] = f"{image.home / 'bin'}:{tools}"
    del image.environ["BOOTSTRAP_BIN"]
    return image


def find(image: Image, *argv: str) -> str:
    done = image.run("/bin/sh", "run_bootstrap.sh", *argv)
    assert done.returncode == 0, text(done)
    return done.stdout.decode().strip()


@pytest.mark.skipif(Path("/opt/bootstrap/bin/bootstrap").exists(), reason="this machine has one installed")
def test_the_one_on_path_is_used(bare: Image) -> None:
    bare.program("bootstrap", '#!/bin/sh\necho "on path: $1"\n')
    assert find(bare, "a b") == "on path: a b"


def test_the_variable_wins_over_all_others(bare: Image) -> None:
    bare.program("bootstrap", "#!/bin/sh\necho on path\n")
    bare.environ["BOOTSTRAP_BIN"] = str(bare.program("mine", "#!/bin/sh\necho mine\n"))
    assert find(bare) == "mine"


def test_a_variable_that_names_nothing_is_named(bare: Image) -> None:
    bare.environ["BOOTSTRAP_BIN"] = "/no/such/bootstrap"
    done = bare.run("/bin/sh", "run_bootstrap.sh")
    assert done.returncode == 127
    assert done.stderr == b"bootstrap: BOOTSTRAP_BIN=/no/such/bootstrap cannot be executed\n"


@pytest.mark.parametrize("name", ["python3", "python"])
def test_the_package_in_the_images_python_is_the_last_resort(bare: Image, name: str) -> None:
    bare.program(name, f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    assert find(bare, "--version").startswith("modelarts-bootstrap ")


def test_a_file_of_the_users_is_not_taken_for_the_package(bare: Image) -> None:
    bare.program("python3", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (bare.home / "bootstrap.py").write_text("raise SystemExit('the wrong one')")
    assert find(bare, "--version").startswith("modelarts-bootstrap ")


def test_an_interpreter_without_the_package_is_passed_over(bare: Image) -> None:
    bare.program("python3", "#!/bin/sh\nexit 1\n")
    bare.program("python", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    assert find(bare, "--version").startswith("modelarts-bootstrap ")


@pytest.mark.skipif(Path("/opt/bootstrap/bin/bootstrap").exists(), reason="this machine has one installed")
def test_an_image_without_it_gets_one_clear_message(bare: Image) -> None:
    done = bare.run("/bin/sh", "run_bootstrap.sh", "run", "--", "true")
    assert done.returncode == 127
    message = done.stderr.decode()
    assert message.count("\n") == 1
    assert "not installed in this image" in message
    assert "put the runtime or the wheel into the image" in message
