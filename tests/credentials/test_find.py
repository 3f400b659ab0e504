from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from bootstrap.credentials.expiry import parse_time, seconds_left
from bootstrap.credentials.find import Keyring
from bootstrap.errors import CredentialsExpired, CredentialsMissing, SecretUnreadable
from bootstrap.job import Credentials
from bootstrap.masking.registry import Secrets
from tests.credentials.conftest import Notebook

Seek = Callable[..., Keyring]

PAIRS = [
    ("BOOTSTRAP_ACCESS_KEY_ID", "BOOTSTRAP_SECRET_ACCESS_KEY"),
    ("S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"),
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"),
    ("OBS_ACCESS_KEY_ID", "OBS_SECRET_ACCESS_KEY"),
]
TOKENS = [
    "BOOTSTRAP_SECURITY_TOKEN", "S3_SECURITY_TOKEN", "S3_SESSION_TOKEN", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN",
    "SECURITY_TOKEN", "SecurityToken", "OBS_SECURITY_TOKEN",
]  # fmt: skip


def stamp(seconds: float) -> str:
    return (datetime.now(timezone.utc) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def profile(path: Path, key: str, secret: str = "file-secret-key", name: str = "default", **more: str) -> Path:
    """Renew a profile file as the platform's agent does: by rename, readable by its owner alone."""
    lines = [f"[{name}]", f"aws_access_key_id = {key}", f"aws_secret_access_key = {secret}"]
    lines += [f"{option} = {value}" for option, value in more.items()]
    new = path.with_suffix(".new")
    new.write_text("\n".join(lines) + "\n")
    new.chmod(0o600)
    return new.rename(path)


# --- variables ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "secret"), PAIRS)
def test_each_spelling_of_the_pair_is_found_and_named(seek: Seek, log: Notebook, key: str, secret: str) -> None:
    found = seek({key: "access-key", secret: "secret-key"})()
    assert (found.access_key, found.secret_key, found.token, found.expires) == ("access-key", "secret-key", "", None)
    assert found.source == f"{key} and {secret}"
    assert found.source in str(log) and "access-key" not in str(log) and "secret-key" not in str(log)


def test_the_first_spelling_of_the_documented_order_wins(seek: Seek) -> None:
    environ = {name: f"{key}-value" for key, secret in PAIRS for name in (key, secret)}
    for key, secret in PAIRS:
        assert seek(environ)().source == f"{key} and {secret}"
        del environ[key], environ[secret]


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize(("key", "secret"), PAIRS)
def test_any_spelling_of_the_token_goes_with_a_pair_that_is_alone(seek: Seek, key: str, secret: str, name: str) -> None:
    assert seek({key: "access-key", secret: "secret-key", name: "the-token"})().token == "the-token"


def test_a_token_stays_with_the_pair_it_was_issued_for(seek: Seek) -> None:
    temporary = {
        "AWS_ACCESS_KEY_ID": "temporary",
        "AWS_SECRET_ACCESS_KEY": "its-secret",
        "AWS_SESSION_TOKEN": "its-token",
    }
    permanent = {"S3_ACCESS_KEY_ID": "permanent", "S3_SECRET_ACCESS_KEY": "another"}
    assert seek({**temporary, **permanent})().token == ""
    assert seek({**temporary, **permanent, "S3_ACCESS_KEY_ID": "temporary"})().token == "its-token"


def test_the_end_of_temporary_keys_is_read(seek: Seek) -> None:
    environ = {"S3_ACCESS_KEY_ID": "access-key", "S3_SECRET_ACCESS_KEY": "secret-key", "AWS_SESSION_TOKEN": "the-token"}
    found = seek({**environ, "AWS_CREDENTIAL_EXPIRATION": stamp(3600)})()
    left = seconds_left(found)
    assert left is not None and 3500 < left <= 3600
    assert seconds_left(seek(environ)()) is None


def test_white_space_around_a_key_is_dropped(seek: Seek) -> None:
    found = seek({"S3_ACCESS_KEY_ID": " access-key", "S3_SECRET_ACCESS_KEY": "secret-key\n"})()
    assert (found.access_key, found.secret_key) == ("access-key", "secret-key")


def test_decrypted_variables_stand_for_plain_ones_and_are_named_as_such(seek: Seek) -> None:
    keys = seek(
        {"S3_ACCESS_KEY_ID": "access-key", "S3_SECRET_ACCESS_KEY": "old"},
        decrypted={"S3_SECRET_ACCESS_KEY": "secret-key"},
    )
    assert keys().secret_key == "secret-key"
    assert keys().source == "S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY (decrypted)"


def test_every_value_is_registered_when_it_is_read_and_not_before(seek: Seek, secrets: Secrets) -> None:
    keys = seek(
        {"S3_ACCESS_KEY_ID": "access-key", "S3_SECRET_ACCESS_KEY": "secret-key", "S3_SECURITY_TOKEN": "the-token",
         "AWS_CREDENTIAL_EXPIRATION": "2099-01-01T00:00:00Z"}
    )  # fmt: skip
    assert secrets.values() == ()
    keys()
    assert set(secrets.values()) == {"access-key", "secret-key", "the-token"}


# --- what is wrong, in one message each ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"S3_ACCESS_KEY_ID": "access-key"}, "S3_ACCESS_KEY_ID is there, but S3_SECRET_ACCESS_KEY is missing"),
        ({"AWS_SECRET_ACCESS_KEY": "secret-key"}, "AWS_SECRET_ACCESS_KEY is there, but AWS_ACCESS_KEY_ID is missing"),
        (
            {"S3_ACCESS_KEY_ID": "access-key", "S3_SECRET_ACCESS_KEY": ""},
            "S3_ACCESS_KEY_ID is there, but S3_SECRET_ACCESS_KEY is empty",
        ),
        (
            {"AWS_SESSION_TOKEN": "the-token"},
            "AWS_SESSION_TOKEN is there, but AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are missing",
        ),
        ({"S3_ACCESS_KEY_ID": "", "S3_SECRET_ACCESS_KEY": " "}, "nothing in any of the places"),
    ],
)
def test_keys_that_are_not_whole_end_in_one_message(seek: Seek, environ: dict[str, str], message: str) -> None:
    with pytest.raises(CredentialsMissing) as failure:
        seek(environ)()
    assert message in str(failure.value) and failure.value.code == 107
    assert not any(value in str(failure.value) for value in environ.values() if value.strip())


