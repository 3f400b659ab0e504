"""Boot commands as guides print them, whose readers change nothing: the layout they mean, and the slips they have."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.lab.stores import Bucket, Store
from tests.scripts.conftest import Image, text

RUN = 'echo "run.sh in $(basename "$PWD"): $*"\npython3 train_with_fleet.py\n'


@pytest.fixture
def v1(image: Image, tmp_path: Path, bucket: Bucket, store: Store) -> Image:
    """The guide's code: a run.sh that calls a program beside it, in a directory ``pd/``."""
    bucket.put_tree("mine/pd/", {"run.sh": RUN, "train_with_fleet.py": 'print("trained")'})
    image.environ |= {
        **store.env(),
        "DLS_TASK_INDEX": "0",
        "DLS_TASK_NUMBER": "1",
        "DLS_APP_URL": bucket.url("mine/pd/"),
        "DLS_USE_DOWNLOADER": "1",
        "BOOTSTRAP_LOG_FILE": str(tmp_path / "log" / "dls-task-0.log"),
    }
    return image


@pytest.mark.parametrize("python", [["python"], ["python3", "-u"], ["bash"]])
def test_a_command_that_names_its_script_in_the_job_dir_itself_has_the_code_there(v1: Image, python: list[str]) -> None:
    boot = str(v1.home / "user-job-dir" / "run.sh")
    for _ in range(2):  # a job that is restarted finds what the first attempt has brought
        done = v1.run("bash", "run_train.sh", *python, boot, "--lr", "1")
        assert done.returncode == 0, text(done)
        assert b"run.sh in user-job-dir: --lr 1\n" in done.stdout and b"trained\n" in done.stdout
        assert b"the code goes into" in done.stderr and b"--no-code-direct" in done.stderr
        assert (b"is a shell script: bash runs it" in done.stderr) == python[0].startswith("python")
    assert not (v1.home / "user-job-dir" / "pd").exists()


def test_a_person_who_says_where_the_code_goes_is_obeyed(v1: Image) -> None:
    boot = str(v1.home / "user-job-dir" / "run.sh")
    done = v1.run("bash", "run_train.sh", "bash", boot, env={"BOOTSTRAP_CODE_DIRECT": "no"})
    assert done.returncode == 127, text(done)
    assert b"nearest: pd/run.sh" in done.stderr


def test_a_command_below_the_codes_own_directory_finds_it_there_as_ever(v1: Image) -> None:
    done = v1.run("bash", "run_train.sh", "bash", str(v1.home / "user-job-dir" / "pd" / "run.sh"))
    assert b"run.sh in user-job-dir" in done.stdout and b"the code goes into" not in done.stderr, text(done)


def test_a_local_code_directory_is_looked_at_as_well(v1: Image, tmp_path: Path) -> None:
    (tmp_path / "pd").mkdir()
    (tmp_path / "pd" / "run.sh").write_text("echo local\n")
    boot = str(v1.home / "user-job-dir" / "run.sh")
    local = {"DLS_USE_DOWNLOADER": "0", "DLS_APP_URL": str(tmp_path / "pd")}
    done = v1.run("bash", "run_train.sh", "bash", boot, env=local)
    assert b"local\n" in done.stdout, text(done)


def test_a_real_shell_that_reads_the_misspelt_redirection_is_told_of(v1: Image) -> None:
    """bash: the program gets a 2, and both outputs are one file named 1, ours too."""
    boot = "run_train.sh bash pd/run.sh"
    done = v1.bash(f"exec bash {boot} --lr 1 2&>1")
    assert done.stdout + done.stderr == b""
    said = (v1.home / "1").read_text()
    assert "run.sh in user-job-dir: --lr 1\n" in said, "the 2 is no argument"
    assert "a file named 1" in said and "2>&1" in said
    kept = v1.bash(f"exec bash {boot} --lr 2 > other 2>&1")
    assert kept.stdout + kept.stderr == b""
    assert "run.sh in user-job-dir: --lr 2\n" in (v1.home / "other").read_text()


def test_batch_current_port_is_that_of_the_nodes_own_entry(v1: Image) -> None:
    told = v1.run(
        "bash", "run_train.sh", "sh", "-c", "echo port $BATCH_CURRENT_PORT", env={"BATCH_CURRENT_HOST": "h:6131"}
    )
    assert b"port 6131\n" in told.stdout, text(told)
    own = {"BATCH_CURRENT_HOST": "h:6131", "BATCH_CURRENT_PORT": "7"}
    assert b"port 7\n" in v1.run("bash", "run_train.sh", "sh", "-c", "echo port $BATCH_CURRENT_PORT", env=own).stdout


def test_a_log_directory_that_may_be_a_bucket_or_a_directory_is_named_in_both_readings(
    v1: Image, tmp_path: Path
) -> None:
    (nas := tmp_path / "naslog").mkdir()
    uploads = {"DLS_USE_UPLOADER": "1", "DLS_UPLOAD_LOG_OBS_DIR": str(nas), "BOOTSTRAP_STORE_TIMEOUT": "1"}
    done = v1.run("bash", "run_train.sh", "true", env=uploads)
    assert f"DLS_UPLOAD_LOG_OBS_DIR={nas} is taken for obs:/{nas}".encode() in done.stderr, text(done)
    assert f"file://{nas}".encode() in done.stderr
    meant = {**uploads, "DLS_UPLOAD_LOG_OBS_DIR": f"file://{nas}"}
    shutil.rmtree(v1.home / "user-job-dir")
    assert b"is taken for" not in v1.run("bash", "run_train.sh", "true", env=meant).stderr
    assert [path.name for path in nas.iterdir()] == ["dls-log-unknown-id"], os.listdir(nas)
