from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bootstrap.credentials.decrypt import decrypt_environment
from bootstrap.errors import SecretUnreadable
from bootstrap.masking.registry import Secrets
from tests.credentials.conftest import Notebook
from tests.credentials.tools import CLIENT, DECRYPTOR

Tool = Callable[[str, str], str]

SERVICE = {"DLS_KEY_ENDPOINT": "https://keys.test", "DLS_KEY_JOB_ID": "job1"}
CIPHERS = {"DLS_AES__S3_SECRET_ACCESS_KEY": "frperg-bar", "DLS_AES__DB_PASSWORD": "frperg-gjb"}
PLAINS = {"S3_SECRET_ACCESS_KEY": "secret-one", "DB_PASSWORD": "secret-two"}


@pytest.fixture
def key_file(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "key").write_text("right")
    return {"DLS_DECRYPTOR_KEY_FILE": str(tmp_path / "key")}


def test_the_decryptor_is_called_with_the_key_file_and_each_cipher(
    tool: Tool, key_file: dict[str, str], secrets: Secrets, log: Notebook
) -> None:
    environ = {"PATH": tool("dls-decryptor", DECRYPTOR), **key_file, **CIPHERS}
    assert decrypt_environment(environ, secrets, log) == PLAINS
    assert set(secrets.values()) == set(PLAINS.values())
    assert "names=DB_PASSWORD, S3_SECRET_ACCESS_KEY" in str(log) and "secret-one" not in str(log)


def test_the_key_client_gets_all_ciphers_on_stdin(tool: Tool, secrets: Secrets, log: Notebook) -> None:
    environ = {"PATH": tool("dls-key-client", CLIENT), **SERVICE, **CIPHERS}
    assert decrypt_environment(environ, secrets, log) == PLAINS
    assert set(secrets.values()) >= set(PLAINS.values())


def test_the_key_file_counts_before_the_key_service(
    tool: Tool, key_file: dict[str, str], secrets: Secrets, log: Notebook
) -> None:
    tool("dls-key-client", "raise SystemExit(9)")
    environ = {"PATH": tool("dls-decryptor", DECRYPTOR), **key_file, **SERVICE, **CIPHERS}
    assert decrypt_environment(environ, secrets, log) == PLAINS


@pytest.mark.parametrize("half", [{}, {"DLS_KEY_ENDPOINT": "https://keys.test"}, {"DLS_KEY_JOB_ID": "job1"}])
def test_ciphers_without_any_key_are_the_old_message_and_no_failure(
    secrets: Secrets, log: Notebook, half: dict[str, str]
) -> None:
    assert decrypt_environment({**CIPHERS, **half}, secrets, log) == {}
    (warning,) = log.warnings()
    assert warning.startswith("no related env found: DLS_AES__S3_SECRET_ACCESS_KEY, DLS_AES__DB_PASSWORD")


def test_nothing_encrypted_means_not_a_word_and_no_tool(
    key_file: dict[str, str], secrets: Secrets, log: Notebook
) -> None:
    assert decrypt_environment({**key_file, **SERVICE, "PATH": "/nowhere", "DLS_AES__": "x"}, secrets, log) == {}
    assert log.lines == []


def test_an_empty_cipher_is_warned_of(key_file: dict[str, str], secrets: Secrets, log: Notebook) -> None:
    assert decrypt_environment({**key_file, "DLS_AES__X": ""}, secrets, log) == {}
    assert log.warnings() == ["DLS_AES__X is empty: nothing to decrypt"]


def test_inner_lines_and_foreign_bytes_of_a_plaintext_are_kept(
    tool: Tool, key_file: dict[str, str], secrets: Secrets, log: Notebook
) -> None:
    path = tool("dls-decryptor", r"import os; os.write(1, b'line one\nline \xff two\n\n')")
    plain = decrypt_environment({"PATH": path, **key_file, "DLS_AES__X": "c"}, secrets, log)["X"]
    assert os.fsencode(plain) == b"line one\nline \xff two\n"


BAD_TOOLS = [
    ("import sys; sys.exit(1)", "dls-decryptor ended with exit status 1: a wrong key, or a truncated ciphertext"),
    ("import os; os.kill(os.getpid(), 9)", "dls-decryptor ended with signal 9"),
    ("", "the decryptor printed nothing: a wrong key, or a truncated ciphertext"),
    ("print('  ')", "the decryptor printed nothing"),
    (r"print('gar\0bage')", "the decryptor printed a zero byte"),
]


@pytest.mark.parametrize(("body", "why"), BAD_TOOLS)
def test_a_decryptor_that_fails_is_one_message_that_names_the_variable(
    tool: Tool, key_file: dict[str, str], secrets: Secrets, log: Notebook, body: str, why: str
) -> None:
    environ = {"PATH": tool("dls-decryptor", body), **key_file, "DLS_AES__SK": "cipher"}
    with pytest.raises(SecretUnreadable) as failure:
        decrypt_environment(environ, secrets, log)
    assert why in str(failure.value) and "(DLS_AES__SK" in str(failure.value) and failure.value.code == 117