def test_no_keys_at_all_name_every_place_that_was_looked_at(seek: Seek, tmp_path: Path) -> None:
    with pytest.raises(CredentialsMissing) as failure:
        seek()()
    for key, secret in PAIRS:
        assert f"{key} and {secret}" in failure.value.why
    assert str(tmp_path / "no-secrets") in failure.value.why and "boto3's own chain" in failure.value.why


def test_nothing_is_missed_before_keys_are_asked_for(seek: Seek, log: Notebook) -> None:
    seek()
    assert log.lines == []


def test_a_half_pair_is_warned_of_when_other_keys_serve(seek: Seek, log: Notebook) -> None:
    environ = {
        "S3_ACCESS_KEY_ID": "half-alone",
        "AWS_ACCESS_KEY_ID": "access-key",
        "AWS_SECRET_ACCESS_KEY": "secret-key",
    }
    assert seek(environ)().access_key == "access-key"
    (warning,) = log.warnings()
    assert warning == (
        "S3_ACCESS_KEY_ID is there, but S3_SECRET_ACCESS_KEY is missing "
        "used_instead=AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )


def test_a_token_that_another_spelling_of_the_pair_uses_is_not_odd(seek: Seek, log: Notebook) -> None:
    environ = {"AWS_SESSION_TOKEN": "the-token", "ACCESS_KEY_ID": "access-key", "SECRET_ACCESS_KEY": "secret-key"}
    assert seek(environ)().token == "the-token"
    assert log.warnings() == []


def test_two_sources_that_disagree_are_warned_of_once_with_the_winner(
    seek: Seek, log: Notebook, tmp_path: Path
) -> None:
    path = profile(tmp_path / "keys", "another-key")
    keys = seek(
        {
            "S3_ACCESS_KEY_ID": "access-key",
            "S3_SECRET_ACCESS_KEY": "secret-key",
            "AWS_SHARED_CREDENTIALS_FILE": str(path),
        }
    )
    keys(), keys()
    assert log.warnings() == [
        "two places hold different keys used=S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY "
        f"ignored=AWS_SHARED_CREDENTIALS_FILE ({path}, profile default)"
    ]


def test_two_sources_that_agree_are_not_worth_a_word(seek: Seek, log: Notebook) -> None:
    seek({name: "the-value" for pair in PAIRS for name in pair})()
    assert log.warnings() == []


# --- profile files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["AWS_SHARED_CREDENTIALS_FILE", "CREDENTIAL_PROFILES_FILE"])
def test_a_renewed_file_gives_its_new_keys_at_the_next_call(
    seek: Seek, secrets: Secrets, log: Notebook, tmp_path: Path, name: str
) -> None:
    path = profile(tmp_path / "keys", "first-key", aws_session_token="first-token", expiration=stamp(60))
    keys = seek({name: str(path)})
    assert keys().token == "first-token"
    profile(path, "second-key", "second-secret", aws_session_token="second-token", expiration=stamp(3600))
    found = keys()
    assert (found.access_key, found.secret_key, found.token) == ("second-key", "second-secret", "second-token")
    assert found.source == f"{name} ({path}, profile default)"
    assert {"first-key", "first-token", "second-key", "second-secret", "second-token"} <= set(secrets.values())
    assert "keys renewed" in str(log)


def test_a_file_of_the_option_comes_before_the_platforms_variables(seek: Seek, tmp_path: Path) -> None:
    path = profile(tmp_path / "keys", "from-option", name="mine")
    environ = {"S3_ACCESS_KEY_ID": "access-key", "S3_SECRET_ACCESS_KEY": "secret-key"}
    assert seek(environ, credentials_file=str(path), profile="mine")().access_key == "from-option"


def test_a_percent_sign_in_a_key_means_nothing(seek: Seek, tmp_path: Path) -> None:
    path = profile(tmp_path / "keys", "access-key", "100%secret%(x)s")
    assert seek({"AWS_SHARED_CREDENTIALS_FILE": str(path)})().secret_key == "100%secret%(x)s"


def test_a_file_that_is_written_in_place_is_waited_for(seek: Seek, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("aws_access_key_id = first-ha")
    path.chmod(0o600)
    later = threading.Timer(0.2, profile, [path, "whole-key"])
    later.start()
    try:
        assert seek({"AWS_SHARED_CREDENTIALS_FILE": str(path)})().access_key == "whole-key"
    finally:
        later.join()


def test_a_file_that_vanishes_leaves_the_keys_in_hand_while_they_last(
    seek: Seek, log: Notebook, tmp_path: Path
) -> None:
    path = profile(tmp_path / "keys", "first-key", aws_session_token="the-token", expiration=stamp(60))
    keys = seek({"AWS_SHARED_CREDENTIALS_FILE": str(path)})
    first = keys()
    path.unlink()
    assert keys() == keys() == first
    assert [text for text in log.warnings() if "those in hand still last" in text] == log.warnings()[-1:]


def test_keys_in_hand_still_last_though_those_of_another_place_have_ended(
    seek: Seek, log: Notebook, tmp_path: Path
) -> None:
    path = profile(tmp_path / "keys", "first-key", aws_session_token="the-token", expiration=stamp(60))
    environ = {
        "AWS_ACCESS_KEY_ID": "access-key",
        "AWS_SECRET_ACCESS_KEY": "secret-key",
        "AWS_SESSION_TOKEN": "old-token",
        "AWS_CREDENTIAL_EXPIRATION": stamp(-60),
    }
    keys = seek({**environ, "AWS_SHARED_CREDENTIALS_FILE": str(path)})
    first = keys()
    assert first.access_key == "first-key"
    path.unlink()
    assert keys() == first


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file or directory"),
        ("not an ini file with secret-key\n", "MissingSectionHeaderError"),
        ("[default]\nsecret-key alone\n", "ParsingError"),
        ("[default]\n" + "x" * 2_000_000, "over 1 MiB"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_without_its_content(
    seek: Seek, tmp_path: Path, content: str | None, why: str
) -> None:
    path = tmp_path / "keys"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SecretUnreadable) as failure:
        seek({"AWS_SHARED_CREDENTIALS_FILE": str(path)})()
    text = str(failure.value)
    assert f"AWS_SHARED_CREDENTIALS_FILE: {path}" in text and why in text and "secret-key" not in text
    assert failure.value.code == 117


def test_a_file_without_the_profile_says_so(seek: Seek, tmp_path: Path) -> None:
    path = profile(tmp_path / "keys", "access-key", name="other")
    with pytest.raises(CredentialsMissing, match=r"keys has no profile \[default\]"):
        seek({"AWS_SHARED_CREDENTIALS_FILE": str(path)})()


# --- secret files ------------------------------------------------------------------------------------------------


def secret_file(path: Path, value: str) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(value)
    path.chmod(0o600)
    return str(path)


def test_variables_with_file_behind_their_name_are_read_and_read_again(
    seek: Seek, secrets: Secrets, tmp_path: Path
) -> None:
    environ = {
        "S3_ACCESS_KEY_ID_FILE": secret_file(tmp_path / "ak", "access-key\n"),
        "S3_SECRET_ACCESS_KEY_FILE": secret_file(tmp_path / "sk", "secret-key\n"),
    }
    keys = seek(environ)
    assert (keys().access_key, keys().secret_key) == ("access-key", "secret-key")
    assert keys().source == "S3_ACCESS_KEY_ID_FILE and S3_SECRET_ACCESS_KEY_FILE"
    secret_file(tmp_path / "sk", "newer-secret")
    assert keys().secret_key == "newer-secret" and "newer-secret" in secrets.values()


@pytest.mark.parametrize("spell", [str.upper, str.lower])
def test_files_named_like_the_variables_are_found_in_the_secrets_directory(
    seek: Seek, tmp_path: Path, spell: Callable[[str], str]
) -> None:
    directory = tmp_path / "run-secrets"
    for name, value in (("OBS_ACCESS_KEY_ID", "access-key"), ("OBS_SECRET_ACCESS_KEY", "secret-key")):
        secret_file(directory / spell(name), value)
    found = seek(secrets_dir=str(directory))()
    assert (found.access_key, found.secret_key) == ("access-key", "secret-key")
    assert found.source == f"{directory}: OBS_ACCESS_KEY_ID and OBS_SECRET_ACCESS_KEY"


def kubernetes_volume(directory: Path, generation: int) -> None:
    """Renew a Secret's volume as the kubelet does: a new directory, and the link ``..data`` turned by rename."""
    fresh = directory / f"..{generation}"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        fresh.mkdir(exist_ok=True, parents=True)
        (fresh / name).write_text(f"{name}-{generation}")
        (fresh / name).chmod(0o600)
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(Path("..data", name))
    link = directory / "..data_tmp"
    link.symlink_to(fresh.name)
    link.rename(directory / "..data")
    shutil.rmtree(directory / f"..{generation - 1}", ignore_errors=True)


def test_a_kubernetes_volume_that_turns_under_us_never_gives_a_mixed_pair(seek: Seek, tmp_path: Path) -> None:
    directory = tmp_path / "volume"
    kubernetes_volume(directory, 0)
    keys = seek(secrets_dir=str(directory))
    done = threading.Event()

    def turn() -> None:
        for generation in range(1, 150):
            kubernetes_volume(directory, generation)
        done.set()

    turner = threading.Thread(target=turn)
    turner.start()
    seen = set()
    while not done.is_set() or not seen:
        found = keys()
        seen.add(found.access_key)
        assert found.access_key.removeprefix("AWS_ACCESS_KEY_ID") == found.secret_key.removeprefix(
            "AWS_SECRET_ACCESS_KEY"
        )
    turner.join()
    assert keys().access_key == "AWS_ACCESS_KEY_ID-149"


@pytest.mark.parametrize(
    ("mode", "verb"), [(0o644, "read by every user"), (0o640, "read by its group"), (0o666, "changed by")]
)
def test_loose_permissions_of_a_secret_file_are_reported_once_with_the_cure(
    seek: Seek, log: Notebook, tmp_path: Path, mode: int, verb: str
) -> None:
    path = profile(tmp_path / "keys", "access-key")
    path.chmod(mode)
    keys = seek({"AWS_SHARED_CREDENTIALS_FILE": str(path)})
    keys(), keys()
    (warning,) = log.warnings()
    assert str(path) in warning and verb in warning and f"mode {mode:04o}" in warning and "chmod 600" in warning


def test_an_absent_secret_file_is_named(seek: Seek, tmp_path: Path) -> None:
    environ = {"S3_ACCESS_KEY_ID_FILE": str(tmp_path / "absent")}
    with pytest.raises(SecretUnreadable, match=r"S3_ACCESS_KEY_ID_FILE: .*/absent\): No such file or directory"):
        seek(environ)()


# --- ends --------------------------------------------------------------------------------------------------------


def test_keys_that_have_ended_give_way_to_those_of_a_later_place(seek: Seek, tmp_path: Path) -> None:
    path = profile(tmp_path / "keys", "newer-key", aws_session_token="newer-token", expiration=stamp(3600))
    environ = {
        "AWS_ACCESS_KEY_ID": "ended-key",
        "AWS_SECRET_ACCESS_KEY": "secret-key",
        "AWS_SESSION_TOKEN": "old-token",
    }
    environ["AWS_CREDENTIAL_EXPIRATION"] = stamp(-5)
    assert seek({**environ, "AWS_SHARED_CREDENTIALS_FILE": str(path)})().access_key == "newer-key"


def test_keys_that_the_store_refuses_are_not_handed_out_again(seek: Seek, tmp_path: Path) -> None:
    path = profile(tmp_path / "keys", "newer-key", aws_session_token="newer-token")
    environ = {
        "AWS_ACCESS_KEY_ID": "ended-key",
        "AWS_SECRET_ACCESS_KEY": "secret-key",
        "AWS_SESSION_TOKEN": "old-token",
    }
    keys = seek({**environ, "AWS_SHARED_CREDENTIALS_FILE": str(path)})
    first = keys()
    assert first.access_key == "ended-key"
    keys.rejected(first)
    assert keys().access_key == "newer-key"


def test_keys_that_have_ended_with_nothing_newer_have_their_own_message(seek: Seek) -> None:
    environ = {
        "AWS_ACCESS_KEY_ID": "ended-key",
        "AWS_SECRET_ACCESS_KEY": "secret-key",
        "AWS_SESSION_TOKEN": "old-token",
    }
    with pytest.raises(
        CredentialsExpired, match=r"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.*ended at 2001-02-03"
    ) as failure:
        seek({**environ, "AWS_CREDENTIAL_EXPIRATION": "2001-02-03T04:05:06Z"})()
    assert failure.value.code == 205
    keys = seek(environ)
    keys.rejected(keys())
    with pytest.raises(CredentialsExpired, match="the store does not take them"):
        keys()


def test_tokens_that_ended_long_ago_are_forgotten_and_nothing_else_is(
    seek: Seek, secrets: Secrets, tmp_path: Path
) -> None:
    path = profile(tmp_path / "keys", "the-same-key", aws_session_token="token-00")
    keys = seek({"AWS_SHARED_CREDENTIALS_FILE": str(path)})
    for generation in range(1, 30):
        keys.rejected(keys())
        profile(path, "the-same-key", aws_session_token=f"token-{generation:02}")
    keys()
    tokens = sorted(set(secrets.values()) - {"the-same-key", "file-secret-key"})
    assert tokens == [f"token-{generation:02}" for generation in range(21, 30)]
    assert {"the-same-key", "file-secret-key"} <= set(secrets.values())


def test_tokens_that_may_still_live_are_not_forgotten(seek: Seek, secrets: Secrets, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    keys = seek({"AWS_SHARED_CREDENTIALS_FILE": str(path)})
    for generation in range(30):
        profile(path, "the-same-key", aws_session_token=f"token-{generation:02}")
        keys()
    assert len(secrets.values()) == 32


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5)),
        ("2026-01-02T03:04:05.000000Z", datetime(2026, 1, 2, 3, 4, 5)),
        ("2026-01-02T03:04:05.1234567Z", datetime(2026, 1, 2, 3, 4, 5)),
        ("2026-01-02T03:04:05+08:00", datetime(2026, 1, 1, 19, 4, 5)),
        ("2026-01-02 03:04:05-0130", datetime(2026, 1, 2, 4, 34, 5)),
        ("2026-01-02 03:04:05", datetime(2026, 1, 2, 3, 4, 5)),
    ],
)
def test_an_instant_is_read_in_every_form_that_clouds_write(text: str, moment: datetime) -> None:
    assert parse_time(text) == moment.replace(tzinfo=timezone.utc)


