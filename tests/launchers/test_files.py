"""The files of a plan, in a run dir where others may have been before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bootstrap.errors import PathUnusable
from bootstrap.launchers.around import write_files
from bootstrap.launchers.plan import EngineFile, Plan


def plan(path: Path, *, executable: bool = False) -> Plan:
    return Plan(("true",), (), files=(EngineFile(str(path), "node-0 slots=8\n", executable),))


@pytest.mark.parametrize("executable", [False, True])
@pytest.mark.parametrize("planted", ["nothing", "link", "second name", "pipe"])
def test_a_file_replaces_what_stands_there_and_follows_nothing(tmp_path: Path, planted: str, executable: bool) -> None:
    precious, path = tmp_path / "precious", tmp_path / "run" / "hostfile"
    precious.write_text("precious")
    path.parent.mkdir()
    if planted == "link":
        path.symlink_to(precious)
    elif planted == "second name":
        path.hardlink_to(precious)
    elif planted == "pipe":
        os.mkfifo(path)
    write_files(plan(path, executable=executable))
    assert precious.read_text() == "precious"
    assert path.read_text() == "node-0 slots=8\n"
    assert not path.is_symlink()
    assert os.access(path, os.X_OK) is executable
    assert sorted(os.listdir(path.parent)) == ["hostfile"]


def test_a_directory_in_its_place_is_said(tmp_path: Path) -> None:
    with pytest.raises(PathUnusable, match="a file for the launcher cannot be written"):
        write_files(plan(tmp_path))
