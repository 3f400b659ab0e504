from __future__ import annotations

import builtins
import contextlib
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.credentials.decrypt import decrypt_environment
from bootstrap.credentials.sealing import Seal, generate_key
from bootstrap.errors import PathUnusable, SecretUnreadable
from bootstrap.masking.registry import Secrets
from tests.credentials.conftest import Notebook

KEY = bytes(range(32))
SEALED = Seal(KEY).close("NAME", "the-secret")


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    path = str(tmp_path / "job.key")
    generate_key(path)
    return path


def test_a_new_key_is_open_to_its_owner_alone_and_never_overwrites(key_file: str) -> None:
    assert stat.S_IMODE(Path(key_file).stat().st_mode) == 0o600
    before = Path(key_file).read_bytes()
    with pytest.raises(PathUnusable, match="exists already"):
        generate_key(key_file)
    assert Path(key_file).read_bytes() == before


@given(st.text(max_size=200), st.text(alphabet="ABC_", min_size=1))
def test_what_is_sealed_opens_again(plain: str, name: str) -> None:
    try:
        os.fsencode(plain)
    except UnicodeEncodeError:
        return  # no environment can hold it either
    seal = Seal(KEY)
    assert seal.open(name, seal.close(name, plain)) == plain


def test_the_same_secret_never_looks_the_same() -> None:
    assert Seal(KEY).close("NAME", "secret") != Seal(KEY).close("NAME", "secret")


@given(st.data())
def test_any_changed_or_missing_character_keeps_it_closed(data: st.DataObject) -> None:
    sealed = SEALED
    if data.draw(st.booleans()):
        bad = sealed[: data.draw(st.integers(0, len(sealed) - 1))]
    else:
        at = data.draw(st.integers(0, len(sealed.rstrip("=")) - 2))  # the last one holds bits that mean nothing
        other = data.draw(st.sampled_from("AZaz09-_ #"))
        bad = sealed[:at] + (other if other != sealed[at] else "!") + sealed[at + 1 :]
    with pytest.raises(SecretUnreadable) as failure:
        Seal(KEY).open("NAME", bad)
    assert "NAME" in str(failure.value) and "the-secret" not in str(failure.value)


@pytest.mark.parametrize(
    ("name", "key", "why"),
    [("OTHER", KEY, "made for another variable's name"), ("NAME", bytes(32), "the key is another one")],
)
def test_another_name_or_another_key_keeps_it_closed(name: str, key: bytes, why: str) -> None:
    with pytest.raises(SecretUnreadable, match=why):
        Seal(key).open(name, Seal(KEY).close("NAME", "the-secret"))


@pytest.mark.parametrize(
    ("content", "why"), [("", "base64 of 32 bytes"), ("c2hvcnQ=", "base64 of 32"), ("%%%", "base64 of 32")]
)
def test_a_file_that_is_no_key_is_named(tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / "key").write_text(content)
    with pytest.raises(SecretUnreadable, match=why) as failure:
        Seal.from_file(str(tmp_path / "key"))
    assert str(tmp_path / "key") in str(failure.value)


def test_sealed_variables_are_decrypted_in_a_job(key_file: str, secrets: Secrets, log: Notebook) -> None:
    sealed = Seal.from_file(key_file).close("S3_SECRET_ACCESS_KEY", "secret-key")
    environ = {"BOOTSTRAP_SECRET__S3_SECRET_ACCESS_KEY": sealed, "BOOTSTRAP_SECRETS_KEY_FILE": key_file}
    assert decrypt_environment(environ, secrets, log) == {"S3_SECRET_ACCESS_KEY": "secret-key"}
    assert secrets.values() == ("secret-key",)
    assert log.warnings() == []


def test_a_key_file_open_to_everybody_is_reported(key_file: str, secrets: Secrets, log: Notebook) -> None:
    Path(key_file).chmod(0o644)
    sealed = Seal.from_file(key_file).close("NAME", "secret-key")
    decrypt_environment({"BOOTSTRAP_SECRET__NAME": sealed, "BOOTSTRAP_SECRETS_KEY_FILE": key_file}, secrets, log)
    assert key_file in log.warnings()[0] and "mode 0644" in log.warnings()[0]


