"""Each example is started by its one command, and does what its page says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.lab.sharing import ROOT

EXAMPLES = ROOT / "examples"


def run(name: str, **environ: str) -> str:
    ran = subprocess.run(
        [EXAMPLES / name / "run"], env={**os.environ, **environ}, text=True, capture_output=True, timeout=280
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


# own-image and v2-verify need an engine: tests/images/test_examples_in_containers.py


def test_the_page_lists_each() -> None:
    text = (EXAMPLES / "README.md").read_text()
    names = sorted(path.parent.name for path in EXAMPLES.glob("*/run"))
    assert len(names) == 7
    assert [name for name in names if f"`examples/{name}/run`" not in text] == []


def test_the_model_of_a_v1_job_is_on_obs() -> None:
    assert "obs://my-bucket/models/model.json" in run("v1-model")


def test_a_checkpoint_survives_the_first_attempt() -> None:
    said = run("checkpoints")
    assert "going on from step 1" in said and "saved step 20" in said, "it was stopped in step 10 or soon after"


def test_a_job_file_is_rehearsed_and_becomes_a_volcano_job() -> None:
    said = run("job-file")
    assert "node 0 of 2" in said and "node 1 of 2" in said
    assert "kind: Job" in said and "volumeClaimName: my-claim" in said


@pytest.mark.parametrize(("name", "sum_"), [("torchrun-nodes", "of 4 sum 10"), ("paddle-nodes", "of 2 sum 3")])
def test_engines_meet_over_two_nodes(name: str, sum_: str) -> None:
    if not Path(os.environ.get("BOOTSTRAP_TEST_ENGINES", "/nonexistent")).exists():
        pytest.skip("lab: no training engines: BOOTSTRAP_TEST_ENGINES (.ci/run installs them)")
    assert sum_ in run(name)
