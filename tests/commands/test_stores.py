"""``copy`` and ``logs`` have the store options of ``run``, from the one table, with its parser and its words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap import settings
from tests.lab.stores import Store

OPTIONS = [settings.option(name) for name, knob, _ in settings.knobs() if knob.group == settings.STORE]


def called(*argv: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "bootstrap", *map(str, argv)]
    return subprocess.run(words, env={**os.environ, **environ}, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("command", ["copy", "logs", "outputs"])
def test_every_store_option_of_run_is_there(command: str) -> None:
    said = called(command, "--help").stdout
    assert OPTIONS, "the group has no settings"
    for option in OPTIONS:
        # A look at a log is one try, so there is nothing for which a time could be set; and it is looked at as it is.
        assert (f"{option} " in said) == (command != "logs" or option not in ("--store-timeout", "--verify"))


@pytest.mark.parametrize(
    "command", [["copy", "obs://bkt/a", "x"], ["logs", "obs://bkt/a/"], ["outputs", "obs://bkt/a/"]]
)
def test_what_an_option_may_hold_is_said_as_run_says_it(command: list[str]) -> None:
    ended = called(*command, "--addressing", "sideways")
    of_run = called("run", "--addressing", "sideways", "--", "true")
    assert ended.returncode == of_run.returncode
    assert "--addressing cannot be 'sideways'" in ended.stderr and "--addressing cannot be 'sideways'" in of_run.stderr


def test_an_option_counts_before_its_variable(rclone: Store, tmp_path: Path) -> None:
    bucket = rclone.make_bucket()
    bucket.put("a", b"content")
    env = {**rclone.env(), "S3_ENDPOINT": "http://127.0.0.1:9"}
    ended = called("copy", "--endpoint", rclone.endpoint, bucket.url("a"), tmp_path / "a", **env)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "a").read_bytes() == b"content"
