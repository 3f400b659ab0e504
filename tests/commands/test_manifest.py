"""`bootstrap manifest`: the GPU manager's job files, checked as their users would want, and the Volcano Job of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from bootstrap.errors import JobFileInvalid
from bootstrap.rehearsal.jobfile import read
from tests.commands.volcano_job import JOB

WHOLE = """\
jobname: sxh-mnist-1
tasks:
  - name: master
    workingDir: /nfs/testdata/code/sxh/mnist
    command: ["python", "train.py"]
    args: ["--epochs", "10"]
    image: registry.example/sxh-dev:1.0
    resources: {cpu: "500m", memory: 1024Mi, gpu: 1}
    ports: {number: 6666, name: rdzv}
  - amount: 2
    image: registry.example/sxh-dev:1.0
    command: |
      conda activate work
      python train.py
"""
TASK = "tasks:\n  - image: x\n    command: python train.py\n"


def manifest(tmp_path: Path, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "job.yaml").write_text(text)
    argv = [str(Path(sys.executable).with_name("bootstrap")), "manifest", str(tmp_path / "job.yaml"), *words]
    return subprocess.run(argv, capture_output=True, text=True)


def test_the_manifest_is_valid_and_runs_the_same_with_the_bootstrap_as_entry_point(tmp_path: Path) -> None:
    made = manifest(tmp_path, WHOLE, "--nas", "data", "--queue", "gpu")
    assert made.returncode == 0, made.stderr
    job: Any = yaml.safe_load(made.stdout)
    jsonschema.validate(job, JOB)
    assert (job["metadata"]["name"], job["spec"]["minAvailable"], job["spec"]["queue"]) == ("sxh-mnist-1", 3, "gpu")
    assert job["spec"]["volumes"] == [{"mountPath": "/nfs/testdata", "volumeClaimName": "data"}]
    assert {"exitCode": 200, "action": "RestartJob"} in job["spec"]["policies"]
    assert not [one for one in job["spec"]["policies"] if 100 <= one.get("exitCode", 0) < 200]
    master, worker = (task["template"]["spec"]["containers"][0] for task in job["spec"]["tasks"])
    assert master["command"] == ["bootstrap", "run", "--"]
    assert master["args"] == ["python", "train.py", "--epochs", "10"]
    assert master["workingDir"] == "/nfs/testdata/code/sxh/mnist"
    assert master["resources"]["limits"] == {"cpu": "500m", "memory": "1024Mi", "nvidia.com/gpu": "1"}
    assert master["ports"] == [{"name": "rdzv", "containerPort": 6666}]
    assert worker["args"] == ["bash", "-c", "conda activate work\npython train.py"]
    assert (job["spec"]["tasks"][1]["name"], job["spec"]["tasks"][1]["replicas"]) == ("task-1", 2)


def test_a_command_without_anything_of_a_shell_is_words(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("jobname: a\n" + TASK)
    assert read(tmp_path / "job.yaml").tasks[0].command == ("python", "train.py")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("jobname: a\ntasks:\n  - image: x\n  \tname: b\n", "line 4: a tab"),
        ("jobname: test_job1\n" + TASK, "'test_job1' is no name for Kubernetes"),
        ("jobname: test_job1\n" + TASK, "test-job1 would do"),
        ("jobname: a\njobname: b\n" + TASK, "'jobname' is given twice"),
        ("jobname: a\ntasks:\n  - {name: t, image: x}\n  - {name: t, image: y}\n", "two tasks are named t"),
        ("jobname: a\ntasks:\n  - {images: x}\n", "no field is named 'images'; is image meant?"),
        ("jobname: a\ntasks:\n  - {name: t}\n", "task 0, image: the name of an image is needed"),
        ("jobname: a\ntasks:\n  - {image: x, amount: 0}\n", "0 is no number of containers"),
        ("jobname: a\ntasks:\n  - {image: x, resources: {gpu: half}}\n", "task 0, resources, gpu: 'half' is no amount"),
        ("jobname: a\ntasks:\n  - {image: x, ports: {number: 80, name: '80'}}\n", "one letter at least"),
        ("jobname: a\ntasks:\n  - {image: x, args: [1]}\n", "there is no command to give them to"),
        ("jobname: a\ntasks: {image: x}\n", "a list with at least one task"),
        ("jobname: " + "a" * 60 + "\n" + TASK, "its pod would be named"),
        ("jobname: [a\n", "not YAML"),
        ("- a\n", "holds no job"),
    ],
)
def test_what_users_stumble_over_is_named_with_its_place(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(text)
    with pytest.raises(JobFileInvalid) as raised:
        read(tmp_path / "job.yaml")
    assert words in str(raised.value)


def test_all_that_is_wrong_is_said_at_once_with_our_exit_code(tmp_path: Path) -> None:
    made = manifest(tmp_path, "jobname: A_b\ntasks:\n  - {command: x, gpus: 1}\n")
    assert made.returncode == 119
    assert "3 things are wrong" in made.stderr and made.stdout == ""


def test_comments_are_warned_of_since_the_manager_may_refuse_them(tmp_path: Path) -> None:
    made = manifest(tmp_path, "jobname: a  # mine\n" + TASK)
    assert made.returncode == 0 and "comments in line 1" in made.stderr
