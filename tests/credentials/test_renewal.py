"""Keys that end in the middle of a transfer to a store with its own notion of which keys are valid."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from bootstrap.credentials.find import Keyring
from bootstrap.errors import CredentialsExpired, CredentialsRejected
from bootstrap.job import Endpoint
from bootstrap.storage.open import Stores
from bootstrap.storage.schemes import parse
from bootstrap.storage.transfer import deliver
from tests.credentials.conftest import Notebook
from tests.credentials.test_find import profile
from tests.lab.stores import Bucket, Store
from tests.lab.strict_proxy import Obs

Seek = Callable[..., Keyring]
FILES = 120


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    directory = tmp_path / "outputs"
    directory.mkdir()
    for number in range(FILES):
        (directory / f"{number:03}").write_bytes(b"%d" % number * 500)
    return directory


def made(outputs: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in outputs.iterdir()}


def arrived(bucket: Bucket) -> dict[str, bytes]:
    return {key.removeprefix("o/"): content for key, content in bucket.tree("o/").items()}


class Agent:
    """The platform's agent: issues keys, writes them to the file, and lets the old ones end."""

    def __init__(self, obs: Obs, path: Path, lifetime: float | None) -> None:
        self.obs = obs
        self.path = path
        self.lifetime = lifetime
        self.issued: list[Store] = []
        self.renew()

    def renew(self) -> None:
        fresh = self.obs.issue(self.lifetime or 3600)
        more = {"aws_session_token": fresh.token}
        if self.lifetime:
            more["expiration"] = (datetime.now(timezone.utc) + timedelta(seconds=self.lifetime)).isoformat()
        profile(self.path, fresh.access_key, fresh.secret_key, **more)
        if self.issued and not self.lifetime:
            self.obs.end(self.issued[-1])
        self.issued.append(fresh)

    def renew_at(self, *counts: int) -> None:
        """Renew when so many objects (or parts) were sent, just before the store looks at the last one's keys."""
        puts = itertools.count(1)
        lock = threading.Lock()
        real = self.obs._authenticate

        def authenticate(request: object) -> None:
            with lock:
                if request.method == "PUT" and next(puts) in counts:  # type: ignore[attr-defined]
                    self.renew()
            real(request)  # type: ignore[arg-type]

        self.obs._authenticate = authenticate  # type: ignore[method-assign]


def stores(obs: Obs, keys: Keyring, log: Notebook) -> Stores:
    return Stores(Endpoint(obs.store.endpoint, obs.store.region), keys, log)


@pytest.mark.parametrize("code", ["InvalidSecurity", "ExpiredToken"])
def test_keys_renewed_four_times_without_an_end_in_one_delivery_lose_no_object(
    obs: Obs, outputs: Path, seek: Seek, log: Notebook, tmp_path: Path, code: str
) -> None:
    obs.policy.expired_as = code
    agent = Agent(obs, tmp_path / "keys", None)
    agent.renew_at(20, 45, 70, 95)
    bucket = obs.make_bucket()
    keys = seek({"AWS_SHARED_CREDENTIALS_FILE": str(agent.path)})
    report = deliver(stores(obs, keys, log), outputs, parse(bucket.url("o/")), stop=threading.Event(), log=log)
    assert report.failed == () and arrived(bucket) == made(outputs)
    assert len(agent.issued) == 5
    assert sum(seen.code == code for seen in obs.seen) >= 4  # the store did refuse the old ones


def test_keys_renewed_between_the_parts_of_one_object_do_not_lose_it(
    obs: Obs, tmp_path: Path, seek: Seek, log: Notebook
) -> None:
    agent = Agent(obs, tmp_path / "keys", None)
    agent.renew_at(3)
    bucket = obs.make_bucket()
    (tmp_path / "model").write_bytes(b"0123456789abcdef" * (70 << 16))
    opened = stores(obs, seek({"AWS_SHARED_CREDENTIALS_FILE": str(agent.path)}), log)
    deliver(opened, tmp_path / "model", parse(bucket.url("o/")), stop=threading.Event(), log=log)
    assert bucket.get("o/model") == (tmp_path / "model").read_bytes()
    assert len(agent.issued) == 2


def test_keys_that_never_worked_are_refused_and_not_called_ended(
    obs: Obs, outputs: Path, seek: Seek, log: Notebook
) -> None:
    environ = {
        "AWS_ACCESS_KEY_ID": "unknown-key",
        "AWS_SECRET_ACCESS_KEY": "secret-key",
        "AWS_SESSION_TOKEN": "token-x",
    }
    opened = stores(obs, seek(environ), log)
    with pytest.raises(CredentialsRejected):
        deliver(opened, outputs, parse(obs.make_bucket().url("o/")), stop=threading.Event(), log=log)


def test_tokens_of_three_seconds_are_renewed_before_they_end(
    obs: Obs, outputs: Path, seek: Seek, log: Notebook, tmp_path: Path
) -> None:
    agent = Agent(obs, tmp_path / "keys", 3)
    bucket = obs.make_bucket()
    opened = stores(obs, seek({"AWS_SHARED_CREDENTIALS_FILE": str(agent.path)}), log)
    over = threading.Event()

    def renew() -> None:
        while not over.wait(1):
            agent.renew()

    renewer = threading.Thread(target=renew)
    renewer.start()
    try:
        while len(agent.issued) < 6:  # twice as long as any one token lives
            report = deliver(opened, outputs, parse(bucket.url("o/")), stop=threading.Event(), log=log)
            assert report.failed == ()
    finally:
        over.set()
        renewer.join()
    assert arrived(bucket) == made(outputs)
    assert "keys renewed" in str(log)


def test_keys_of_the_environment_that_end_give_way_to_a_file_that_is_renewed(
    obs: Obs, outputs: Path, seek: Seek, log: Notebook, tmp_path: Path
) -> None:
    first = obs.issue()
    environ = {"AWS_ACCESS_KEY_ID": first.access_key, "AWS_SECRET_ACCESS_KEY": first.secret_key}
    environ["AWS_SESSION_TOKEN"] = first.token
    agent = Agent(obs, tmp_path / "keys", None)
    bucket = obs.make_bucket()
    opened = stores(obs, seek({**environ, "AWS_SHARED_CREDENTIALS_FILE": str(agent.path)}), log)
    target = parse(bucket.url("o/"))
    deliver(opened, outputs / "000", target, stop=threading.Event(), log=log)
    obs.end(first)
    deliver(opened, outputs, target, stop=threading.Event(), log=log)
    assert arrived(bucket) == made(outputs)


@pytest.mark.parametrize("code", ["InvalidSecurity", "ExpiredToken"])
def test_keys_that_die_with_nothing_newer_have_their_own_exit_code(
    obs: Obs, outputs: Path, seek: Seek, log: Notebook, code: str
) -> None:
    obs.policy.expired_as = code
    first = obs.issue()
    environ = {"AWS_ACCESS_KEY_ID": first.access_key, "AWS_SECRET_ACCESS_KEY": first.secret_key}
    environ["AWS_SESSION_TOKEN"] = first.token
    opened = stores(obs, seek(environ), log)
    target = parse(obs.make_bucket().url("o/"))
    deliver(opened, outputs / "000", target, stop=threading.Event(), log=log)
    obs.end(first)
    with pytest.raises(CredentialsExpired) as failure:
        deliver(opened, outputs / "001", target, stop=threading.Event(), log=log)
    assert failure.value.code == 205
