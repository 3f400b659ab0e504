from __future__ import annotations

import pytest

from bootstrap.credentials.handover import for_command
from bootstrap.errors import UsageError

OURS = {
    "BOOTSTRAP_ACCESS_KEY_ID": "1",
    "BOOTSTRAP_SECRET_ACCESS_KEY": "2",
    "BOOTSTRAP_SECRET_ACCESS_KEY_FILE": "/f",
    "BOOTSTRAP_SECURITY_TOKEN": "3",
    "BOOTSTRAP_SECRET__DB_PASSWORD": "v1:x",
    "BOOTSTRAP_SECRETS_KEY_FILE": "/k",
}
STORE = {
    "S3_ACCESS_KEY_ID": "4",
    "S3_SECRET_ACCESS_KEY": "5",
    "AWS_SESSION_TOKEN": "6",
    "SecurityToken": "7",
    "OBS_SECRET_ACCESS_KEY_FILE": "/f",
    "AWS_SHARED_CREDENTIALS_FILE": "/f",
    "CREDENTIAL_PROFILES_FILE": "/f",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://x",
    "DLS_AES__DB_PASSWORD": "cipher",
    "DLS_DECRYPTOR_KEY_FILE": "/k",
    "DLS_KEY_ENDPOINT": "https://x",
    "DLS_KEY_JOB_ID": "j",
}
OTHER = {
    "PATH": "/bin",
    "WANDB_API_KEY": "8",
    "S3_ENDPOINT": "obs.test",
    "BOOTSTRAP_OUTPUT_DIR": "/out",
    "AWS_REGION": "r",
}
ENVIRON = {**OURS, **STORE, **OTHER}
PLAIN = {"DB_PASSWORD": "plain"}


def test_yes_gives_everything_as_before_except_what_is_ours_alone() -> None:
    assert for_command(ENVIRON, "yes", PLAIN) == (PLAIN, tuple(sorted(OURS)))


def test_no_takes_away_all_that_holds_decrypts_to_or_leads_to_a_key() -> None:
    assert for_command(ENVIRON, "no", PLAIN) == ({}, tuple(sorted({**OURS, **STORE})))


def test_names_are_all_that_is_given_encrypted_ones_in_plain() -> None:
    add, remove = for_command(ENVIRON, "S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY,DB_PASSWORD", PLAIN)
    assert add == PLAIN
    assert set(remove) == {*OURS, *STORE} - {"S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"}


def test_a_plain_variable_under_an_encrypted_ones_name_is_taken_away_too() -> None:
    assert for_command({"DB_PASSWORD": "old"}, "no", PLAIN) == ({}, ("DB_PASSWORD",))


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match=r"not there \(S3_SECRET, X\)"):
        for_command(ENVIRON, "PATH,S3_SECRET,X", PLAIN)
