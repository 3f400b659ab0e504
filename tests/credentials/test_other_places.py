"""The keys of places other than the object store: known by the scheme table, masked wherever they are printed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bootstrap.credentials.environment import register_environment
from bootstrap.credentials.names import is_secret_name
from bootstrap.masking.registry import Secrets
from bootstrap.masking.stream import Redactor
from bootstrap.storage.schemes import SCHEMES, secret_variables

LEADING = ("SSH_AUTH_SOCK", "GIT_ASKPASS", "KRB5CCNAME")  # to where keys are, which is no secret


@pytest.mark.parametrize("name", sorted(secret_variables() - set(LEADING)))
def test_what_holds_a_key_is_masked_by_its_name(name: str) -> None:
    if name.endswith(("_FILE", "_PATH", "_LOCATION")):
        assert not is_secret_name(name)
        return
    secrets = Secrets()
    register_environment({name: "Sesame-0123456789"}, secrets)
    assert "Sesame" not in Redactor(secrets).mask("it is Sesame-0123456789")


def test_every_scheme_that_goes_by_variables_names_them() -> None:
    without = {name for name, scheme in SCHEMES.items() if not scheme.secrets}
    assert without == {"obs", "s3", "file", "https", "http"}, "the object store's own are in credentials/names.py"


@pytest.mark.parametrize(
    ("name", "value", "printed"),
    [
        ("AZURE_STORAGE_CONNECTION_STRING",
         "DefaultEndpointsProtocol=https;AccountName=lab;AccountKey=c2VjcmV0LWtleQ==;EndpointSuffix=core.windows.net",
         "c2VjcmV0LWtleQ=="),
        ("AZURE_STORAGE_CONNECTION_STRING",
         "BlobEndpoint=https://lab.blob.core.windows.net/;SharedAccessSignature=sv=2024&ss=b&sig=ab%2Bcdefgh%3D",
         "ab+cdefgh="),
        ("AZURE_STORAGE_SAS_TOKEN", "?sv=2024-01-01&ss=b&sig=ab%2Bcdefgh%3D&se=2030", "ab%2Bcdefgh%3D"),
    ],
)  # fmt: skip
def test_the_key_in_a_document_is_masked_by_itself(name: str, value: str, printed: str) -> None:
    secrets = Secrets()
    register_environment({name: value}, secrets)
    masked = Redactor(secrets).mask(f"key: {printed}, account: lab, host: lab.blob.core.windows.net")
    assert printed not in masked and "account: lab, host: lab.blob.core.windows.net" in masked


def test_the_private_key_in_googles_key_file_is_masked(tmp_path: Path) -> None:
    key = "-----BEGIN PRIVATE KEY-----\nTUlJRXZRSUJBREFO\nQmdrcWhraUc5dzBC\n-----END PRIVATE KEY-----\n"
    path = tmp_path / "key.json"
    path.write_text(json.dumps({"type": "service_account", "project_id": "lab-project", "private_key": key}))
    secrets = Secrets()
    register_environment({"GOOGLE_APPLICATION_CREDENTIALS": str(path)}, secrets)
    masked = Redactor(secrets).mask(f"{path.read_text()}\n{key}")
    assert "TUlJRXZRSUJBREFO" not in masked and "QmdrcWhraUc5dzBC" not in masked
    assert "lab-project" in masked
    assert str(path) in Redactor(secrets).mask(str(path)), "a file's name is no secret"


@pytest.mark.parametrize("content", [b"", b"no JSON", b"[1]", b'{"private_key": 1}', b"\xff"])
def test_a_key_file_of_another_form_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.json"
    path.write_bytes(content)
    secrets = Secrets()
    assert register_environment({"GOOGLE_APPLICATION_CREDENTIALS": str(path)}, secrets) == []
    os.mkfifo(tmp_path / "pipe")
    assert register_environment({"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "pipe")}, secrets) == []
    assert len(secrets) == 0
