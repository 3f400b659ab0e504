"""Machines for tests: network namespaces with ``eth0`` and ``ib0`` each, on two switches, with names. Needs root.

Node ``i`` (from 0) has 10.77.0.(i+1) on eth0 and 10.88.0.(i+1) on ib0, and is called ``node-i``; ``node-i-ib`` is its
name on ib0. Nothing leaves the laboratory: its switches are in a namespace of their own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.stores import LabUnavailable

NETWORKS = {"eth0": "10.77.0", "ib0": "10.88.0"}


def why_not() -> str:
    """Why there can be no laboratory here; empty when there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need ip (the Debian package iproute2)"
    return ""


class Lab:
    """``count`` nodes; ``names`` chooses what node i is called (``node-i``)."""

    def __init__(self, count: int, names: Iterable[str] = ()) -> None:
        self.id = uuid.uuid4().hex[:6]
        self.count = count
        self.names = list(names) or [f"node-{i}" for i in range(count)]
        self._switch = f"sw-{self.id}"

    def namespace(self, node: int) -> str:
        return f"n{node}-{self.id}"

    def address(self, node: int, interface: str = "ib0") -> str:
        return f"{NETWORKS[interface]}.{node + 1}"

    def argv(self, node: int, *command: str) -> list[str]:
        """``command`` on that node: its interfaces, its hosts file, its own host name."""
        set_name = 'hostname "$1"; shift; exec "$@"'
        inside = ["unshare", "-u", "sh", "-c", set_name, "sh", self.names[node], *command]
        return ["ip", "netns", "exec", self.namespace(node), *inside]

    def run(
        self, node: int, *command: str, environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(node, *command), env=environ, capture_output=True, text=True, timeout=60, check=False
        )

    def ip(self, node: int, *arguments: str) -> None:
        """``ip -n <the node's namespace> ...``: a link down, another address, a route."""
        subprocess.run(["ip", "-n", self.namespace(node), *arguments], check=True)

    def sent(self, node: int, interface: str) -> int:
        """Bytes that left the node by this interface."""
        told = self.run(node, "cat", f"/sys/class/net/{interface}/statistics/tx_bytes")
        return int(told.stdout)

    def hosts_file(self, node: int) -> Path:
        """What ``ip netns exec`` mounts over /etc/hosts there; edit it in place to add a name later."""
        return Path("/etc/netns") / self.namespace(node) / "hosts"

    def up(self) -> None:
        batch = [f"link add br-{name} type bridge\nlink set br-{name} up" for name in NETWORKS]
        subprocess.run(["ip", "netns", "add", self._switch], check=True)
        _batch(self._switch, batch)
        names = ["127.0.0.1 localhost"]
        for node, name in enumerate(self.names):
            names += [f"{self.address(node, 'eth0')} {name}", f"{self.address(node, 'ib0')} {name}-ib"]
        for node in range(self.count):
            subprocess.run(["ip", "netns", "add", self.namespace(node)], check=True)
            self.hosts_file(node).parent.mkdir(parents=True)
            self.hosts_file(node).write_text("\n".join(names) + "\n")
            inside = ["link set lo up"]
            outside = []
            for name in NETWORKS:
                inside.append(f"link add {name} type veth peer name {name}-{node} netns {self._switch}")
                inside.append(f"address add {self.address(node, name)}/24 dev {name}")
                inside.append(f"link set {name} up")
                outside.append(f"link set {name}-{node} master br-{name} up")
            _batch(self.namespace(node), inside)
            _batch(self._switch, outside)

    def down(self) -> None:
        for node in range(self.count):
            subprocess.run(["ip", "netns", "delete", self.namespace(node)], check=False, stderr=subprocess.DEVNULL)
            shutil.rmtree(self.hosts_file(node).parent, ignore_errors=True)
        subprocess.run(["ip", "netns", "delete", self._switch], check=False, stderr=subprocess.DEVNULL)


def _batch(namespace: str, lines: Iterable[str]) -> None:
    subprocess.run(["ip", "-n", namespace, "-batch", "-"], input="\n".join(lines), text=True, check=True)


@contextmanager
def lab(count: int, names: Iterable[str] = ()) -> Iterator[Lab]:
    """A laboratory for one test; skips it, with the reason, where there can be none."""
    if reason := why_not():
        pytest.skip(str(LabUnavailable(reason)))
    made = Lab(count, names)
    try:
        made.up()
        yield made
    finally:
        made.down()
