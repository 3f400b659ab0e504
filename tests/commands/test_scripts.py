"""`bootstrap scripts DIR`: the old names as an image wants them, with their owner, modes and run bits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap.old_names import NAMES

BOOTSTRAP = str(Path(sys.executable).with_name("bootstrap"))


def scripts(*words: str | Path, umask: int = 0o022) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BOOTSTRAP, "scripts", *words], text=True, capture_output=True, umask=umask)


@pytest.mark.parametrize("umask", [0o022, 0o077], ids=oct)
def test_everybody_can_run_them_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    done = scripts(tmp_path, umask=umask)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / name) for name in NAMES]
    assert {path.stat().st_mode & 0o7777 for path in tmp_path.iterdir()} == {0o755}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_they_belong_to_the_directorys_owner(tmp_path: Path) -> None:
    os.chown(tmp_path, 1101, 1102)
    assert scripts(tmp_path).returncode == 0
    assert {(path.stat().st_uid, path.stat().st_gid) for path in tmp_path.iterdir()} == {(1101, 1102)}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_they_belong_to_whom_was_named_and_so_does_a_directory_that_was_made(tmp_path: Path) -> None:
    home = tmp_path / "home/work"
    assert scripts("--owner", "1101:1103", home).returncode == 0
    found = [home, *home.iterdir()]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in found} == {(1101, 1103)}


def test_an_older_release_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "run_train.sh").write_text("old")
    (tmp_path / "mine.sh").write_text("mine")
    assert scripts(tmp_path).returncode == 0
    assert "bootstrap" in (tmp_path / "run_train.sh").read_text()
    assert (tmp_path / "mine.sh").read_text() == "mine"


def test_the_names_are_listed(tmp_path: Path) -> None:
    done = scripts("--list")
    assert (done.returncode, done.stdout.split()) == (0, list(NAMES))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 101, "needs a directory"),
        (["--owner", "work", "x"], 101, "--owner cannot be 'work'"),
        (["/dev/null"], 115, "/dev/null"),
        (["/proc/here"], 115, "/proc/here"),
    ],
    ids=["no directory", "an owner by name", "no directory but a device", "nobody can write there"],
)
def test_what_cannot_be_is_one_message(words: list[str], code: int, said: str) -> None:
    done = scripts(*words)
    assert done.returncode == code
    (line,) = done.stderr.splitlines()
    assert said in line
