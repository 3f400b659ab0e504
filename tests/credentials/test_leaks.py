"""The hunt itself must be able to find: a search that never finds anything proves nothing."""

from __future__ import annotations

import base64
import gzip
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.credentials.leaks import Leak, forms, hunt, processes

SECRET = 's3cr/t+with "odd" bytes=\\é'


@pytest.mark.parametrize(
    "hidden",
    [
        SECRET.encode(),
        quote(SECRET, safe="").encode(),
        quote(SECRET).encode(),
        json.dumps({"key": SECRET}).encode(),
        json.dumps({"key": SECRET}, ensure_ascii=False).encode(),
        repr({"key": SECRET}).encode(),
        base64.b64encode(f"0{SECRET}".encode()),
        base64.b64encode(f"01{SECRET}".encode()),
        base64.urlsafe_b64encode(f"012{SECRET}345".encode()),
        gzip.compress(b"start " + SECRET.encode(), mtime=0),
    ],
)
def test_every_form_is_found_in_files_and_texts(tmp_path: Path, hidden: bytes) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"before " + hidden if not hidden.startswith(b"\x1f") else hidden)
    assert [leak.secret for leak in hunt({"KEY": SECRET}, [tmp_path])] == ["KEY"]
    assert [leak.secret for leak in hunt({"KEY": SECRET}, texts={"stdout": hidden})] == ["KEY"]
    assert hunt({"OTHER": "another-secret"}, [tmp_path], {"stdout": hidden}) == []


@given(st.binary(max_size=9), st.text(min_size=9, max_size=40), st.binary(max_size=9))
def test_base64_hides_nothing_wherever_the_secret_stands_in_it(before: bytes, secret: str, after: bytes) -> None:
    try:
        raw = secret.encode()
    except UnicodeEncodeError:
        return
    assert hunt({"KEY": secret}, texts={"t": base64.b64encode(before + raw + after)})


def test_names_of_files_links_and_archives_are_searched(tmp_path: Path) -> None:
    (tmp_path / "log-secret-value.txt").touch()
    (tmp_path / "link").symlink_to("secret-value")
    with zipfile.ZipFile(tmp_path / "packed.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside", "secret-value " * 9)
    assert len(hunt({"KEY": "secret-value"}, [tmp_path])) == 3


def test_argument_lists_of_processes_are_searched() -> None:
    argv = [sys.executable, "-c", "print('ready', flush=True); input()", "--key=secret-value"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # until exec, the child has our argument list
        found = [
            leak
            for leak in hunt({"KEY": "secret-value"}, texts=processes(os.getpid()))
            if str(process.pid) in leak.where
        ]
        assert process.stdin is not None
        process.communicate(b"\n")
    assert found == [Leak("KEY", "plain", f"argv of {process.pid}")]


def test_a_leak_does_not_repeat_the_secret() -> None:
    assert "secret-value" not in repr(hunt({"KEY": "secret-value"}, texts={"stdout": b"secret-value"}))


def test_forms_are_never_empty() -> None:
    assert all(forms("secret-value").values())