def test_a_wrong_key_does_not_repeat_what_the_tool_said(
    tool: Tool, tmp_path: Path, secrets: Secrets, log: Notebook
) -> None:
    (tmp_path / "key").write_text("wrong")
    environ = {"PATH": tool("dls-decryptor", DECRYPTOR), "DLS_DECRYPTOR_KEY_FILE": str(tmp_path / "key"), **CIPHERS}
    with pytest.raises(SecretUnreadable, match=r"DLS_AES__S3_SECRET_ACCESS_KEY, .*exit status 1") as failure:
        decrypt_environment(environ, secrets, log)
    assert "secret-one" not in str(failure.value) + str(log)


def test_an_absent_key_file_is_named(tool: Tool, secrets: Secrets, log: Notebook) -> None:
    environ = {"PATH": tool("dls-decryptor", DECRYPTOR), "DLS_DECRYPTOR_KEY_FILE": "/no/such/key", **CIPHERS}
    with pytest.raises(SecretUnreadable, match="/no/such/key"):
        decrypt_environment(environ, secrets, log)


@pytest.mark.parametrize("name", ["dls-decryptor", "dls-key-client"])
def test_an_absent_tool_is_named_with_a_way_out(
    tmp_path: Path, key_file: dict[str, str], secrets: Secrets, log: Notebook, name: str
) -> None:
    environ = {"PATH": str(tmp_path), **(key_file if name == "dls-decryptor" else SERVICE), **CIPHERS}
    with pytest.raises(SecretUnreadable, match=f"the image has no {name} on its PATH.*bootstrap secrets encrypt"):
        decrypt_environment(environ, secrets, log)


def test_a_tool_that_is_no_program_is_one_message(
    tool: Tool, key_file: dict[str, str], secrets: Secrets, log: Notebook
) -> None:
    path = tool("dls-decryptor", "")
    Path(path, "dls-decryptor").write_bytes(b"\x7fELF of another machine")
    with pytest.raises(SecretUnreadable, match="dls-decryptor cannot be started: Exec format error"):
        decrypt_environment({"PATH": path, **key_file, **CIPHERS}, secrets, log)


def test_a_decryptor_that_hangs_is_ended_with_all_it_started(
    tool: Tool, tmp_path: Path, key_file: dict[str, str], secrets: Secrets, log: Notebook
) -> None:
    witness = tmp_path / "witness"
    os.mkfifo(witness)
    path = tool(
        "dls-decryptor",
        f"""
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.fork()  # the child holds the pipe as well
        held = os.open({str(witness)!r}, os.O_WRONLY)
        time.sleep(600)
        """,
    )
    reader = os.open(witness, os.O_RDONLY | os.O_NONBLOCK)
    started = time.monotonic()
    with pytest.raises(SecretUnreadable, match=r"\(DLS_AES__SK, .*\): dls-decryptor did not end within 2 s"):
        decrypt_environment({"PATH": path, **key_file, "DLS_AES__SK": "cipher"}, secrets, log, limit=2)
    assert time.monotonic() - started < 20
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b""  # the end of file comes when the last holder is dead
    os.close(reader)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("import sys; lines = sys.stdin.readlines(); print('secret-one')", "printed 1 line for 2 ciphertexts"),
        ("print('secret-one'); print('secret-two'); print('secret-3')", "printed 3 lines for 2 ciphertexts"),
        ("", "printed 0 lines for 2 ciphertexts"),
    ],
)
def test_a_client_with_another_number_of_lines_names_all_variables_and_what_came_is_still_masked(
    tool: Tool, secrets: Secrets, log: Notebook, body: str, why: str
) -> None:
    environ = {"PATH": tool("dls-key-client", body), **SERVICE, **CIPHERS}
    with pytest.raises(SecretUnreadable, match="DLS_AES__S3_SECRET_ACCESS_KEY, DLS_AES__DB_PASSWORD") as failure:
        decrypt_environment(environ, secrets, log)
    assert why in str(failure.value) and "secret-" not in str(failure.value)
    assert ("secret-one" in secrets.values()) == ("secret-one" in body)


def test_an_empty_line_of_the_client_names_its_variable(tool: Tool, secrets: Secrets, log: Notebook) -> None:
    environ = {"PATH": tool("dls-key-client", "print('secret-one'); print()"), **SERVICE, **CIPHERS}
    with pytest.raises(SecretUnreadable, match=r"\(DLS_AES__DB_PASSWORD\): the decryptor printed nothing"):
        decrypt_environment(environ, secrets, log)


def test_a_cipher_of_two_lines_cannot_be_sent_to_the_client(tool: Tool, secrets: Secrets, log: Notebook) -> None:
    environ = {"PATH": tool("dls-key-client", CLIENT), **SERVICE, "DLS_AES__X": "two\nlines"}
    with pytest.raises(SecretUnreadable, match=r"several lines \(DLS_AES__X\)"):
        decrypt_environment(environ, secrets, log)


def test_a_plaintext_is_in_nobodys_argument_list_or_environment(
    tool: Tool, tmp_path: Path, secrets: Secrets, log: Notebook
) -> None:
    spy = tmp_path / "seen"
    body = f"import sys, os; open({str(spy)!r}, 'a').write(repr((sys.argv, dict(os.environ))))\n" + CLIENT.replace(
        "\n    ", "\n"
    )
    environ = {"PATH": tool("dls-key-client", body), **SERVICE, **CIPHERS}
    assert decrypt_environment(environ, secrets, log) == PLAINS
    assert spy.read_text() and "secret-" not in spy.read_text()
