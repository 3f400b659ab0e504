"""The environment as it was meant: for every setting alike, and names that nobody reads are pointed out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bootstrap import variables
from bootstrap.settings import knobs, variable
from bootstrap.variables import read

ROOT = Path(variables.__file__).parents[1]


@pytest.mark.parametrize(
    "name",
    [
        *(variable(name) for name, _, _ in knobs()),
        *("S3_USE_HTTPS", "S3_ENDPOINT", "S3_VERIFY_SSL", "AWS_ENDPOINT_URL", "S3_REGION"),
        *("S3_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "OBS_SECURITY_TOKEN", "SECRET_ACCESS_KEY", "SecurityToken"),
        *("DLS_TRAIN_URL", "DLS_TASK_NUMBER", "MA_NUM_HOSTS", "VC_TASK_INDEX"),
    ],
)
def test_quotes_around_any_setting_are_taken_off_with_a_warning_that_has_no_value(name: str) -> None:
    found = read({name: '"hush-hush"'})
    assert found.environ[name] == "hush-hush"
    assert found.warnings == (f"{name}: quotes around its value taken off",)


def test_other_programs_variables_are_nobodys_business() -> None:
    assert read({"PS1": '"$ "', "MY_JSON": '"x"', "KAFKA": "a\n"}).warnings == ()


def test_a_list_of_items_may_end_in_a_new_line() -> None:
    assert read({"BOOTSTRAP_OUTPUT": "a=obs://b/c/\nd=obs://b/e/\n"}).warnings == ()


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("BOOTSTRAP_OUPUT", "BOOTSTRAP_OUTPUT"),
        ("BOOTSTRAP_OUTPUTS", "BOOTSTRAP_OUTPUT"),
        ("bootstrap_output", "BOOTSTRAP_OUTPUT"),
        ("BOOTSTRAP-LOG-FILE", "BOOTSTRAP_LOG_FILE"),
        ("BOOSTRAP_OUTPUT", "BOOTSTRAP_OUTPUT"),
        ("BOOTSRAP_GRACE", "BOOTSTRAP_GRACE"),
        ("BOOTSTRAP_MAX_RESTART", "BOOTSTRAP_MAX_RESTARTS"),
        ("S3_ENPOINT", "S3_ENDPOINT"),
        ("S3_ACESS_KEY_ID", "S3_ACCESS_KEY_ID"),
        ("AWS_SECRET_ACCES_KEY", "AWS_SECRET_ACCESS_KEY"),
        ("DLS_TRAIN_ULR", "DLS_TRAIN_URL"),
        ("MA_NUM_HOST", "MA_NUM_HOSTS"),
    ],
)
def test_a_name_that_nobody_reads_is_told_with_the_nearest_one(name: str, near: str) -> None:
    (warning,) = read({name: "x"}).warnings
    assert name in warning and warning.endswith(f"did you mean {near}?")


def test_a_name_behind_our_prefix_that_is_like_none_is_told_as_well() -> None:
    assert read({"BOOTSTRAP_ZZZZ_QQQQ": "x"}).warnings == ("BOOTSTRAP_ZZZZ_QQQQ is no setting, and nobody reads it",)


@pytest.mark.parametrize(
    "name",
    [
        *(f"BOOTSTRAP_{name}" for name in variables.FOR_THE_COMMAND),
        *("BOOTSTRAP_SECRET__DB_PASSWORD", "BOOTSTRAP_BIN", "BOOTSTRAP_ACCESS_KEY_ID_FILE", "BOOTSTRAP_PREFIX"),
        *(
            "BOOTCAMP",
            "BOOST_ROOT",
            "AWS_EC2_METADATA_DISABLED",
            "S3_REQUEST_TIMEOUT_MSEC",
            "DLS_DLKS_JOB_ID",
            "MA_MOUNT_PATH",
        ),
    ],
)
def test_what_somebody_reads_is_known(name: str) -> None:
    assert read({name: "x"}).warnings == ()


def test_a_name_like_one_that_is_set_is_somebody_elses() -> None:
    assert read({"S3_ENDPOINT_URL": "x", "S3_ENDPOINT": "x"}).warnings == ()


def test_every_name_that_the_project_itself_uses_is_known() -> None:
    files = [*ROOT.glob("bootstrap/**/*.py"), *ROOT.glob("scripts/*"), *ROOT.glob("docker/*"), *ROOT.glob("docs/*.md")]
    names = {name for file in files for name in re.findall(r"\bBOOTSTRAP_[A-Z_]*[A-Z]\b", file.read_text())}
    assert len(names) > 50
    assert read(dict.fromkeys(names - {"BOOTSTRAP_OUPUT"}, "x")).warnings == ()
