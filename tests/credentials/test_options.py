"""The options that say where keys are, through the installed command and against a real store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.credentials.test_find import profile, secret_file
from tests.e2e.job import Container
from tests.lab.stores import Store


@pytest.mark.parametrize("by", ["option", "variable"])
@pytest.mark.parametrize("place", ["profile file", "secrets directory"])
def test_keys_come_from_the_place_that_is_named_and_it_is_said(
    container: Container, seaweedfs: Store, tmp_path: Path, place: str, by: str
) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put("code/a.txt", "fetched")
    environ = {name: value for name, value in seaweedfs.env().items() if "KEY" not in name}
    if place == "profile file":
        path = profile(tmp_path / "keys", seaweedfs.access_key, seaweedfs.secret_key, name="mine")
        options, source = {"credentials-file": str(path), "credentials-profile": "mine"}, f"{path}, profile mine"
    else:
        for name, value in (("S3_ACCESS_KEY_ID", seaweedfs.access_key), ("S3_SECRET_ACCESS_KEY", seaweedfs.secret_key)):
            secret_file(tmp_path / "secrets" / name, value)
        options, source = {"secrets-dir": str(tmp_path / "secrets")}, f"{tmp_path / 'secrets'}: S3_ACCESS_KEY_ID"
    words = []
    for name, value in options.items():
        if by == "option":
            words += [f"--{name}", value]
        else:
            environ[f"BOOTSTRAP_{name.replace('-', '_').upper()}"] = value
    result = container.run(*words, "--code", bucket.url("code/"), "--", "cat", "code/a.txt", environ=environ)
    assert (result.code, result.stdout) == (0, b"fetched"), result.stderr
    assert source in result.stderr


def test_a_metadata_service_that_is_named_and_not_there_is_one_message(container: Container, seaweedfs: Store) -> None:
    environ = {name: value for name, value in seaweedfs.env().items() if "KEY" not in name}
    words = ["--metadata-url", "http://127.0.0.1:9", "--store-timeout", "1"]
    result = container.run(*words, "--code", "obs://bucket/code/", "--", "true", environ=environ)
    assert result.code == 211
    assert "the metadata service gave no keys (http://127.0.0.1:9)" in result.stderr


def test_a_name_to_pass_on_that_is_not_there_is_told_before_anything_is_fetched(container: Container) -> None:
    (container.work / "data").mkdir()
    words = ["--pass-credentials", "MISPELT", "--input", f"got={container.work / 'data'}", "--", "true"]
    result = container.run(*words)
    assert result.code == 101
    assert "--pass-credentials names variables that are not there (MISPELT)" in result.stderr
    assert not (container.work / "got").exists()


def test_copies_of_keys_from_files_do_not_reach_a_command_that_is_to_have_none(
    container: Container, seaweedfs: Store, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put("code/a.txt", "fetched")
    environ = {name: value for name, value in seaweedfs.env().items() if "KEY" not in name}
    environ |= {"MY_COPY": seaweedfs.secret_key, "REMOTE": f"s3,secret={seaweedfs.secret_key},x", "HARMLESS": "stays"}
    path = profile(tmp_path / "keys", seaweedfs.access_key, seaweedfs.secret_key)
    words = ["--credentials-file", str(path), "--code", bucket.url("code/"), "--pass-credentials", "no"]
    result = container.run(*words, "--", "env", environ=environ)
    assert result.code == 0, result.stderr
    assert b"HARMLESS=stays" in result.stdout
    assert b"MY_COPY" not in result.stdout and b"REMOTE=" not in result.stdout
