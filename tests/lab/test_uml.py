"""The machine that is a process: its own cgroup v2, our files, and a script whose failure is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import lab_or_skip
from tests.lab.uml import boot


def test_it_has_cgroup_v2_and_our_files_which_it_cannot_change(tmp_path: Path) -> None:
    with lab_or_skip():
        said = boot(tmp_path, f"cat /proc/self/cgroup; test -e {__file__} && ! touch {__file__} && echo whole >made")
    assert said.startswith("0::/\n")
    assert (tmp_path / "made").read_text() == "whole\n"


def test_a_script_that_fails_is_told_with_its_words(tmp_path: Path) -> None:
    with lab_or_skip(), pytest.raises(AssertionError, match="status 7:\nno luck"):
        boot(tmp_path, "echo no luck; exit 7")