@pytest.mark.parametrize(
    ("key", "why"),
    [({}, "BOOTSTRAP_SECRETS_KEY_FILE does not name a file"), ({"BOOTSTRAP_SECRETS_KEY_FILE": "/no/key"}, "/no/key")],
)
def test_sealed_variables_without_a_key_are_one_message(
    secrets: Secrets, log: Notebook, key: dict[str, str], why: str
) -> None:
    with pytest.raises(SecretUnreadable, match=why):
        decrypt_environment({"BOOTSTRAP_SECRET__NAME": "v1:xxxx", **key}, secrets, log)


def test_without_the_package_the_message_says_how_to_get_it(key_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SecretUnreadable, match=r"pip install 'cryptography"):
        Seal.from_file(key_file)


# --- the command -------------------------------------------------------------------------------------------------


def bootstrap(*argv: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bootstrap", "secrets", *argv],
        input=stdin,
        env={"PATH": os.defpath, **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_command_makes_a_key_seals_and_opens(tmp_path: Path) -> None:
    key = str(tmp_path / "job.key")
    assert bootstrap("keygen", key).returncode == 0
    sealed = bootstrap("encrypt", "--key-file", key, "DB_PASSWORD", stdin="the-secret\n")
    assert sealed.returncode == 0 and sealed.stdout.startswith("BOOTSTRAP_SECRET__DB_PASSWORD=v1:")
    name, _, text = sealed.stdout.strip().partition("=")
    assert bootstrap("decrypt", "DB_PASSWORD", BOOTSTRAP_SECRETS_KEY_FILE=key, **{name: text}).stdout == "the-secret\n"
    assert bootstrap("decrypt", "--key-file", key, "DB_PASSWORD", stdin=sealed.stdout).stdout == "the-secret\n"


@pytest.mark.parametrize(
    ("argv", "stdin", "code", "message"),
    [
        (["encrypt", "NAME"], "x", 101, "no key file is given"),
        (["encrypt", "--key-file", "KEY", "NOT-A-NAME"], "x", 101, "cannot be a variable's name (NOT-A-NAME)"),
        (["encrypt", "--key-file", "KEY", "NAME"], "", 101, "there is nothing to encrypt (NAME): stdin was empty"),
        (["encrypt", "--key-file", "KEY", "NAME"], "a\0b", 101, "no variable can hold a zero byte"),
        (["decrypt", "--key-file", "KEY", "NAME"], "v1:AAAA", 117, "not a sealed text (NAME)"),
        (["encrypt", "--key-file", "/no/key", "NAME"], "x", 117, "the key file cannot be read (/no/key)"),
        (["keygen", "/no/such/directory/key"], "", 115, "the key file cannot be written (/no/such/directory/key)"),
        (["keygen", "KEY"], "", 115, "the key file exists already"),
    ],
)
def test_bad_input_of_the_command_is_one_message(
    key_file: str, argv: list[str], stdin: str, code: int, message: str
) -> None:
    ended = bootstrap(*[key_file if word == "KEY" else word for word in argv], stdin=stdin)
    assert ended.returncode == code, ended.stderr
    assert message in ended.stderr and "Traceback" not in ended.stderr and ended.stdout == ""


def test_a_secret_need_not_be_text(key_file: str) -> None:
    locale = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}  # in which Python is strict
    argv = [sys.executable, "-m", "bootstrap", "secrets"]
    words = ["--key-file", key_file, "NAME"]
    sealed = subprocess.run([*argv, "encrypt", *words], input=b"\xff\xfe-secret\n", env=locale, capture_output=True)
    assert sealed.stdout.startswith(b"BOOTSTRAP_SECRET__NAME=v1:"), sealed.stderr
    opened = subprocess.run([*argv, "decrypt", *words], input=sealed.stdout, env=locale, capture_output=True)
    assert opened.stdout == b"\xff\xfe-secret\n", opened.stderr


def test_nothing_typed_at_the_prompt_is_one_message(key_file: str) -> None:
    terminal, theirs = pty.openpty()
    argv = [sys.executable, "-m", "bootstrap", "secrets", "encrypt", "--key-file", key_file, "NAME"]
    with subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        said = b""
        while b"secret for NAME: " not in said:
            said += os.read(terminal, 4096)
        os.write(terminal, b"\x04")  # Ctrl-D
        with contextlib.suppress(OSError):  # the terminal's end
            while data := os.read(terminal, 4096):
                said += data
    os.close(terminal)
    assert process.returncode == 101, said
    assert b"there is nothing to encrypt" in said and b"defect" not in said
