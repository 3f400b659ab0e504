"""`bootstrap env`: what the platform's environment says, in words, as JSON, and as lines for a shell to evaluate."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from typing import Any

import pytest

from tests.commands.conftest import BOOTSTRAP, Run

TWO_NODES = {
    "DLS_JOB_ID": "joba1b-20190101",
    "DLS_TASK_NUMBER": "2",
    "DLS_TASK_INDEX": "1",
    "BATCH_CUSTOM0_HOSTS": "node-0:6001",
    "BATCH_CUSTOM1_HOSTS": "node-1:6002",
    "DLS_APP_URL": "s3://bucket/code/",
    "DLS_TRAIN_URL": "s3://bucket/out/",
    "DLS_USE_UPLOADER": "1",
    "DLS_UPLOAD_LOG_OBS_DIR": "s3://bucket/logs/",
    "S3_SECRET_ACCESS_KEY": "never-to-be-shown",
    "JOBC2D_20190101_HOST": "10.0.0.1",
    "BOOTSTRAP_INTERFACE": "lo",
}
PYTHON_ENVIRON = f"{shlex.quote(sys.executable)} -c 'import os, json; print(json.dumps(dict(os.environ)))'"


def told(run: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    assert run.returncode == 0, run.stderr.decode()
    return dict(json.loads(run.stdout))


def test_words_say_everything_with_its_source(bootstrap: Run) -> None:
    done = bootstrap("env", env=TWO_NODES)
    assert done.returncode == 0, done.stderr.decode()
    words = done.stdout.decode()
    for line in (
        "job        joba1b-20190101",
        "node       1 of 2",
        "code       s3://bucket/code/ (from DLS_APP_URL)",
        "log        s3://bucket/logs/dls-log-unknown-id/ (from DLS_UPLOAD_LOG_OBS_DIR)",
        "output     a directory of ours -> s3://bucket/out/ (from DLS_TRAIN_URL)",
        "interface  lo (from BOOTSTRAP_INTERFACE)",
        "removed    JOBC2D_20190101_HOST",
        "set        MASTER_ADDR=node-0",
    ):
        assert line in words
    assert "1  node-1:6002  worker  <- this one" in words


@pytest.mark.parametrize("form", ["text", "json", "sh"])
def test_no_form_shows_a_secret_or_a_key_in_a_url(bootstrap: Run, form: str) -> None:
    done = bootstrap("env", "--format", form, env={**TWO_NODES, "DLS_APP_URL": "s3://AK:never-to-be-shown@b/code/"})
    assert done.stdout
    assert b"never-to-be-shown" not in done.stdout + done.stderr


def test_json_has_the_same_for_programs(bootstrap: Run) -> None:
    facts = told(bootstrap("env", "--format", "json", env=TWO_NODES))
    assert facts["platform"] == "dls"
    assert facts["code"] == {"value": "s3://bucket/code/", "source": "DLS_APP_URL"}
    assert [node["host"] for node in facts["nodes"]] == ["node-0", "node-1"]
    assert facts["node_rank"] == 1
    assert facts["removed"] == ["JOBC2D_20190101_HOST"]
    assert {"name": "MASTER_ADDR", "value": "node-0"}.items() <= facts["variables"][0].items()


def test_settings_of_ours_are_told_with_their_variable(bootstrap: Run) -> None:
    facts = told(bootstrap("env", "--format", "json", BOOTSTRAP_CODE="/nas/code", BOOTSTRAP_OUTPUT="out=obs://b/o/"))
    assert facts["code"] == {"value": "/nas/code", "source": "BOOTSTRAP_CODE"}
    assert facts["outputs"][0]["url"] == "obs://b/o/"
    assert facts["platform"] == "local"


def test_the_platform_can_be_chosen(bootstrap: Run) -> None:
    assert told(bootstrap("env", "--format", "json", "--platform", "local", env=TWO_NODES))["platform"] == "local"


def test_a_contradiction_is_told_after_what_is_certain_with_its_own_exit_code(bootstrap: Run) -> None:
    done = bootstrap("env", env={**TWO_NODES, "DLS_TASK_NUMBER": "3"})
    assert done.returncode == 103
    assert b"node       not known" in done.stdout
    assert b"code       s3://bucket/code/" in done.stdout
    assert b"DLS_TASK_NUMBER says 3 nodes" in done.stderr


def in_a_shell(evaluated: str, env: dict[str, str]) -> dict[str, str]:
    """The environment of a child of bash after it evaluated what `bootstrap env` printed."""
    script = f'set -eu; eval "$({shlex.quote(BOOTSTRAP)} env --format sh {evaluated})"; exec {PYTHON_ENVIRON}'
    done = subprocess.run(["bash", "-c", script], env={"PATH": "/usr/bin:/bin", **env}, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return dict(json.loads(done.stdout))


def test_a_shell_gets_what_the_command_would_get(bootstrap: Run) -> None:
    after = in_a_shell("", TWO_NODES)
    assert after["BOOTSTRAP_NODE_RANK"] == "1"
    assert after["MASTER_ADDR"] == "node-0"
    assert after["MASTER_PORT"] == "6001"
    assert after["BOOTSTRAP_HOSTS"] == "node-0,node-1"
    assert "JOBC2D_20190101_HOST" not in after


def test_what_is_set_and_what_is_removed_can_be_had_apart() -> None:
    after = in_a_shell("--only removed", TWO_NODES)
    assert "JOBC2D_20190101_HOST" not in after
    assert "MASTER_ADDR" not in after
    after = in_a_shell("--only set", TWO_NODES)
    assert after["MASTER_ADDR"] == "node-0"
    assert "JOBC2D_20190101_HOST" in after


def test_values_from_outside_cannot_run_in_the_shell() -> None:
    env = {**TWO_NODES, "BATCH_CUSTOM0_HOSTS": "$(touch hacked)'\";`id`\\:6001"}
    assert in_a_shell("", env)["MASTER_ADDR"] == "$(touch hacked)'\";`id`\\"


def test_what_is_set_already_stays() -> None:
    assert in_a_shell("", {**TWO_NODES, "MASTER_ADDR": "mine"})["MASTER_ADDR"] == "mine"


def test_a_name_that_no_shell_can_write_is_left_alone_and_named(bootstrap: Run) -> None:
    done = bootstrap("env", "--format", "sh", "--only", "removed", env={**TWO_NODES, "1OBC2D_20190101_HOST": "x"})
    assert done.returncode == 0
    assert done.stdout == b"unset JOBC2D_20190101_HOST\n"
    assert b"1OBC2D_20190101_HOST" in done.stderr


@pytest.mark.parametrize("command", ["env", "ip"])
def test_neither_the_object_stores_client_nor_the_logger_is_imported(command: str) -> None:
    code = f"""
import sys
from bootstrap.cli import main
assert main([{command!r}]) == 0
slow = {{"boto3", "botocore", "structlog"}} & set(sys.modules)
assert not slow, slow
"""
    env = {"PATH": "/usr/bin:/bin", "BOOTSTRAP_INTERFACE": "lo"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
