"""run_train.sh turns both of its old forms into one `bootstrap run`, and becomes that process."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.scripts.conftest import Image, arguments, text

SHELLS = {"bash": ["bash"], "sh": ["sh"], "traced": ["bash", "-x"], "directly": []}


def command_of(given: list[str]) -> list[str]:
    return given[given.index("--") + 1 :]


def option(given: list[str], name: str) -> str:
    before = given[: given.index("--")]
    return before[before.index(name) + 1] if name in before else ""


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_the_command_arrives_word_for_word(image: Image, shell: list[str]) -> None:
    calls = image.record_calls()
    words = ["python", "a b.py", "", "--x=$HOME", "*", "it's", "-v", "--"]
    done = image.run(*shell, image.home / "run_train.sh", *words)
    assert done.returncode == 0, text(done)
    given = arguments(calls)
    assert given[0] == "run"
    assert command_of(given) == words
    assert "--banner" in given
    assert option(given, "--code-failure-exit") == "127"
    assert option(given, "--job-dir") == str(image.home / "user-job-dir")
    assert option(given, "--code") == ""


def test_it_works_from_any_directory_and_starts_in_its_own(image: Image, tmp_path: Path) -> None:
    calls = image.record_calls()
    done = image.run("bash", os.path.relpath(image.home / "run_train.sh", tmp_path), "true", cwd=tmp_path)
    assert done.returncode == 0, text(done)
    assert calls.read_text().splitlines()[0] == str(image.home)


def test_no_shell_stays_between_the_platform_and_the_bootstrap(image: Image) -> None:
    image.record_calls()
    done = image.run("bash", "-c", 'echo "pid $$"; exec bash ./run_train.sh true')
    first, last = done.stdout.decode().splitlines()
    assert first == last, text(done)


@pytest.mark.parametrize(
    ("code_url", "boot_file", "code", "boot"),
    [
        ("obs://bucket/a/asr", "asr/train.py", "obs://bucket/a/asr/", "asr/train.py"),
        ("s3://bucket/a/asr/", "asr/train.py", "s3://bucket/a/asr/", "asr/train.py"),
        ("S3://bucket/a/asr/", "/asr/train.py", "S3://bucket/a/asr/", "asr/train.py"),
        ("/bucket/a/asr/", "asr/train.py", "obs://bucket/a/asr/", "asr/train.py"),
    ],
)
def test_the_positional_form_of_the_ascend_images(
    image: Image, code_url: str, boot_file: str, code: str, boot: str
) -> None:
    calls = image.record_calls()
    done = image.run(
        "bash", "run_train.sh", code_url, boot_file, "/tmp/log/train.log", "--data_url=obs://b/d/", "--n=1 2"
    )
    assert done.returncode == 0, text(done)
    given = arguments(calls)
    assert option(given, "--code") == code
    assert option(given, "--log-file") == "/tmp/log/train.log"
    assert command_of(given) == ["python", boot, "--data_url=obs://b/d/", "--n=1 2"]


@pytest.mark.parametrize(
    ("environ", "launcher"),
    [
        ({}, ""),
        ({"RANK_TABLE_FILE": "/user/config"}, "ascend"),
        ({"RANK_TABLE_FILE_V_1_0": "/user/config/v1.json"}, "ascend"),
        ({"RANK_TABLE_FILE": "/user/config", "BOOTSTRAP_LAUNCHER": "msrun"}, "msrun"),
    ],
)
def test_the_positional_form_starts_a_process_for_each_device_of_a_rank_table(
    image: Image, environ: dict[str, str], launcher: str
) -> None:
    calls = image.record_calls()
    image.run("bash", "run_train.sh", "obs://b/asr", "asr/train.py", "/tmp/x.log", env=environ)
    assert option(arguments(calls), "--launcher") == launcher
    image.run("bash", "run_train.sh", "python", "asr/train.py", env=environ)
    assert option(arguments(calls), "--launcher") == "", "the other form says itself what it wants"


def test_the_positional_form_without_a_log_file_keeps_the_platforms(image: Image) -> None:
    calls = image.record_calls()
    image.run("bash", "run_train.sh", "obs://b/asr", "asr/train.py", "--lr=1")
    assert "--log-file" not in arguments(calls)
    assert command_of(arguments(calls)) == ["python", "asr/train.py", "--lr=1"]


def test_an_absolute_boot_file_inside_the_job_dir_stays_absolute(image: Image) -> None:
    calls = image.record_calls()
    boot = f"{image.home}/user-job-dir/asr/train.py"
    image.run("bash", "run_train.sh", "obs://b/asr", boot, "/tmp/x.log")
    assert command_of(arguments(calls)) == ["python", boot]


def test_an_image_whose_python_is_called_python3_runs_the_boot_file_too(image: Image, tmp_path: Path) -> None:
    calls = image.record_calls()
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "dirname"):
        (tools / name).symlink_to(shutil.which(name) or name)
    (tools / "python3").symlink_to(shutil.which("true") or "true")
    done = image.run("/bin/sh", "run_train.sh", "obs://b/asr", "asr/t.py", "/tmp/x.log", env={"PATH": str(tools)})
    assert done.returncode == 0, text(done)
    assert command_of(arguments(calls)) == ["python3", "asr/t.py"]


@pytest.mark.parametrize(
    "command",
    [
        ["/usr/bin/python", "train.py"],
        ["python", "train.py", "/tmp/log"],
        ["./code/run", "boot.py", "/tmp/train.log"],
        ["/home/work/", "--flag.py"],
        ["obs://bucket/code", "boot.sh"],
    ],
)
def test_a_command_is_never_taken_for_the_positional_form(image: Image, command: list[str]) -> None:
    calls = image.record_calls()
    image.run("bash", "run_train.sh", *command)
    assert command_of(arguments(calls)) == command
    assert "--code" not in arguments(calls)


def test_variables_of_ours_come_before_the_scripts_own_defaults(image: Image) -> None:
    calls = image.record_calls()
    env = {"BOOTSTRAP_JOB_DIR": "/data/job", "BOOTSTRAP_CODE_FAILURE_EXIT": "0"}
    image.run("bash", "run_train.sh", "true", env=env)
    assert option(arguments(calls), "--job-dir") == "/data/job"
    assert option(arguments(calls), "--code-failure-exit") == "0"


def test_on_modelarts_v2_the_job_dir_is_where_that_platform_puts_the_code(image: Image) -> None:
    calls = image.record_calls()
    image.run("bash", "run_train.sh", "true", env={"MA_JOB_DIR": "/home/ma-user/modelarts/user-job-dir"})
    assert option(arguments(calls), "--job-dir") == "/home/ma-user/modelarts/user-job-dir"


def test_no_command_is_one_clear_message(image: Image) -> None:
    done = image.run("bash", "run_train.sh")
    assert done.returncode == 101
    assert b"no command given" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_a_script_copied_without_its_finder_says_what_to_copy(image: Image) -> None:
    (image.home / "run_bootstrap.sh").unlink()
    done = image.run("bash", "run_train.sh", "true")
    assert done.returncode == 127
    assert b"run_bootstrap.sh is missing" in done.stderr
