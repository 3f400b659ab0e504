"""sftp:// from OpenSSH's own server with the limits it comes with, with tighter ones, and when connections end."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bootstrap.errors import SourceChanging, StoreUnavailable
from bootstrap.storage.schemes import parse
from tests.lab.ssh import SSHD
from tests.lab.waiting import until
from tests.storage.conftest import tree_of
from tests.storage.file_systems.test_file_systems import made, mover_of, running_sftp

paramiko = pytest.importorskip("paramiko", reason="needs the package paramiko")
ssh = pytest.importorskip("bootstrap.storage.file_systems.ssh")

pytestmark = [
    pytest.mark.skipif(not os.path.exists(SSHD), reason="lab: no sshd here (apt-get install openssh-server)"),
]
MANY = {f"d{number % 7}/{number}": os.urandom(50) for number in range(120)}


def served(url: str) -> Path:
    return Path(f"/{parse(url).path}")


def connections(url: str) -> list[psutil.Process]:
    """The processes of the server for those who have come."""
    port = parse(url).bucket.rpartition(":")[2]
    listening = next(
        process for process in psutil.process_iter(["cmdline"])
        if f"{served(url).parent}/sshd_config" in " ".join(process.info["cmdline"] or [])
    )  # fmt: skip
    assert port
    return listening.children()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    with running_sftp(tmp_path, monkeypatch, *getattr(request, "param", ())) as url:
        yield url


@pytest.mark.parametrize(
    "place",
    [(), ("MaxSessions 1",), ("MaxSessions 2", "MaxStartups 1:100:1"), ("MaxSessions 1", "MaxStartups 2:100:2")],
    indirect=True,
)
def test_a_server_with_limits_serves_all_threads(place: str, tmp_path: Path) -> None:
    made(served(place), MANY)
    assert mover_of().fetch(place, tmp_path / "to", direct=True).files == len(MANY)
    assert tree_of(tmp_path / "to") == MANY
    assert mover_of().deliver(tmp_path / "to", f"{place}up/").complete
    assert tree_of(served(place) / "up") == MANY


def test_threads_share_few_connections(place: str) -> None:
    made(served(place), {"x": b"x"})
    store, ready, seen = mover_of().stores.open(parse(place)), threading.Barrier(16), list[bytes]()

    def read() -> None:
        ready.wait()
        seen.append(b"".join(store.read(f"{parse(place).path}x")))
        ready.wait()

    threads = [threading.Thread(target=read) for _ in range(15)]
    for thread in threads:
        thread.start()
    ready.wait()
    ready.wait()
    assert seen == [b"x"] * 15
    assert len(connections(place)) <= 3
    for thread in threads:
        thread.join()


def _let_in(host: str, port: int) -> socket.socket:
    """A connection that the server greets: the one before it may not have been forgotten yet."""

    def greeted() -> socket.socket | None:
        connection = socket.create_connection((host, port))
        if connection.recv(4) == b"SSH-":
            return connection
        connection.close()
        return None

    found: socket.socket = until(greeted, "the server greets nobody")
    return found


@pytest.mark.parametrize("place", [("MaxStartups 1:100:1", "LoginGraceTime 60")], indirect=True)
def test_a_server_that_lets_nobody_in_for_now_is_asked_again(
    place: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made(served(place), {"x": b"x"})
    host, _, port = parse(place).bucket.partition("@")[2].partition(":")
    with pytest.raises(StoreUnavailable), _let_in(host, int(port)):  # now the server waits for it to log in
        mover_of().fetch(place, tmp_path / "no")
    mover = mover_of(retry_window=60.0)
    with _let_in(host, int(port)):
        fetching = threading.Thread(target=mover.fetch, args=(place, tmp_path / "to"), kwargs={"direct": True})
        fetching.start()
        window = mover.stores.open(parse(place)).retry_window
        until(lambda: window._began, "the fetch has not failed even once")
    fetching.join()
    assert tree_of(tmp_path / "to") == {"x": b"x"}
    assert capfd.readouterr().err == "", "paramiko's own words are not for our stderr"


def test_a_connection_that_ends_in_the_middle_is_made_again(place: str, tmp_path: Path) -> None:
    large = os.urandom(6 << 20)
    made(served(place), {"large": large, **MANY})
    mover = mover_of(retry_window=60.0)
    store = mover.stores.open(parse(place))
    assert store.stat(f"{parse(place).path}large")
    body = iter(store.read(f"{parse(place).path}large"))
    next(body)
    for connection in connections(place):
        for process in [*connection.children(recursive=True), connection]:
            process.kill()
    with pytest.raises(StoreUnavailable):
        list(body)
    mover.fetch(place, tmp_path / "to", direct=True)
    assert tree_of(tmp_path / "to") == {"large": large, **MANY}


def test_a_file_that_becomes_shorter_is_told_and_not_waited_for(place: str) -> None:
    made(served(place), {"x": bytes(5 << 20)})
    started = time.monotonic()
    body = iter(mover_of().stores.open(parse(place)).read(f"{parse(place).path}x"))
    next(body)
    os.truncate(served(place) / "x", (1 << 20) + 100_000)
    with pytest.raises(SourceChanging, match="shorter"):
        list(body)
    assert time.monotonic() - started < 50, "the silence that a dead server is given"


class _Silent(paramiko.ServerInterface):
    """Lets everybody in. What it does ``at`` the asking: never answer, or answer and then say nothing."""

    def __init__(self, at: str) -> None:
        self.at, self.over = at, threading.Event()

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_auth_password(self, username: str, password: str) -> int:
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        if self.at == "the subsystem":
            self.over.wait(60)
        return True


@pytest.mark.parametrize("at", ["the subsystem", "the version"])
def test_a_server_that_falls_silent_while_a_session_is_opened_is_given_up(
    at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "_SILENCE", 1.0)
    ours, theirs = socket.socketpair()
    server, silent = paramiko.Transport(theirs), _Silent(at)
    server.add_server_key(paramiko.RSAKey.generate(2048))
    server.start_server(server=silent, event=threading.Event())

    def connect() -> paramiko.SSHClient:
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect("lab", username="u", password="p", sock=ours, allow_agent=False, look_for_keys=False)
        return client

    try:
        began = time.monotonic()
        with pytest.raises((paramiko.SSHException, OSError)):
            ssh.Sessions(connect).own()
        assert time.monotonic() - began < 30
    finally:
        silent.over.set()
        server.close()
