from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.credentials.environment import register_environment, register_words
from bootstrap.masking.registry import SHORTEST, Secrets, secrets_in_url
from bootstrap.masking.stream import Redactor


def test_the_version_grows_with_each_new_value_and_only_then() -> None:
    secrets = Secrets()
    versions = [secrets.version]
    for value in ("first-value", "second-value", "first-value"):
        secrets.add("NAME", value)
        versions.append(secrets.version)
    assert versions == [0, 1, 2, 2]
    assert set(secrets.values()) == {"first-value", "second-value"}


def test_a_repr_shows_names_and_never_a_value() -> None:
    secrets = Secrets()
    secrets.add("S3_SECRET_ACCESS_KEY", "not-to-be-seen")
    assert repr(secrets) == "Secrets(S3_SECRET_ACCESS_KEY)"


def test_a_value_too_short_to_be_masked_is_refused_with_one_warning_that_does_not_show_it() -> None:
    secrets = Secrets()
    warning = secrets.add("PIN", "4711x")
    assert "PIN is shorter than 6 bytes and cannot be masked" in warning and "4711x" not in warning
    assert secrets.values() == () and secrets.version == 0
    assert secrets.add("PIN", "4711x") == ""


@pytest.mark.parametrize("value", ["", "  \n", "\0"[:0]])
def test_an_empty_value_is_no_secret_and_no_warning(value: str) -> None:
    secrets = Secrets()
    assert secrets.add("NAME", value) == "" and not secrets.values()


def test_bytes_are_counted_and_not_characters() -> None:
    secrets = Secrets()
    assert secrets.add("NAME", "密码") == ""
    assert secrets.values() == ("密码",)


def test_a_secret_of_several_lines_is_masked_line_by_line_too() -> None:
    secrets = Secrets()
    secrets.add("KEY", "first-line\nsecond-line\nx\n")
    assert {"first-line", "second-line", "first-line\nsecond-line\nx"} <= set(secrets.values())
    assert "x" not in secrets.values()


def test_values_come_longest_first() -> None:
    secrets = Secrets()
    for value in ("abcdef", "abcdefghij", "abcdefgh"):
        secrets.add(value, value)
    assert secrets.values() == ("abcdefghij", "abcdefgh", "abcdef")


def test_many_threads_lose_nothing() -> None:
    secrets = Secrets()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: secrets.add(f"NAME{n % 7}", f"value-{n:05}"), range(500)))
    assert len(secrets.values()) == 500 == secrets.version


@given(st.text(min_size=0, max_size=30))
def test_whatever_is_added_is_masked_or_warned_of(value: str) -> None:
    secrets = Secrets()
    warning = secrets.add("NAME", value)
    whole = value.strip()
    if whole and not warning:
        assert whole in secrets.values()
        assert whole not in Redactor(secrets).mask(f"before {whole} after").replace("***", "\0")
    assert bool(warning) == (0 < len(whole.encode()) < SHORTEST)


@pytest.mark.parametrize(
    ("url", "values"),
    [
        ("https://host/path?a=b", []),
        ("obs://bucket/key@v1/x:y@z", []),
        ("https://user:pass-word@host/path", ["pass-word"]),
        ("https://user:p%40ss@host", ["p%40ss", "p@ss"]),
        ("https://token-alone@host/", ["token-alone"]),
        ("https://user:@host/", []),
        ("https://host/o?X-Amz-Signature=5ig&X-Amz-Expires=60", ["5ig"]),
        ("https://host/o?X-Amz-Credential=KEY%2F20300101%2Fr%2Fs3%2Faws4_request", ["KEY"]),
        ("https://host/o?X-Amz-Credential=KEY/20300101/r/s3/aws4_request", ["KEY"]),
        ("https://host/o?AccessKeyId=KEY&Expires=1&Signature=a%2Bb%3D", ["KEY", "a%2Bb%3D", "a+b="]),
        ("https://host/o?AWSAccessKeyId=KEY&x-amz-security-token=T", ["KEY", "T"]),
        ("https://host/o?OSSAccessKeyId=KEY&security-token=T", ["KEY", "T"]),
        ("https://host/o?x-obs-security-token=T#top", ["T"]),
        ("https://[half/o?Signature=S", ["S"]),
        ("https://u:secret/with/slash@host", []),  # a slash ends the authority: that is a host named u
        ("git+https://token-alone@host/x.git", ["token-alone"]),
        ("ssh://git@host/x.git", []),
        ("obs:/key:secret@bucket/x", ["secret"]),
        ("s3:key:secret@bucket/x", ["secret"]),
        ("https://me:one@a/simple https://me:two@b/simple", ["one", "two"]),
        ("curl 'https://host/o?Signature=5ig' && wget \"https://me:pw@b\"; true", ["pw", "5ig"]),
        ('{"url":"https://host/o?AccessKeyId=KEY\\u0026Signature=5ig\\u0026Expires=1"}', ["KEY", "5ig"]),
        ('postgres://me:it\'s,"odd"@host/db', ['it\'s,"odd"']),
        ("curl https://host; git clone git@host:x https://me:pw@b", ["pw"]),
    ],
)
def test_a_url_gives_away(url: str, values: list[str]) -> None:
    assert [value for _, value in secrets_in_url(url)] == values


@given(st.text())
def test_no_text_is_too_strange_to_be_looked_through(text: str) -> None:
    for start in ("", "https://", "https://user:"):
        secrets_in_url(start + text)


def test_variables_named_like_secrets_and_urls_with_credentials_are_registered() -> None:
    secrets = Secrets()
    environ = {
        "WANDB_API_KEY": "wandb-value",
        "DB_PASSWORD": "db-password",
        "HF_TOKEN": "hf-token-value",
        "SecurityToken": "huawei-token",
        "PGPASSWORD": "postgres-password",
        "SSHPASS": "ssh-password",
        "SMTP_PASS": "smtp-password",
        "DB_CREDENTIALS": "redis://me:redis-password@host/0",
        "http_proxy": "me:proxy-password@proxy.test:3128",
        "GIT_REMOTE": "ssh://git@host.test/x.git",
        "COMPASS": "north by northwest",
        "S3_SECRET_ACCESS_KEY": "s3-secret",
        "PIP_INDEX_URL": "https://me:index-password@pypi.test/simple",
        "MODEL_URL": "https://b.obs.test/m?AccessKeyId=AKIA123&Signature=signature",
        "MAX_TOKENS": "1000000",
        "TOKENIZERS_PARALLELISM": "disabled",
        "HOME": "/home/ma-user",
        "SSH_PRIVATE_KEY": "/etc/hostname",
    }
    assert register_environment(environ, secrets) == []
    assert set(secrets.values()) == {
        "wandb-value", "db-password", "hf-token-value", "huawei-token", "s3-secret", "index-password",
        "AKIA123", "signature", "postgres-password", "ssh-password", "smtp-password", "proxy-password",
        "redis://me:redis-password@host/0", "redis-password",
    }  # fmt: skip


def test_urls_with_credentials_on_a_command_line_are_registered() -> None:
    secrets = Secrets()
    assert register_words(["train.py", "--data", "https://me:the-password@host/", "user@host"], secrets) == []
    assert secrets.values() == ("the-password",)


def test_short_secrets_in_the_environment_are_warned_of() -> None:
    assert register_environment({"DB_PASSWORD": "abc"}, Secrets()) == [
        "DB_PASSWORD is shorter than 6 bytes and cannot be masked where it is printed"
    ]
