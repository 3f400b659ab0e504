"""Outputs whose targets lie within one another: nothing of one takes a name of the other unnoticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.job import Container
from tests.lab.stores import Store

BOTH = """\
import os
os.makedirs("a/sub"); os.makedirs("b", exist_ok=True)
open("a/own.txt", "w").write("of a"); open("a/sub/x.txt", "w").write("of a"); open("b/x.txt", "w").write("of b")
"""


def test_what_has_the_place_of_another_output_is_named_and_does_not_go(seaweedfs: Store, tmp_path: Path) -> None:
    bucket, container = seaweedfs.make_bucket(), Container(tmp_path / "container")
    outputs = ("--output", f"a={bucket.url('m')}", "--output", f"b={bucket.url('m/sub/', scheme='obs')}")
    result = container.run(*outputs, "--", "python3", "-c", BOTH, environ=seaweedfs.env())
    assert result.code == 206, result.stderr
    assert "is within another one's" in result.stderr
    assert "sub/x.txt" in result.stderr and "its place is the target of another output" in result.stderr
    assert bucket.get("m/own.txt") == b"of a"
    assert bucket.get("m/sub/x.txt") == b"of b"


def test_a_directory_that_is_an_output_of_its_own_goes_once(tmp_path: Path) -> None:
    container, nas = Container(tmp_path / "container"), tmp_path / "nas"
    nas.mkdir()
    (tmp_path / "link").symlink_to(nas)
    outputs = ("--output", f"a={nas}", "--output", f"a/sub={tmp_path}/link/sub")
    result = container.run(*outputs, "--", "python3", "-c", BOTH.replace('os.makedirs("a/sub"); ', ""))
    assert result.code == 0, result.stderr
    assert "goes there once" in result.stderr
    assert (nas / "sub/x.txt").read_text() == "of a" and (nas / "own.txt").read_text() == "of a"
    assert (nas / "sub/.bootstrap/runs/1/node-0.json").exists()


@pytest.mark.parametrize("below", ["", "/./", "/.bootstrap/x", "/node-1", "/attempt-2/a", "/run-2"])
def test_one_place_and_places_of_ours_are_refused(tmp_path: Path, below: str) -> None:
    container, nas = Container(tmp_path / "container"), tmp_path / "nas"
    nas.mkdir()
    (tmp_path / "link").symlink_to(nas)
    outputs = ("--output", f"a={nas}", "--output", f"b={tmp_path}/link{below}")
    result = container.run(*outputs, "--", "true")
    assert result.failure == (101, "usage"), result.stderr
    assert list(nas.iterdir()) == []
