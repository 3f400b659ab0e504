from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bootstrap.credentials import metadata
from bootstrap.credentials.find import Keyring
from bootstrap.errors import CredentialsMissing, KeysUnavailable, SecretUnreadable, UsageError
from bootstrap.masking.registry import Secrets
from bootstrap.storage.common.retry import Retry
from bootstrap.storage.model.store import RetryWindow
from tests.lab.stores import free_ports

Seek = Callable[..., Keyring]


@dataclass
class Service:
    """The clouds' metadata service. ``token`` empty: the older way, which knows no session tokens."""

    token: str = ""
    refusal: int = 405
    status: int = 200
    pace: float = 0  # seconds between two bytes of an answer
    generation: int = 1
    answer: object = None
    url: str = ""
    asked: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def body(self) -> bytes:
        n = self.generation
        keys = {"access": f"meta-key-{n}", "secret": f"meta-secret-{n}", "securitytoken": f"meta-token-{n}"}
        keys["expires_at"] = "2099-01-02T03:04:05.000000Z"
        return json.dumps({"credential": keys} if self.answer is None else self.answer).encode()


@pytest.fixture
def service() -> Iterator[Service]:
    state = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            state.asked.append(f"PUT {self.path}")
            if not state.token:
                self.send_error(state.refusal)
            elif self.path == "/meta-data/latest/api/token" and self.headers["X-securitykey-Token-Ttl-Seconds"]:
                self.say(200, state.token.encode())
            else:
                self.send_error(400)

        def do_GET(self) -> None:
            state.asked.append(f"GET {self.path}")
            if self.headers.get("X-securitykey-Token", "") != state.token:
                self.send_error(401)
            elif self.path == "/openstack/latest/securitykey":
                self.say(state.status, state.body())
            else:
                self.send_error(404)

        def say(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if not state.pace:
                self.wfile.write(body)
                return
            for byte in body:
                if state.over.wait(state.pace):
                    return
                try:
                    self.wfile.write(bytes([byte]))
                except OSError:
                    return

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        state.url = f"http://127.0.0.1:{server.server_port}"
        yield state
        state.over.set()
        server.shutdown()


@pytest.mark.parametrize("refusal", [404, 405])
def test_the_older_way_answers_without_a_session_token(
    service: Service, seek: Seek, secrets: Secrets, refusal: int
) -> None:
    service.refusal = refusal
    found = seek(metadata_url=service.url)()
    assert (found.access_key, found.secret_key, found.token) == ("meta-key-1", "meta-secret-1", "meta-token-1")
    assert found.expires is not None and found.expires.isoformat() == "2099-01-02T03:04:05+00:00"
    assert found.source == f"metadata service {service.url}"
    assert {"meta-key-1", "meta-secret-1", "meta-token-1"} <= set(secrets.values())


def test_the_newer_way_wants_a_session_token_first(service: Service, seek: Seek) -> None:
    service.token = "session-token"
    assert seek(metadata_url=service.url)().access_key == "meta-key-1"
    assert service.asked == ["PUT /meta-data/latest/api/token", "GET /openstack/latest/securitykey"]


def test_the_service_is_asked_again_for_newer_keys(service: Service, seek: Seek) -> None:
    keys = seek(metadata_url=service.url)
    keys()
    service.generation = 2
    assert keys().token == "meta-token-2"


def test_the_service_is_not_asked_unless_chosen_nor_when_keys_are_there(service: Service, seek: Seek) -> None:
    with pytest.raises(CredentialsMissing):
        seek()()
    seek({"S3_ACCESS_KEY_ID": "access-key", "S3_SECRET_ACCESS_KEY": "secret-key"}, metadata_url=service.url)()
    assert service.asked == []


@pytest.mark.parametrize(
    ("status", "answer", "why"),
    [
        (200, {"credential": None}, "not the JSON of a credential"),
        (200, ["half-a-secret"], "not the JSON of a credential"),
        (404, None, "HTTP status 404; has the machine an agency?"),
    ],
)
def test_an_answer_without_keys_is_one_message_that_does_not_show_it(
    service: Service, status: int, answer: object, why: str
) -> None:
    service.status, service.answer = status, answer
    with pytest.raises(SecretUnreadable) as failure:
        metadata.read(service.url)
    assert why in str(failure.value) and "half-a-secret" not in str(failure.value)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_service_that_cannot_answer_now_is_told_apart_from_one_that_has_no_keys(
    service: Service, status: int
) -> None:
    service.status = status
    with pytest.raises(KeysUnavailable, match=str(status)):
        metadata.read(service.url)
    with pytest.raises(KeysUnavailable):
        metadata.read(f"http://127.0.0.1:{free_ports(1)[0]}")


def test_a_service_that_starts_later_than_the_job_is_asked_again(service: Service, seek: Seek) -> None:
    service.status = 503
    keys, asked = seek(metadata_url=service.url), 0

    def look() -> str:
        nonlocal asked
        asked += 1
        service.status = 200 if asked > 2 else 503
        return keys().access_key

    assert Retry(RetryWindow(60), threading.Event())(look) == "meta-key-1"
    assert asked == 3


def test_a_job_whose_keys_do_not_come_says_try_again(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    words = [
        "--metadata-url",
        url,
        "--store-timeout",
        "0.1",
        "--job-dir",
        str(tmp_path),
        "--code",
        "obs://bucket/code/",
    ]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "S3_ENDPOINT": url}
    argv = [sys.executable, "-m", "bootstrap", "run", "--log-file", str(tmp_path / "log"), *words, "--", "true"]
    run = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60)
    assert run.returncode == KeysUnavailable.code, run.stderr
    assert "the metadata service gave no keys" in run.stderr and "retry: yes" in run.stderr


@pytest.mark.parametrize("token", ["half-a-token\nthe-rest", "t\u00f6ken"])
def test_a_session_token_that_cannot_be_one_is_not_quoted(service: Service, token: str) -> None:
    service.token = token
    with pytest.raises(SecretUnreadable) as failure:
        metadata.read(service.url)
    assert "its session token cannot be one" in str(failure.value) and "half-a-token" not in str(failure.value)


def test_an_answer_with_an_empty_secret_is_no_key(service: Service, seek: Seek) -> None:
    service.answer = {"credential": {"access": "meta-key-1", "secret": ""}}
    with pytest.raises(CredentialsMissing, match="it answered, but without a key pair"):
        seek(metadata_url=service.url)()


def test_a_service_that_trickles_is_cut_off_at_the_limit(service: Service) -> None:
    service.pace = 0.3  # every read is answered in time; the whole would take half a minute
    started = time.monotonic()
    with pytest.raises(SecretUnreadable, match="no whole answer within 1 s"):
        metadata.read(service.url, limit=1)
    assert time.monotonic() - started < 8


def test_a_service_that_is_silent_is_cut_off_at_the_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(SecretUnreadable, match=r"within 0\.5 s"):
        metadata.read(f"http://127.0.0.1:{silent.getsockname()[1]}", limit=0.5)


def test_an_absent_service_is_one_message() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(SecretUnreadable, match="Connection refused"):
        metadata.read(url)


@pytest.mark.parametrize("url", ["169.254.169.254", "ftp://host", "http://", "http://host:99999", "http://[::1"])
def test_an_address_that_is_no_http_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match=r"not an http URL .* write it as http://169\.254\.169\.254, or leave it out"):
        metadata.read(url)


def test_proxies_never_see_the_keys(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert metadata.read(service.url)["access"] == "meta-key-1"
