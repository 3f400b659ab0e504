"""Names to addresses with a deadline: names that are there, late, never, and a name server that is silent."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bootstrap.errors import NameUnresolved
from bootstrap.network.resolve import resolve, resolve_all, resolver
from tests.conftest import lab_or_skip
from tests.lab.heard import Heard
from tests.lab.netns import Host, running_hosts
from tests.lab.processes import end


def test_an_address_is_its_own_answer() -> None:
    assert resolve("127.0.0.1", deadline_s=0, stop=threading.Event(), log=Heard()) == ["127.0.0.1"]
    assert resolve("::1", deadline_s=0, stop=threading.Event(), log=Heard()) == ["::1"]


def test_a_known_name_is_found_even_with_no_time_to_wait() -> None:
    assert "127.0.0.1" in resolve("localhost", deadline_s=0, stop=threading.Event(), log=Heard())


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 64, "a..b"])
def test_a_name_that_never_comes_is_named_with_its_resolver(host: str) -> None:
    with pytest.raises(NameUnresolved) as caught:
        resolve(host, deadline_s=0.50000123, stop=threading.Event(), log=Heard())
    assert f"{host} could not be resolved within 0.5 s" in str(caught.value)
    assert "resolver: " in caught.value.why
    assert "attempts" in caught.value.why


def test_a_stop_ends_the_wait_at_once() -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    started = time.monotonic()
    with pytest.raises(NameUnresolved, match="asked to stop"):
        resolve("no-such-host.invalid", deadline_s=120, stop=stop, log=Heard())
    assert time.monotonic() - started < 30


def test_many_names_are_asked_for_side_by_side_and_all_missing_ones_named() -> None:
    hosts = ["localhost", "", "127.0.0.1", "localhost"]
    found = resolve_all(hosts, deadline_s=5, stop=threading.Event(), log=Heard())
    assert list(found) == ["localhost", "127.0.0.1"]
    with pytest.raises(NameUnresolved) as caught:
        resolve_all(["localhost", "a.invalid", "b.invalid"], deadline_s=0.3, stop=threading.Event(), log=Heard())
    assert caught.value.what.startswith("2 of 3 host names")
    assert caught.value.where == "a.invalid, b.invalid"


def test_more_names_than_are_asked_for_at_once_have_one_deadline_together() -> None:
    missing = [f"no-{number}.invalid" for number in range(100)]
    started = time.monotonic()
    with pytest.raises(NameUnresolved) as caught:
        resolve_all(["localhost", *missing], deadline_s=2, stop=threading.Event(), log=Heard())
    assert time.monotonic() - started < 6, "four rounds of 32 names, each with a deadline of its own, take 8 s"
    assert caught.value.what.startswith("100 of 101 host names")
    many = [*(f"127.0.0.{number}" for number in range(1, 80)), "localhost"]
    assert list(resolve_all(many, deadline_s=5, stop=threading.Event(), log=Heard())) == many


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Host]:
    """A machine of its own, whose names a test may change."""
    with lab_or_skip(), running_hosts(1, tmp_path) as (host,):
        yield host


@contextmanager
def name_server(machine: Host, directory: Path, spoken: str, records: str = "") -> Iterator[Path]:
    """One on ``machine``; what it knows is the file that this gives."""
    known = directory / "records"
    known.write_text(records)
    argv = (sys.executable, str(Path(__file__).with_name("name_server.py")), machine.eth0, str(known), spoken)
    serving = machine.start(*argv, stdout=subprocess.PIPE)
    try:
        assert serving.stdout is not None
        assert serving.stdout.readline().endswith("ready\n")
        yield known
    finally:
        end(serving)


def with_resolver(tmp_path: Path, *command: str, server: str = "10.77.0.1") -> list[str]:
    """``command`` with this name server and ``lab.test`` to search; each process on a lab's host has its own mounts."""
    resolver = tmp_path / "resolv.conf"
    resolver.write_text(f"nameserver {server}\nsearch lab.test\n")
    return ["sh", "-c", 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"', "sh", str(resolver), *command]


LATE = """
import sys, threading
from bootstrap.network.resolve import resolve
class Log:
    def info(self, event, **facts): print(event, flush=True)
    debug = warning = error = info
print("asking", flush=True)
print(resolve("late-node", deadline_s=60, stop=threading.Event(), log=Log()), flush=True)
"""


@pytest.mark.netns
def test_a_name_that_appears_later_is_found(machine: Host) -> None:
    asking = machine.start(sys.executable, "-c", LATE, stdout=subprocess.PIPE)
    assert asking.stdout is not None
    assert asking.stdout.readline() == "asking\n"
    with machine.hosts.open("a") as hosts:  # the same file: a new one would not show in there
        hosts.write("10.77.0.9 late-node\n")
    said, _ = asking.communicate(timeout=60)
    assert said.splitlines()[-1] == "['10.77.0.9']"


SILENT = """
import sys, threading, time
from bootstrap.errors import NameUnresolved
from bootstrap.network.resolve import resolve
class Log:
    def info(self, event, **facts): pass
    debug = warning = error = info
started = time.monotonic()
try:
    resolve("peer.example", deadline_s=2, stop=threading.Event(), log=Log())
except NameUnresolved as error:
    print(error.why)
print(time.monotonic() - started)
"""


@pytest.mark.netns
def test_a_name_server_that_is_silent_does_not_outlast_the_deadline(machine: Host, tmp_path: Path) -> None:
    done = machine.run(*with_resolver(tmp_path, sys.executable, "-c", SILENT, server="10.77.0.200"))
    why, took = done.stdout.splitlines()
    assert "does not answer" in why or "name resolution" in why
    assert "name servers 10.77.0.200, search lab.test" in why
    assert float(took) < 10


DNS_OVER_TCP = """
import socket, sys
print(socket.gethostbyname("tcp-only.lab.test"))
"""


@pytest.mark.netns
def test_use_vc_makes_the_systems_resolver_ask_over_tcp(machine: Host, tmp_path: Path) -> None:
    """What ``DLS_USE_DNS_TCP`` becomes, against a name server that speaks TCP only."""
    with name_server(machine, tmp_path, "tcp", "10.1.2.3 tcp-only.lab.test\n"):
        ask = with_resolver(tmp_path, sys.executable, "-c", DNS_OVER_TCP)
        over_tcp = machine.run(*ask, env={**os.environ, "RES_OPTIONS": "use-vc"})
        assert over_tcp.stdout == "10.1.2.3\n"
        over_udp = machine.run(*ask, env={**os.environ, "RES_OPTIONS": ""}, check=False)
        assert over_udp.returncode != 0


def test_the_resolver_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    assert "cannot be read" in resolver(tmp_path)
    (tmp_path / "etc/resolv.conf").write_text("# none\n")
    assert resolver(tmp_path) == "no name server in /etc/resolv.conf"
    (tmp_path / "etc/resolv.conf").write_text("nameserver 10.0.0.2\nnameserver 10.0.0.3\nsearch a b\n")
    assert resolver(tmp_path) == "name servers 10.0.0.2, 10.0.0.3, search a b"
