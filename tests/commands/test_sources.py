"""run, plan, doctor, ls and copy with places other than the object store: what is recorded, hidden and refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.conftest import Run
from tests.lab.web import Web, running_web

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="lab: no git here (apt-get install git)")


@pytest.fixture
def web() -> Iterator[Web]:
    with running_web() as found:
        yield found


@pytest.fixture
def repository(tmp_path: Path) -> tuple[str, str]:
    """Its URL, and its one commit."""
    work = tmp_path / "repo"
    work.mkdir()
    (work / "run.sh").write_text("#!/bin/sh\necho from the repository\n")
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    git = ["git", "-c", "user.name=lab", "-c", "user.email=lab@lab.test"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *arguments], cwd=work, env=environ, check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], cwd=work, env=environ, check=True, stdout=subprocess.PIPE)
    return f"git+file://{work}@main", head.stdout.decode().strip()


def job(*more: str) -> list[str]:
    return ["--job-dir", "job", "--log-file", "x.log", "--run-dir", "run", *more]


@needs_git
def test_a_job_runs_code_of_a_repository_and_records_its_commit(
    bootstrap: Run, repository: tuple[str, str], web: Web, tmp_path: Path
) -> None:
    url, commit = repository
    data = web.put("/data.bin", b"data", user="me:SECRET-TOKEN").replace("://", "://me:SECRET-TOKEN@")
    done = bootstrap("run", "--code", url, "--input", f"data={data}?key=SECRET-KEY", *job(), "--", "sh", "repo/run.sh")
    assert done.returncode == 0, done.stderr
    assert b"from the repository" in done.stdout
    assert (tmp_path / "job" / "data" / "data.bin").read_bytes() == b"data"
    record = (tmp_path / "run" / "run.json").read_text()
    assert json.loads(record)["fetched"]["code"]["revision"] == commit
    for told in (record, done.stdout.decode(), done.stderr.decode(), (tmp_path / "x.log").read_text()):
        assert "SECRET" not in told


@needs_git
def test_plan_and_doctor_list_them(bootstrap: Run, repository: tuple[str, str], web: Web) -> None:
    data = web.put("/data.bin", b"data")
    arguments = ["--code", repository[0], "--input", f"data={data}", *job()]
    planned = bootstrap("plan", "--format", "json", *arguments, "--", "sh", "repo/run.sh")
    assert planned.returncode == 0, planned.stdout
    fetches = json.loads(planned.stdout)["fetch"]
    assert [(one["files"], one["bytes"]) for one in fetches] == [(1, 35), (1, 4)]
    looked = bootstrap("doctor", *arguments, "--", "sh", "repo/run.sh")
    assert b"data.bin" in looked.stdout and b"S3_ENDPOINT" not in looked.stdout, looked.stdout


def test_ls_du_and_copy_take_a_file_of_the_web(bootstrap: Run, web: Web, tmp_path: Path) -> None:
    url = web.put("/d/data.bin", b"data")
    assert bootstrap("ls", url).stdout == b"data.bin\n"
    assert b"4 bytes" in bootstrap("du", "-s", url).stdout
    assert bootstrap("copy", url, "here").returncode == 0 and (tmp_path / "here").read_bytes() == b"data"
    assert b"nothing below it" in bootstrap("copy", "-r", url, "there").stderr


@pytest.mark.parametrize("option", ["--log", "--output"])
def test_a_destination_that_is_read_only_is_refused_before_the_start(
    bootstrap: Run, tmp_path: Path, option: str
) -> None:
    value = "https://host/results/x" if option == "--log" else "out=git+https://host/results.git"
    done = bootstrap("run", option, value, *job(), "--", "touch", "started")
    assert done.returncode == 105
    assert b"nothing can be delivered there" in done.stderr + done.stdout
    assert not list(tmp_path.rglob("started"))


def test_a_scheme_whose_program_is_missing_is_told_before_the_start(bootstrap: Run, tmp_path: Path) -> None:
    done = bootstrap("run", "--code", "git+https://host/r.git", *job(), "--", "touch", "started", PATH=str(tmp_path))
    assert done.returncode == 123, done.stderr
    assert b"needs the program git" in done.stderr + done.stdout
