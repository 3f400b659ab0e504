"""A command that succeeds and leaves nothing where it was to be delivered from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.job import Container


def output(target: Path) -> tuple[str, str]:
    return "--output", f"out={target}/target"


@pytest.mark.parametrize("other", ["output", "outputs", "Out", "code/out", "code/run-1/out"])
def test_it_is_said_with_the_names_that_look_like_it(container: Container, tmp_path: Path, other: str) -> None:
    make = f"mkdir -p {other} far/away empty/out; touch {other}/model far/x"
    result = container.run(*output(tmp_path), "--", "sh", "-c", make)
    assert result.code == 0
    (note,) = (line for line in result.stderr.splitlines() if "nothing was left in" in line)
    assert f"warning: nothing was left in {container.work}/out, " in note
    assert note.endswith(f": {container.work}/{other}")
    assert f"{container.work}/{other}" in result.record["delivered"][0]["note"]


def test_whoever_requires_outputs_has_a_failure(container: Container, tmp_path: Path) -> None:
    make = ("--", "sh", "-c", "mkdir out/sub output; touch output/model")
    result = container.run("--require-outputs", *output(tmp_path), *make)
    assert (result.code, result.record["reason_id"]) == (206, "outputs-undelivered")
    assert f"{container.work}/output" in result.record["reason"]
    assert result.stderr.count("an output is empty") == 1, "said once; log and record have it in full"
    assert container.run("--require-outputs", *output(tmp_path), "--", "touch", "out/model").code == 0
    assert (tmp_path / "target/sub").is_dir(), "an empty directory arrives in a directory as well"


@pytest.mark.parametrize("command", ["exit 3", "touch out/model"])
def test_nothing_is_said_of_a_failure_and_of_what_is_there(container: Container, tmp_path: Path, command: str) -> None:
    result = container.run(*output(tmp_path), "--", "sh", "-c", command)
    assert "nothing was left" not in result.stderr and "note" not in result.record["delivered"][0]


def test_v1s_train_url_may_be_empty(container: Container, tmp_path: Path) -> None:
    environ = {"DLS_TASK_INDEX": "0", "DLS_TASK_NUMBER": "1", "DLS_TRAIN_URL": f"file://{tmp_path}/target/"}
    result = container.run("--", "true", environ=environ)
    assert result.code == 0 and "nothing was left" not in result.stderr
