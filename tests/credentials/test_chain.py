"""What boto3's own chain reads: deaf to what says nothing about keys, and words for what does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bootstrap.credentials.find import Keyring
from bootstrap.errors import KeysUnavailable, SecretUnreadable

KEYS = "[default]\naws_access_key_id = home-key\naws_secret_access_key = home-secret\n"
Seek = Callable[..., Keyring]


@contextmanager
def refusing(status: int, body: bytes = b"<E><Error><Code>No</Code></Error></E>") -> Iterator[str]:
    """A service that answers every request so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    directory = tmp_path / "home" / ".aws"
    directory.mkdir(parents=True)
    (directory / "credentials").write_text(KEYS)
    return directory


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_DEFAULTS_MODE", "bogus"),
        ("AWS_MAX_ATTEMPTS", "x"),
        ("AWS_RETRY_MODE", "zzz"),
        ("AWS_REQUEST_CHECKSUM_CALCULATION", "bogus"),
        ("AWS_CA_BUNDLE", "/nowhere/ca.pem"),
    ],
)
def test_what_says_nothing_about_keys_is_not_listened_to(
    name: str, value: str, seek: Seek, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    (home / "config").write_text("[default]\nretry_mode = bogus\nmax_attempts = many\ndefaults_mode = none\n")
    assert seek()().access_key == "home-key"


@pytest.mark.parametrize("mode", ["AWS_DEFAULTS_MODE", "AWS_RETRY_MODE", "AWS_MAX_ATTEMPTS"])
def test_nor_when_a_role_is_to_be_asked_for_them(
    mode: str, seek: Seek, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service of roles is a port where nobody listens: that is what is said, not the mode."""
    role = "role_arn = arn:aws:iam::123456789012:role/trainer\nsource_profile = base\nregion = us-east-1"
    (home / "config").write_text(f"[default]\n{role}\n[profile base]\n{KEYS.partition(chr(10))[2]}")
    (home / "credentials").unlink()
    monkeypatch.setenv(mode, "bogus")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    with pytest.raises(KeysUnavailable, match=r"does not answer .*127\.0\.0\.1:9"):
        seek()()


def ask_service(way: str, url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have boto3's chain find keys at ``url`` only: those of a container, or of a role for a token."""
    (home / "credentials").unlink()
    (home / "token").write_text("token")
    variables = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/keys"}
    if way == "token":
        variables = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(home / "token"), "AWS_ENDPOINT_URL_STS": url}
        variables |= {"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/trainer", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("way", ["container", "token"])
def test_a_page_of_a_portal_where_keys_should_be_is_no_defect(
    way: str, seek: Seek, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refusing(200, b"<html><br>Please log in") as url, pytest.raises(SecretUnreadable):
        ask_service(way, url, home, monkeypatch)
        seek()()


@pytest.mark.parametrize(("status", "passing"), [(503, True), (429, True), (403, False)])
@pytest.mark.parametrize("way", ["container", "token"])
def test_a_service_that_cannot_answer_now_is_told_apart_from_one_that_refuses(
    way: str, status: int, passing: bool, seek: Seek, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # botocore's own pauses between its tries
    with refusing(status) as url, pytest.raises(SecretUnreadable) as caught:
        ask_service(way, url, home, monkeypatch)
        seek()()
    assert isinstance(caught.value, KeysUnavailable) == passing, caught.value


@pytest.mark.parametrize("name", ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
def test_a_profile_that_is_not_there_is_named(
    name: str, seek: Seek, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "nobody")
    with pytest.raises(SecretUnreadable, match=r"the profile .* is not there .*nobody"):
        seek()()


@pytest.mark.parametrize("text", [b"[profile\nno = ", b"\xff\xfe\0[default]"])
def test_a_config_that_is_none_is_named(text: bytes, seek: Seek, home: Path) -> None:
    (home / "config").write_bytes(text)
    with pytest.raises(SecretUnreadable, match=r"not in the INI form .*/\.aws/config") as caught:
        seek()()
    assert "[default], region" in str(caught.value)


def test_a_role_without_its_source_is_named(seek: Seek, home: Path) -> None:
    (home / "config").write_text("[default]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = nobody\n")
    (home / "credentials").unlink()
    with pytest.raises(SecretUnreadable, match=r'source_profile "nobody"'):
        seek()()
