"""Fixtures that all tests share: the laboratory of ``tests/lab``, started when a test first asks for it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

from tests.lab import ci, hangs, last_words
from tests.lab.containers import Engine, engine
from tests.lab.faulty_proxy import FaultyProxy
from tests.lab.names import resolving
from tests.lab.netns import Host, running_hosts
from tests.lab.sharing import shared
from tests.lab.stores import Bucket, LabUnavailable, Store
from tests.lab.strict_proxy import DOMAIN, Obs
from tests.lab.tls import Authority


def pytest_configure(config: pytest.Config) -> None:
    """Our own hooks, for CI, for failures and for what hangs.

    And: a shell that runs the suite behind ``&`` has INT and QUIT ignored, nohup HUP, and what is ignored stays so in
    all that we start: a bootstrap then leaves them alone, as it should, and the tests that send them wait in vain.
    """
    settings.register_profile("lab", deadline=None)  # a busy machine is no failure
    settings.load_profile("lab")
    config.pluginmanager.register(ci)
    config.pluginmanager.register(hangs)
    config.pluginmanager.register(last_words)
    last_words.remember()
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@contextmanager
def lab_or_skip() -> Iterator[None]:
    """A lab that this machine cannot have skips the test with the reason; with CI=true that is a failure."""
    try:
        yield
    except LabUnavailable as problem:
        pytest.skip(str(problem))


@pytest.fixture(scope="session")
def lab_directory(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """One directory for all workers of this run."""
    base = tmp_path_factory.getbasetemp()
    return (base if worker_id == "master" else base.parent) / "lab"


@pytest.fixture(scope="session")
def seaweedfs(lab_directory: Path) -> Iterator[Store]:
    """A real SeaweedFS, one for all workers."""
    with lab_or_skip(), shared("seaweedfs", lab_directory) as store:
        yield store


@pytest.fixture(scope="session")
def rclone(lab_directory: Path) -> Iterator[Store]:
    """A real ``rclone serve s3``, one for all workers."""
    with lab_or_skip(), shared("rclone", lab_directory) as store:
        yield store


@pytest.fixture(scope="session")
def swift(lab_directory: Path) -> Iterator[Store]:
    """A real OpenStack Swift with s3api, one for all workers."""
    with lab_or_skip(), shared("swift", lab_directory) as store:
        yield store


@pytest.fixture(params=["seaweedfs", "rclone"])
def store(request: pytest.FixtureRequest) -> Store:
    """Every real store in turn."""
    found: Store = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def bucket(store: Store) -> Bucket:
    """A fresh bucket in every real store in turn."""
    return store.make_bucket()


@pytest.fixture
def obs(seaweedfs: Store) -> Iterator[Obs]:
    """SeaweedFS behind the strict proxy that behaves like Huawei's OBS; its names resolve in this process.

    For a child process put ``with_hosts(tmp_path / "hosts", obs.names())`` in front of its argv.
    """
    with resolving(DOMAIN), Obs(seaweedfs) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority that nobody trusts but who is told to (``AWS_CA_BUNDLE``)."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def obs_tls(seaweedfs: Store, authority: Authority) -> Iterator[Obs]:
    """As ``obs``, over HTTPS with the certificate of ``authority``."""
    with resolving(DOMAIN), Obs(seaweedfs, tls=authority.server(DOMAIN, f"*.{DOMAIN}")) as proxy:
        yield proxy


@pytest.fixture
def faulty(seaweedfs: Store) -> Iterator[FaultyProxy]:
    """SeaweedFS behind a network that fails when the test says so."""
    with FaultyProxy(seaweedfs.endpoint) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def containers() -> Iterator[Engine]:
    """podman with runc, its own configuration and storage, and Debian as the base image."""
    with lab_or_skip(), engine() as lab:
        yield lab


@pytest.fixture(scope="session")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Host]]:
    """Four machines, node-1 to node-4, with eth0 and ib0 each. Put back what you change."""
    with lab_or_skip(), running_hosts(4, tmp_path_factory.mktemp("hosts")) as four:
        yield four


@pytest.fixture
def user() -> list[str]:
    """What is put in front of an argv that is to run as a user who is not root; the files of root are its own."""
    if os.getuid() != 0:
        return []
    as_user = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    with lab_or_skip():
        if subprocess.run([*as_user, "true"], capture_output=True).returncode:
            raise LabUnavailable("lab: no user namespaces here")
    return as_user


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A directory that its own owner may not write to."""
    place = tmp_path / "closed"
    place.mkdir(mode=0o500)
    yield place
    place.chmod(0o700)
