"""The old Python names run under whatever interpreter an image has, and hand over to the one that bootstrap runs on."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.netns import Host
from tests.lab.stores import Bucket, Store
from tests.scripts.conftest import Image, finished, text


def interpreters() -> Iterator[str]:
    """This one, and of each old version the first that runs: on PATH, or where pyenv keeps them."""
    yield sys.executable
    versions = Path(os.environ.get("PYENV_ROOT", "/nonexistent"), "versions")
    for version in ("2.7", "3.6"):
        name = f"python{version}"
        found = [shutil.which(name) or name, *map(str, sorted(versions.glob(f"{version}*/bin/{name}")))]
        for path in found:
            try:
                works = subprocess.run([path, "-c", ""], capture_output=True).returncode == 0
            except OSError:
                continue
            if works:
                yield path
                break


@pytest.fixture(params=list(interpreters()), ids=lambda path: Path(path).name)
def python(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("name", ["modelarts-downloader.py", "dls-downloader.py"])
def test_the_downloader_fetches_a_directory(image: Image, bucket: Bucket, store: Store, python: str, name: str) -> None:
    bucket.put_tree("a/code/", {"train.py": "print()", "lib/x.py": ""})
    done = image.run(python, name, "-r", "-s", bucket.url("a/code/"), "-d", "./here", env=store.env())
    assert done.returncode == 0, text(done)
    assert (image.home / "here/code/train.py").read_text() == "print()"
    assert b"success" in done.stderr


@pytest.mark.parametrize("name", ["modelarts-downloader.py", "dls-downloader.py"])
def test_the_downloader_fails_with_255(image: Image, python: str, name: str) -> None:
    done = image.run(python, name, "-r", "-s", "https://bucket.obs.example.com/code/", "-d", "./here")
    assert done.returncode == 255, text(done)


# --- addresses ------------------------------------------------------------------------------------------------------


def loopback() -> str:
    """The name of an interface that every machine has, with a known address."""
    return next(name for _, name in socket.if_nameindex() if name.startswith("lo"))


def test_get_ip_can_be_imported_and_gives_an_interfaces_address(image: Image, python: str) -> None:
    program = f"from ip_mapper import get_ip, log, err; log('a'); err('b'); print(get_ip({loopback()!r}))"
    done = image.run(python, "-c", program)
    assert done.stdout == b"127.0.0.1\n", text(done)


def test_an_interface_that_is_not_there_is_an_error_with_the_list_of_those_that_are(image: Image, python: str) -> None:
    done = image.run(python, "ip_mapper.py", "-i", "no-such0")
    assert done.returncode == 1
    assert done.stdout == b""
    assert b"no-such0 is absent" in done.stderr
    assert loopback().encode() in done.stderr


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_cluster_is_mapped_in_its_order_with_the_flags_of_old(image: Image, python: str) -> None:
    hosts = [f"127.0.0.2:{free_port()}", "localhost:6002"]
    nodes = []
    for own in hosts:
        flags = ["-H", own, "-p", own.partition(":")[2], "-i", loopback(), "-l", "job-1", "-P"]
        nodes.append(image.start(python, "ip_mapper.py", "-c", *hosts, *flags))
    expected = ",".join(f"127.0.0.1:{host.partition(':')[2]}" for host in hosts) + "\n"
    for done in map(finished, nodes):
        assert done.stdout.decode() == expected, text(done)
        assert b"Traceback" not in done.stderr


def cluster(index: int, **hosts: str) -> dict[str, str]:
    """A worker of a v1 job of as many nodes as there are hosts."""
    return {**hosts, "DLS_TASK_NUMBER": str(len(hosts)), "DLS_TASK_INDEX": str(index), "BATCH_JOB_ID": "job1"}


@pytest.mark.netns
def test_both_files_hold_the_addresses_on_the_fast_network(
    image: Image, hosts: list[Host], python: str, tmp_path: Path
) -> None:
    names = {"BATCH_CUSTOM0_HOSTS": f"{hosts[0].name}:6001", "BATCH_CUSTOM1_HOSTS": f"{hosts[1].name}:6002"}
    nodes = []
    for index, host in enumerate(hosts[:2]):
        directory = tmp_path / str(index)
        directory.mkdir()
        command = host.argv(python, str(image.home / "get_cluster_ib_ip.py"), "--timeout", "60")
        nodes.append(image.start(*command, env=cluster(index, **names), cwd=directory))
    for index, done in enumerate(map(finished, nodes)):
        assert done.returncode == 0, text(done)
        assert (tmp_path / str(index) / ".local_ib_ip").read_text() == hosts[index].ib0
        written = (tmp_path / str(index) / ".cluster_ib_ips").read_text()
        assert written == f"{hosts[0].ib0}:6001,{hosts[1].ib0}:6002"


def test_a_single_node_is_a_cluster_of_one(image: Image, python: str, tmp_path: Path) -> None:
    env = {**cluster(0, BATCH_CUSTOM0_HOSTS="me:6001"), "DLS_IPOIB_DEVICE": loopback()}
    done = image.run(python, image.home / "get_cluster_ib_ip.py", env=env, cwd=tmp_path)
    assert done.returncode == 0, text(done)
    assert (tmp_path / ".cluster_ib_ips").read_text() == "127.0.0.1:6001"
    assert (tmp_path / ".local_ib_ip").read_text() == "127.0.0.1"


ABSENT = cluster(1, BATCH_CUSTOM0_HOSTS="never-there.invalid:1", BATCH_CUSTOM1_HOSTS="localhost:2")


def test_a_parameter_server_ends_at_once_with_0_and_writes_nothing(image: Image, python: str, tmp_path: Path) -> None:
    env = {**ABSENT, "BATCH_TASKGROUP_NAME": "server"}
    done = image.run(python, image.home / "get_cluster_ib_ip.py", env=env, cwd=tmp_path)
    assert done.returncode == 0, text(done)
    assert not (tmp_path / ".cluster_ib_ips").exists()


def test_a_node_that_never_appears_ends_the_wait_at_the_deadline_by_name(image: Image, tmp_path: Path) -> None:
    script = image.home / "get_cluster_ib_ip.py"
    done = image.run(sys.executable, script, "--timeout", "0.5", env=ABSENT, cwd=tmp_path)
    assert done.returncode == 203, text(done)
    assert b"never-there.invalid" in done.stderr
    assert not (tmp_path / ".local_ib_ip").exists()
