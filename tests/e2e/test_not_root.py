"""What a user who is not root may not do is told, with the place and the mode; root's rights would hide all of it.

The bootstrap runs in a user namespace as uid 1000: the files are its own, and it has none of root's rights over modes.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.e2e.conftest import Remote
from tests.e2e.job import BOOTSTRAP, Container


def test_code_is_not_fetched_into_a_closed_directory(
    container: Container, plain_remote: Remote, user: list[str], closed: Path
) -> None:
    plain_remote.bucket.put("code/train.py", b"print('trained')")
    container.front = user
    words = ("--code", plain_remote.bucket.url("code/"), "--job-dir", str(closed), "--", "python3", "code/train.py")
    result = container.run(*words, environ=plain_remote.env)
    assert result.code == 115, result.stderr
    assert str(closed) in result.stderr and "is dr-x------, owner 1000:1000" in result.stderr
    assert b"trained" not in result.stdout


def test_a_copy_into_a_closed_directory_says_so(
    container: Container, plain_remote: Remote, user: list[str], closed: Path
) -> None:
    plain_remote.bucket.put("data/x", b"x")
    argv = [*user, BOOTSTRAP, "copy", "-r", plain_remote.bucket.url("data/"), str(closed)]
    done = subprocess.run(argv, env={**container.environ, **plain_remote.env}, capture_output=True, text=True)
    assert done.returncode == 115, done.stderr
    assert str(closed) in done.stderr and "is dr-x------, owner 1000:1000" in done.stderr
    assert os.listdir(closed) == []


def test_a_local_tree_that_may_not_be_read_is_named(container: Container, user: list[str], tmp_path: Path) -> None:
    (secret := tmp_path / "source/secret").mkdir(parents=True)
    secret.chmod(0)
    argv = [*user, BOOTSTRAP, "copy", "-r", str(tmp_path / "source"), str(tmp_path / "target")]
    done = subprocess.run(argv, env=container.environ, capture_output=True, text=True)
    secret.chmod(0o700)
    assert done.returncode == 115, done.stderr
    assert str(secret) in done.stderr and "is d---------, owner 1000:1000" in done.stderr


def test_an_output_that_may_not_be_read_is_named_and_counts(
    container: Container, plain_remote: Remote, user: list[str]
) -> None:
    container.front = user
    script = "echo m > out/model; echo s > out/secret; chmod 0 out/secret"
    words = ("--output", f"out={plain_remote.bucket.url('out/')}", "--", "sh", "-c", script)
    result = container.run(*words, environ=plain_remote.env)
    assert result.code == 206, result.stderr
    assert "out/secret" in result.stderr
    assert plain_remote.bucket.get("out/model") == b"m\n"
    assert plain_remote.bucket.list("out/secret") == []


def test_a_log_that_may_not_be_written_is_told_and_the_job_does_not_run(
    container: Container, user: list[str], closed: Path
) -> None:
    container.front = user
    result = container.run("--log-file", str(closed / "job.log"), "--", "echo", "trained")
    assert result.code == 115, result.stderr
    assert f"{closed} belongs to uid 1000, mode 500" in result.stderr