@pytest.mark.parametrize("text", ["", "soon", "2026-02-31T00:00:00Z", "1767323045"])
def test_what_is_no_instant_means_that_nobody_knows(text: str) -> None:
    assert parse_time(text) is None


# --- boto3's own chain --------------------------------------------------------------------------------------------


def test_boto3s_own_chain_is_asked_last_and_its_place_named(
    seek: Seek, secrets: Secrets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home" / ".aws").mkdir(parents=True)
    profile(tmp_path / "home" / ".aws" / "credentials", "home-key", "home-secret")
    found = seek()()
    assert (found.access_key, found.secret_key) == ("home-key", "home-secret")
    assert found.source == "boto3's own chain (shared-credentials-file)"
    assert {"home-key", "home-secret"} <= set(secrets.values())


def test_a_failure_in_boto3s_own_chain_is_one_message(seek: Seek, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/keys")
    with pytest.raises(SecretUnreadable, match=r"boto3's own chain failed .*192.0.2.1.*remove what it found there"):
        seek()()


def test_a_profile_that_is_not_in_the_file_is_said_though_boto3_does_not_know_it_either(
    seek: Seek, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"AWS_PROFILE": "mine", "AWS_SHARED_CREDENTIALS_FILE": str(profile(tmp_path / "keys", "a-key"))}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SecretUnreadable, match=rf"{tmp_path}/keys has no profile \[mine\]"):
        seek(environ)()


@pytest.fixture
def seek_in_variables(seek: Seek, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Keyring]:
    """Temporary keys in the variables of AWS, which boto3 looks at too, with the time given at which they end."""

    def ending_at(moment: str) -> Keyring:
        environ = {
            "AWS_ACCESS_KEY_ID": "access-key",
            "AWS_SECRET_ACCESS_KEY": "secret-key",
            "AWS_SESSION_TOKEN": "the-token",
            "AWS_CREDENTIAL_EXPIRATION": moment,
        }
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return seek(environ)

    return ending_at


def test_keys_in_variables_that_have_ended_are_called_that_though_boto3_finds_them_as_well(
    seek_in_variables: Callable[[str], Keyring],
) -> None:
    with pytest.raises(CredentialsExpired, match="they ended at 2020-01-02T03:04:05"):
        seek_in_variables("2020-01-02T03:04:05Z")()


def test_a_time_that_boto3_cannot_read_does_not_hide_that_the_store_calls_the_keys_ended(
    seek_in_variables: Callable[[str], Keyring],
) -> None:
    keys = seek_in_variables("tomorrow")
    keys.rejected(keys())
    with pytest.raises(CredentialsExpired, match="the store does not take them any more"):
        keys()


def test_credentials_never_show_themselves() -> None:
    assert "secret-key" not in repr(Credentials("access-key", "secret-key", "the-token", source="X"))
