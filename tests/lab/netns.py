"""Several hosts on one machine: network namespaces, each with eth0, an InfiniBand-like ib0, a hostname and hosts file.

Names and devices are unique to the process, so that workers do not meet; the addresses may be the same, since nothing
leads from one lab to another. A host's processes are killed and its namespace removed when the block ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.names import SCRIPT
from tests.lab.stores import LabUnavailable

# A sysfs shows the network of the namespace that mounts it; the cgroups must stay where they are below it.
ENTER = f"""
hostname "$1" && mount -t sysfs lab "$2" && mount --rbind /sys/fs/cgroup "$2/fs/cgroup" && mount --rbind "$2" /sys &&
shift 2 && {SCRIPT}"""


@dataclass(frozen=True)
class Host:
    """One namespace that plays a machine. ``name`` resolves to ``eth0`` and ``name-ib`` to ``ib0``, on every host."""

    name: str
    namespace: str
    eth0: str
    ib0: str
    hosts: Path

    def argv(self, *command: str) -> list[str]:
        """``command`` on this host: its network, hostname, /etc/hosts and /sys/class/net. One process, no fork."""
        unshare = ["unshare", "--mount", "--uts", "sh", "-c", ENTER, "sh", self.name, str(self.hosts.parent / "sys")]
        return ["nsenter", f"--net=/run/netns/{self.namespace}", *unshare, str(self.hosts), *command]

    def run(self, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs ``command`` on this host to its end."""
        options = {"check": True, "capture_output": True, "timeout": 120, **options}
        return subprocess.run(self.argv(*command), text=True, **options)

    def start(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        """Starts ``command`` on this host; it is killed with the lab if it still runs then."""
        return subprocess.Popen(self.argv(*command), text=True, **options)

    def sent(self, device: str) -> int:
        """Bytes that left the host by this device since it was made."""
        return int(self.run("cat", f"/sys/class/net/{device}/statistics/tx_bytes").stdout)

    def link(self, device: str, *words: str) -> None:
        """``ip link set``: for example ``link("ib0", "down")`` in the middle of a job."""
        ip("-n", self.namespace, "link", "set", device, *words)

    def cut_off(self, device: str) -> None:
        """Unplug it behind the host's back: the device stays up, frames vanish, and nobody is told."""
        lab, _, number = self.namespace.rpartition("-")
        ip("-n", f"{lab}-switch", "link", "set", f"{device}-{number}", "nomaster")


@contextlib.contextmanager
def running_hosts(count: int, directory: Path, names: Sequence[str] = ()) -> Iterator[list[Host]]:
    """``count`` hosts, node-1 to node-N or of these ``names``, that see each other over eth0 (10.77.0.i) and ib0
    (10.88.0.i).

    ``directory`` takes the hosts files. Raises LabUnavailable where namespaces cannot be had.
    """
    if os.geteuid() != 0 or not shutil.which("ip"):
        raise LabUnavailable("lab: network namespaces need root and ip (apt-get install iproute2)")
    lab = f"lab-{uuid.uuid4().hex[:8]}"
    (directory / "sys").mkdir(parents=True, exist_ok=True)
    table = directory / "hosts"
    names = names or [f"node-{i}" for i in range(1, count + 1)]
    lines = [f"10.77.0.{i} {name}\n10.88.0.{i} {name}-ib" for i, name in enumerate(names, 1)]
    table.write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
    hosts = [Host(name, f"{lab}-{i}", f"10.77.0.{i}", f"10.88.0.{i}", table) for i, name in enumerate(names, 1)]
    switch = f"{lab}-switch"
    namespaces = [switch, *(host.namespace for host in hosts)]
    try:
        _build(switch, hosts)
        yield hosts
    finally:
        for namespace in namespaces:
            _remove(namespace)


def _build(switch: str, hosts: list[Host]) -> None:
    try:
        ip("netns", "add", switch)
    except subprocess.CalledProcessError as problem:
        raise LabUnavailable(f"lab: no network namespaces here: {problem.stderr.strip()}") from None
    for bridge in ("bridge-eth", "bridge-ib"):
        ip("-n", switch, "link", "add", bridge, "type", "bridge")
        ip("-n", switch, "link", "set", bridge, "up")
    for number, host in enumerate(hosts, 1):
        ip("netns", "add", host.namespace)
        ip("-n", host.namespace, "link", "set", "lo", "up")
        for device, bridge, address in (("eth0", "bridge-eth", host.eth0), ("ib0", "bridge-ib", host.ib0)):
            port = f"{device}-{number}"
            ip("-n", switch, "link", "add", port, "type", "veth", "peer", "name", device, "netns", host.namespace)
            ip("-n", switch, "link", "set", port, "master", bridge, "up")
            ip("-n", host.namespace, "addr", "add", f"{address}/24", "dev", device)
            ip("-n", host.namespace, "link", "set", device, "up")


def _remove(namespace: str) -> None:
    left = subprocess.run(["ip", "netns", "pids", namespace], text=True, capture_output=True)
    for process in left.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(process), signal.SIGKILL)
    subprocess.run(["ip", "netns", "del", namespace], capture_output=True)


def ip(*words: str) -> str:
    """The ``ip`` command; raises CalledProcessError."""
    return subprocess.run(["ip", *words], check=True, text=True, capture_output=True).stdout
