"""`bootstrap logs URL` of a prefix: the jobs below it, their nodes and attempts, newest first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

BOOTSTRAP = str(Path(sys.executable).with_name("bootstrap"))


def logs(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BOOTSTRAP, "logs", *words], text=True, capture_output=True, timeout=60)


def write(path: Path, age: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a line\n")
    os.utime(path, (2e9 - age, 2e9 - age))


def test_the_url_that_a_v1_user_sets_lists_the_jobs_below_it(tmp_path: Path) -> None:
    write(tmp_path / "dls-log-old/dls-task-0.log", 500)
    write(tmp_path / "dls-log-new/dls-task-0.log", 10)
    write(tmp_path / "dls-log-new/dls-task-0.attempt-1.log", 20)
    write(tmp_path / "dls-log-new/dls-task-1.log", 15)
    write(tmp_path / "models/model.bin", 1)
    told = logs(tmp_path)
    assert told.returncode == 0, told.stderr
    first, second = told.stdout.splitlines()
    assert first.endswith(f"2 nodes, 2 attempts     {tmp_path}/dls-log-new/")
    assert second.endswith(f"1 node, 1 attempt       {tmp_path}/dls-log-old/")
    assert "2 jobs below this URL, newest first" in told.stderr
    assert logs(tmp_path / "dls-log-old").stdout == "a line\n"


def test_programs_get_json(tmp_path: Path) -> None:
    write(tmp_path / "a/b/train.log", 10)
    (job,) = json.loads(logs("--format", "json", tmp_path).stdout)
    assert job == {
        "url": f"{tmp_path}/a/b/", "mtime": 2e9 - 10, "nodes": [0], "attempts": 1, "running": False
    }  # fmt: skip
    (node,) = json.loads(logs("--format", "json", tmp_path / "a/b").stdout)
    assert (node["node"], node["bytes"], node["ended"]) == (0, 7, True)


def test_json_tells_what_is_there_now_and_follows_nothing(tmp_path: Path) -> None:
    write(tmp_path / "train.log", 10)
    told = logs("-f", "--format", "json", tmp_path)
    assert (told.returncode, "--follow does not go with --format json" in told.stderr) == (101, True), told.stderr


def test_where_there_is_no_log_at_all_that_is_said(tmp_path: Path) -> None:
    write(tmp_path / "models/model.bin", 1)
    told = logs(tmp_path)
    assert told.returncode == 111
    assert "there is no log" in told.stderr
