"""Hosts of the lab are told apart by everything a job looks at: names, addresses, interfaces, files of the kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.netns import Host, running_hosts

pytestmark = pytest.mark.netns

LISTEN = """
import socket
listener = socket.create_server(("0.0.0.0", 29500))
print("listening", flush=True)
connection, (peer, _) = listener.accept()
print(peer, connection.recv(100).decode())
"""
SPEAK = """
import socket, sys
with socket.create_connection((sys.argv[1], 29500), 30) as connection:
    connection.sendall(socket.gethostname().encode())
"""


def test_each_host_has_a_name_and_both_interfaces(hosts: list[Host]) -> None:
    for number, host in enumerate(hosts, 1):
        seen = host.run("sh", "-c", "hostname; ls /sys/class/net | xargs; ip -br -4 addr show ib0").stdout.split("\n")
        assert seen[0] == f"node-{number}"
        assert seen[1] == "eth0 ib0 lo"
        assert f"10.88.0.{number}/24" in seen[2]


def test_a_host_sees_the_machines_cgroups(hosts: list[Host]) -> None:
    assert hosts[0].run("ls", "/sys/fs/cgroup").stdout.split() == sorted(os.listdir("/sys/fs/cgroup"))


@pytest.mark.parametrize(("name", "peer"), [("node-1", "10.77.0.2"), ("node-1-ib", "10.88.0.2")])
def test_hosts_reach_each_other_by_name_over_either_network(hosts: list[Host], name: str, peer: str) -> None:
    with hosts[0].start(sys.executable, "-c", LISTEN, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "listening\n"
        hosts[1].run(sys.executable, "-c", SPEAK, name)
        assert server.stdout.readline() == f"{peer} node-2\n"


def test_a_link_can_go_down(hosts: list[Host]) -> None:
    hosts[0].link("ib0", "down")
    try:
        assert hosts[0].run("cat", "/sys/class/net/ib0/operstate").stdout == "down\n"
    finally:
        hosts[0].link("ib0", "up")


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    with running_hosts(1, tmp_path) as (host,):
        sleeper = host.start("sleep", "1000")
        assert os.path.exists(f"/run/netns/{host.namespace}")
    assert sleeper.wait(30) == -9
    assert not os.path.exists(f"/run/netns/{host.namespace}")
