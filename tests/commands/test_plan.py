"""`bootstrap plan` and `bootstrap run --plan`: everything resolved, nothing fetched, made or started."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.commands.conftest import Run
from tests.lab.stores import Store

TWO_NODES = {
    "DLS_JOB_ID": "joba1b-20190101",
    "DLS_TASK_NUMBER": "2",
    "DLS_TASK_INDEX": "0",
    "BATCH_CUSTOM0_HOSTS": "127.0.0.1:6001",
    "BATCH_CUSTOM1_HOSTS": "127.0.0.2:6002",
    "BOOTSTRAP_INTERFACE": "lo",
}


@pytest.mark.parametrize("words", [["plan"], ["run", "--plan"]], ids=" ".join)
def test_nothing_is_fetched_made_or_started(bootstrap: Run, seaweedfs: Store, tmp_path: Path, words: list[str]) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put_tree("code/", {"train.py": "print()", "data/x": "12345"})
    done = bootstrap(
        *words,
        *("--job-dir", str(tmp_path / "job"), "--code", bucket.url("code/"), "--log", bucket.url("logs/")),
        *("--output", f"out={bucket.url('out/')}", "--", "touch", str(tmp_path / "started")),
        env=seaweedfs.env(),
    )
    told = done.stdout.decode()
    assert done.returncode == 0, told + done.stderr.decode()
    assert os.listdir(tmp_path) == []
    assert bucket.list() == ["code/data/x", "code/train.py"]
    assert f"fetch      code: {bucket.url('code/')} -> {tmp_path}/job/code (2 files, 12 bytes; from --code)" in told
    assert f"deliver    {tmp_path}/job/out: {tmp_path}/job/out -> {bucket.url('out/')} (from --output)" in told
    assert f"command    touch {tmp_path}/started" in told
    assert f"set        PYTHONPATH={tmp_path}/job" in told


def test_json_has_every_setting_with_its_source_and_no_secret(bootstrap: Run) -> None:
    secret = "never-to-be-shown-anywhere"
    env = {"S3_SECRET_ACCESS_KEY": secret, "BOOTSTRAP_PEER_SECRET": secret + "-2", "BOOTSTRAP_QUIET": "1"}
    done = bootstrap("plan", "--format", "json", "--timeout", "2h", "--", "echo", secret, env=env)
    told = json.loads(done.stdout)
    assert told["settings"]["timeout"] == {"value": 7200.0, "source": "--timeout"}
    assert told["settings"]["quiet"] == {"value": True, "source": "BOOTSTRAP_QUIET"}
    assert told["settings"]["store_timeout"]["source"] == "default"
    assert told["settings"]["peer_secret"] == {"value": "***", "source": "BOOTSTRAP_PEER_SECRET"}
    assert secret.encode() not in done.stdout + done.stderr
    assert "BOOTSTRAP_QUIET" in told["environment"]["removed"]


def test_the_launchers_command_line_and_variables(bootstrap: Run) -> None:
    done = bootstrap("plan", "--launcher", "torchrun", "--format", "json", "--", "train.py", env=TWO_NODES)
    told = json.loads(done.stdout)
    assert told["launcher"] == "torchrun"
    assert told["command"] == ["python3", "-m", "torch.distributed.run", "train.py"]
    assert told["environment"]["set"]["PET_NNODES"]["value"] == "2"
    assert told["node"]["size"] == 2


def test_what_keeps_it_from_its_start_is_told_with_its_code(bootstrap: Run, rclone: Store) -> None:
    done = bootstrap("plan", "--code", "obs://no-such-bucket-here/code/", "--", "true", env=rclone.env())
    assert done.returncode == 110
    assert "[bucket-missing, exit 110]" in done.stdout.decode()
    assert bootstrap("plan").returncode == 101
