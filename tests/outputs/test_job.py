"""Whole jobs: live outputs, the next attempt, another job's results, and the command that reads it all."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.job import BOOTSTRAP, Container, Result

TRAIN = """\
import json, os, sys
out, resume = os.environ["BOOTSTRAP_OUTPUT_DIR"], os.environ.get("BOOTSTRAP_RESUME_FROM", "")
at = int(open(resume).read()) if resume else 0
if resume:
    assert json.load(open(os.environ["BOOTSTRAP_RESUME_FILE"]))["path"] == resume
print("start", at, flush=True)
open(f"{out}/step-{at + 1}.pt", "w").write(str(at + 1))
"""
V1 = {"DLS_TASK_INDEX": "0", "DLS_TASK_NUMBER": "1", "BATCH_CUSTOM0_HOSTS": "localhost:6000"}


class Jobs:
    """Attempts, each in a container of its own, with one URL."""

    def __init__(self, root: Path) -> None:
        self.root, self.url, self.count = root, f"{root}/nas/models/", 0

    def run(self, *words: str, job: str = "", train: str = TRAIN) -> Result:
        self.count += 1
        container = Container(self.root / f"container-{self.count}")
        (container.work / "train.py").write_text(train)
        environ = {**V1, "DLS_JOB_ID": job, "BOOTSTRAP_JOB_DIR": str(container.work)} if job else {}
        return container.run("--output", f"out={self.url}", *words, "--", "python3", "train.py", environ=environ)

    def outputs(self, *words: str) -> tuple[int, str]:
        argv = [BOOTSTRAP, "outputs", *words, self.url]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"})
        return done.returncode, done.stdout + done.stderr

    def document(self) -> dict[str, Any]:
        code, text = self.outputs("--format", "json", "--verify")
        assert code == 0, text
        return json.loads(text)  # type: ignore[no-any-return]


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path)


def test_attempts_in_fresh_containers_go_on_and_the_reader_knows(jobs: Jobs, tmp_path: Path) -> None:
    assert b"start 0" in jobs.run().stdout
    second = jobs.run("--resume", "require")
    assert b"start 1" in second.stdout, second.stderr
    assert second.record["resumed"][0]["checkpoint"] == "step-1.pt"
    document = jobs.document()
    assert document["newest"] == "step-2.pt"
    assert {one["path"]: (one["complete"], one["damaged"]) for one in document["checkpoints"]} == {
        "step-1.pt": (True, None),
        "step-2.pt": (True, None),
    }
    assert [(one["attempt"], one["complete"]) for one in document["attempts"]] == [(2, True), (1, True)]
    code, text = jobs.outputs("--fetch", "latest", str(tmp_path / "here"))
    assert code == 0 and "complete, the newest" in text
    assert (tmp_path / "here/step-2.pt").read_text() == "2"
    Path(jobs.url, "step-2.pt").write_text("9")
    code, text = jobs.outputs("--verify")
    assert code == 206 and "damaged" in text


def test_nothing_to_resume_from_is_a_failure_only_where_it_is_required(jobs: Jobs) -> None:
    required = jobs.run("--resume", "require")
    assert required.failure == (111, "nothing-there")
    assert b"start" not in required.stdout
    assert jobs.run("--resume", "never").code == 0
    assert b"start 0" in jobs.run("--resume", "never").stdout


def test_another_jobs_results_are_said_and_taken_only_on_demand(jobs: Jobs) -> None:
    assert jobs.run(job="job-a").code == 0
    other = jobs.run(job="job-b")
    assert other.code == 0, other.stderr
    assert b"start 0" in other.stdout
    assert "these results are another job's" in other.stderr and "job-a" in other.stderr
    first, jobs.url = jobs.url, f"{jobs.root}/nas/third/"
    assert "the command starts from the beginning" in other.stderr
    third = jobs.run("--resume-from", first, job="job-c")
    assert "starts from the beginning" not in third.stderr
    assert b"start 1" in third.stdout, third.stderr
    assert jobs.document()["newest"] == "step-2.pt"


def test_existing_results_are_refused_or_left_alone_as_was_asked(jobs: Jobs) -> None:
    assert jobs.run(job="job-a").code == 0
    assert jobs.run("--existing-outputs", "refuse", job="job-b").failure == (121, "target-taken")
    assert jobs.run("--existing-outputs", "refuse", job="job-a").code == 0, "its own"
    assert jobs.run("--existing-outputs", "version", job="job-b").code == 0
    again = jobs.run("--existing-outputs", "version", job="job-b")
    assert b"start 1" in again.stdout, "the second attempt finds its own directory"
    assert Path(jobs.url, "run-2/step-2.pt").read_text() == "2"


def test_an_input_that_is_the_output_may_be_empty_at_first(jobs: Jobs) -> None:
    words = ("--input", f"out={jobs.url}")
    assert jobs.run(*words).code == 0
    assert b"start 1" in jobs.run(*words).stdout


def test_a_command_that_is_started_again_here_goes_on_from_the_disk(jobs: Jobs) -> None:
    result = jobs.run("--max-restarts", "1", train=TRAIN + "sys.exit(3 if not resume else 0)\n")
    assert result.code == 0, result.stderr
    assert b"start 0" in result.stdout and b"start 1" in result.stdout


def test_a_bootstrap_inside_the_command_hands_on_where_to_resume_from(jobs: Jobs) -> None:
    assert jobs.run().code == 0
    inside = f"import subprocess, sys; sys.exit(subprocess.call(['{BOOTSTRAP}', 'run', '--log-file', 'inner.log', "
    plain = jobs.run(train=inside + "'--', 'sh', '-c', 'echo inner $BOOTSTRAP_RESUME_FROM']))\n")
    assert plain.code == 0, plain.stderr
    (told,) = [line for line in plain.stdout.splitlines() if line.startswith(b"inner ")]
    assert told.endswith(b"/out/step-1.pt")
    own = f"'--output', 'own={jobs.root}/nas/inner/', '--', 'sh', '-c', 'echo inner; echo x > own/a.pt']))\n"
    assert jobs.run(train=inside + own).code == 0
    assert Path(jobs.root, "nas/inner/a.pt").read_text() == "x\n"


@pytest.mark.parametrize("way", ["options", "variable"])
def test_patterns_of_ones_own(jobs: Jobs, way: str) -> None:
    train = "import os; os.makedirs('out/run-1/state'); open('out/run-1/state/a', 'w'); open('out/b.dat', 'w')"
    words = ("--checkpoint", "run-*/state", "--checkpoint", "*.dat") if way == "options" else ()
    container = Container(jobs.root / "container")
    (container.work / "train.py").write_text(train)
    environ = {} if words else {"BOOTSTRAP_CHECKPOINT": "run-*/state;*.dat"}
    result = container.run("--output", f"out={jobs.url}", *words, "--", "python3", "train.py", environ=environ)
    assert result.code == 0, result.stderr
    assert result.record["settings"]["checkpoint"]["value"] == ["run-*/state", "*.dat"]
    found = {one["path"]: (one["format"], one["complete"]) for one in jobs.document()["checkpoints"]}
    assert found == {"run-1/state": ("yours", True), "b.dat": ("file", True)}


def test_a_link_that_somebody_put_at_the_resume_files_name_leads_nowhere(jobs: Jobs, tmp_path: Path) -> None:
    """The run's directory may stand in a shared one; what the command is told goes into a file of our own."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    jobs.run()
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / "resume.json").symlink_to(victim)
    second = jobs.run("--resume", "require", "--run-dir", str(run_dir))
    assert b"start 1" in second.stdout, second.stderr
    assert victim.read_text() == "precious"
    told = run_dir / "resume.json"
    assert not told.is_symlink() and json.loads(told.read_text())["checkpoint"] == "step-1.pt"


