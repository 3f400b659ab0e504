from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from bootstrap.credentials.handover import for_command
from bootstrap.errors import UsageError
from bootstrap.storage.schemes import secret_variables

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


@pytest.mark.parametrize("key", ["key+from/a==file", "words of a service"])
def test_copies_of_keys_that_no_variable_holds_are_taken_away(key: str) -> None:
    copies = {
        "COPY": key,
        "URL": f"https://host/?k={quote(key, safe='')}",
        "DOCUMENT": json.dumps({"secret_key": key}).replace("/", "\\/"),
        "ENCODED": base64.b64encode(f"user:{key}".encode()).decode(),
    }
    assert for_command({**OTHER, **copies}, "no", {}, {key}) == ({}, tuple(sorted(copies)))
    assert for_command({**OTHER, **copies}, "COPY", {}, {key}) == ({}, ())
    assert for_command({**OTHER, **copies}, "yes", {}, {key}) == ({}, ())


def test_names_are_all_that_is_given_encrypted_ones_in_plain() -> None:
    add, remove = for_command(ENVIRON, "S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY,DB_PASSWORD", PLAIN)
    assert add == PLAIN
    assert set(remove) == {*OURS, *STORE} - {"S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"}


def test_a_plain_variable_under_an_encrypted_ones_name_is_taken_away_too() -> None:
    assert for_command({"DB_PASSWORD": "old"}, "no", PLAIN) == ({}, ("DB_PASSWORD",))


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match=r"not there \(S3_SECRET, X\)"):
        for_command(ENVIRON, "PATH,S3_SECRET,X", PLAIN)


KEY, SECRET, TOKEN = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCY", "FwoGZXIvYXdz" * 20
KEYS = {"S3_ACCESS_KEY_ID": KEY, "S3_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN}
COPIES = {
    "MY_STORE_USER": KEY,
    "RCLONE_CONFIG_OBS_SECRET": SECRET,
    "FSSPEC_S3": json.dumps({"key": KEY, "secret": SECRET}),
    "PHP": json.dumps({"secret": SECRET}).replace("/", "\\/"),
    "STORE_URL": f"s3://{KEY}:{quote(SECRET, safe='')}@bucket/",
    "PRESIGNED": f"https://obs.test/b/k?X-Amz-Credential={KEY}%2F20260101&X-Amz-Signature=0",
    "SPACES": f"  {SECRET}\n",
    "ENCODED": base64.b64encode(f"{KEY}:{SECRET}".encode()).decode(),
    "IN_LINES": base64.encodebytes(f"token={TOKEN}".encode()).decode(),
}


@pytest.mark.parametrize("name", COPIES)
def test_no_takes_away_every_copy_of_a_key_under_whatever_name_and_in_whatever_spelling(name: str) -> None:
    _, remove = for_command({**KEYS, **OTHER, name: COPIES[name]}, "no", {})
    assert remove == tuple(sorted({*KEYS, name}))


def test_no_takes_away_copies_of_keys_that_were_encrypted() -> None:
    plain = {"S3_SECRET_ACCESS_KEY": SECRET, "DB_PASSWORD": "correct-horse"}
    environ = {"A": f"--secret={SECRET}", "B": "correct-horse", "C": "correct-horse-battery", "PATH": "/bin"}
    assert for_command(environ, "no", plain) == ({}, ("A", "B"))


def test_a_copy_of_what_is_given_by_name_stays_and_so_does_one_that_is_named() -> None:
    environ = {**KEYS, "COPY": KEY, "OTHER_COPY": SECRET, "NAMED_COPY": TOKEN}
    _, remove = for_command(environ, "S3_ACCESS_KEY_ID,NAMED_COPY", {})
    assert remove == ("AWS_SESSION_TOKEN", "OTHER_COPY", "S3_SECRET_ACCESS_KEY")


def test_values_too_short_to_be_keys_take_nothing_else_away() -> None:
    assert for_command({"S3_ACCESS_KEY_ID": "a", "HOME": "/a"}, "no", {"FLAG": "1"}) == ({}, ("S3_ACCESS_KEY_ID",))


def test_no_takes_away_what_other_places_go_by_and_copies_of_it() -> None:
    environ = {"HF_TOKEN": "hf_abcdefgh", "COPY": "Bearer hf_abcdefgh", "SSH_AUTH_SOCK": "/run/agent", "PATH": "/bin"}
    names = secret_variables()
    assert for_command(environ, "no", {}, (), names) == ({}, ("COPY", "HF_TOKEN", "SSH_AUTH_SOCK"))
    assert for_command(environ, "HF_TOKEN", {}, (), names) == ({}, ("SSH_AUTH_SOCK",))
    assert for_command(environ, "yes", {}, (), names) == ({}, ())
