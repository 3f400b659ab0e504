"""The boot commands that people have written for years, unchanged, over the real package and a real store."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.lab.stores import Bucket, Store
from tests.scripts.conftest import Image, finished, text

TRAIN = """
import os, sys
print("args", sys.argv[1:], "in", os.path.basename(os.getcwd()))
print("to stderr", file=sys.stderr)
sys.exit(3)
"""


@pytest.fixture
def v1(image: Image, tmp_path: Path, bucket: Bucket, store: Store) -> Image:
    """A v1 container, but for the log's place: /tmp/dls-task-0.log would be shared by all tests of this machine."""
    bucket.put_tree("proj/app/", {"train.py": TRAIN})
    image.environ |= {
        **store.env(),
        "DLS_JOB_ID": "joba1b-20190101",
        "DLS_DLKS_JOB_ID": "dlks-1",
        "DLS_TASK_INDEX": "0",
        "DLS_TASK_NUMBER": "1",
        "DLS_APP_URL": bucket.url("proj/app/"),
        "DLS_UPLOAD_LOG_OBS_DIR": bucket.url("proj/logs/"),
        "DLS_USE_DOWNLOADER": "1",
        "DLS_USE_UPLOADER": "1",
        "BOOTSTRAP_LOG_FILE": str(tmp_path / "log" / "dls-task-0.log"),
    }
    return image


def test_the_v1_boot_command_with_an_absolute_interpreter(v1: Image, bucket: Bucket) -> None:
    boot = f"{v1.home}/user-job-dir/app/train.py"
    done = v1.run("bash", v1.home / "run_train.sh", sys.executable, boot, "--lr", "0.1", cwd=Path(os.sep))
    assert done.returncode == 3, text(done)
    lines = done.stdout.decode().splitlines()
    for label in ("user: uid=", f"pwd: {v1.home}", f"app_url: {bucket.url('proj/app/')}", "log_url: ", "command: "):
        assert any(line.startswith(label) for line in lines), text(done)
    assert "args ['--lr', '0.1'] in user-job-dir" in lines
    delivered = bucket.get("proj/logs/dls-log-dlks-1/dls-task-0.log")
    assert b"args ['--lr', '0.1']" in delivered
    assert b"to stderr" in delivered


def test_code_that_is_missing_is_127_and_the_log_says_why(v1: Image, bucket: Bucket) -> None:
    done = v1.run("bash", "run_train.sh", "python", "app/train.py", env={"DLS_APP_URL": bucket.url("proj/ap/")})
    assert done.returncode == 127, text(done)
    assert "proj/app" in done.stderr.decode()
    assert bucket.list("proj/logs/dls-log-dlks-1/dls-task-0.log")


def test_the_positional_form_fetches_the_code_it_names_and_logs_where_it_says(
    v1: Image, bucket: Bucket, tmp_path: Path
) -> None:
    log = tmp_path / "named here" / "train.log"
    url = bucket.url("proj/app", scheme="obs")
    done = v1.run("bash", "run_train.sh", url, "app/train.py", str(log), "--lr=0.1", env={"DLS_APP_URL": ""})
    assert done.returncode == 3, text(done)
    assert "args ['--lr=0.1'] in user-job-dir" in log.read_text()


def test_a_v1_script_on_modelarts_v2_just_works(image: Image, tmp_path: Path) -> None:
    """ModelArts FAQ: the earlier run_train.sh ended there with "tee: Permission denied" and "cp: cannot stat ''"."""
    job_dir = tmp_path / "modelarts" / "user-job-dir"
    (job_dir / "code").mkdir(parents=True)
    (job_dir / "code" / "train.py").write_text(TRAIN)
    env = {
        "MA_JOB_DIR": str(job_dir), "MA_VJ_NAME": "ma-job-1", "MA_NUM_HOSTS": "1", "MA_TASK_NAME": "worker",
        "VC_TASK_INDEX": "0", "MA_LOG_DIR": str(tmp_path / "ma-log"),
    }  # fmt: skip
    done = image.run("bash", "run_train.sh", "python", f"{job_dir}/code/train.py", env=env)
    assert done.returncode == 3, text(done)
    assert b"args [] in user-job-dir" in done.stdout


def test_a_stop_reaches_the_command_and_its_log_is_still_delivered(v1: Image, bucket: Bucket) -> None:
    waiting = "import signal, sys; signal.signal(15, lambda *_: sys.exit('asked to stop')); print('up'); signal.pause()"
    process = v1.start("bash", "run_train.sh", "python", "-c", waiting)
    assert process.stdout is not None
    for line in process.stdout:
        if line == b"up\n":
            break
    process.send_signal(signal.SIGTERM)
    done = finished(process)
    assert b"asked to stop" in done.stdout, text(done)
    assert b"asked to stop" in bucket.get("proj/logs/dls-log-dlks-1/dls-task-0.log")