@pytest.mark.parametrize("direct", [False, True])
def test_code_that_comes_into_an_output_is_not_replaced_by_that_of_an_earlier_attempt(
    tmp_path: Path, direct: bool
) -> None:
    """Its files may be older by their times: an earlier version that was checked out again."""
    code = tmp_path / "code"
    code.mkdir()
    for version, moment in ((1, 1.7e9), (2, 1.6e9)):
        for name in ("train.py", "helper.py"):
            (code / name).write_text(
                f"print('{name}', {version}, flush=True)\nopen('step-{version}.pt', 'w').write('x')\n"
            )
            os.utime(code / name, (moment, moment))
        container = Container(tmp_path / f"container-{version}")
        job = container.work / "job"
        words = ["--code", f"{code}/", "--output", f"{job}={tmp_path}/nas/", "--job-dir", str(job)]
        words += ["--code-direct"] if direct else []
        place = job if direct else job / "code"
        run = f"import runpy; [runpy.run_path('{place}/' + name) for name in ('train.py', 'helper.py')]"
        result = container.run(*words, "--", "python3", "-c", run)
        assert result.code == 0, result.stderr
        assert result.stdout == f"train.py {version}\nhelper.py {version}\n".encode(), result.stderr
    assert (job / "step-1.pt").exists()
    assert "not brought back: the code or an input has brought it itself" in result.stderr
