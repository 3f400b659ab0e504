"""Several machines on one: network namespaces with eth0 and ib0 where we may have them, else loopback addresses."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ..errors import CannotStart
from ..values import dataclass

# What is mounted below /etc lies over it, in this machine's own view: nothing is made in the real one.
_ENTER = """
hostname "$1" || exit
if [ -n "$3" ]; then
    mount -t overlay rehearsal -o "lowerdir=$3:/etc" /etc || echo "rehearsal: nothing can be mounted over /etc here" >&2
fi
mount --bind "$2" /etc/hosts && shift 3 && exec "$@"
"""


@dataclass(frozen=True, slots=True)
class RehearsalMachine:
    """One machine: its name, its address as others know it, and what goes before a command that is to run on it.

    ``environ`` is what a bootstrap needs there; ``cut`` takes it off the network, without a word to anybody, where it
    has one of its own.
    """

    name: str
    address: str
    front: tuple[str, ...]
    environ: dict[str, str]
    cut: Callable[[], None] | None = None


def can_have_namespaces() -> bool:
    """Whether this user may make network namespaces here: root, with the programs, and not forbidden by a container."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "unshare", "nsenter", "hostname", "mount"))):
        return False
    trial = (
        "unshare",
        "--net",
        "--mount",
        "--uts",
        "sh",
        "-c",
        "ip link add e0 type veth peer name e1 && mount -t tmpfs x /mnt",
    )
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


@contextmanager
def namespaces(
    names: Sequence[str], directory: Path, files: Mapping[str, str] | None = None
) -> Iterator[list[RehearsalMachine]]:
    """Machines of these host names that see each other over eth0 (10.77.0.i, the names' addresses) and ib0
    (10.88.0.i), at most 250. ``files`` are in the ``/etc`` of all of them, by their path below it. Gone at the end,
    with every process in them. Raises :class:`CannotStart`.
    """
    lab = f"rehearsal-{uuid.uuid4().hex[:8]}"
    table = directory / "hosts"
    lines = [f"10.77.0.{number} {name} {name.partition('.')[0]}" for number, name in enumerate(names, 1)]
    table.write_text("\n".join(["127.0.0.1 localhost", "::1 localhost", *lines, ""]))
    etc = directory / "etc"
    for name, text in (files or {}).items():
        (etc / name).parent.mkdir(parents=True, exist_ok=True)
        (etc / name).write_text(text)
    machines = []
    for number, name in enumerate(names, 1):
        enter = ("nsenter", f"--net=/run/netns/{lab}-{number}", "unshare", "--mount", "--uts", "sh", "-c", _ENTER, "sh")
        front = (*enter, name.partition(".")[0], str(table), str(etc) if files else "")
        machines.append(
            RehearsalMachine(name, f"10.77.0.{number}", front, {}, partial(_unplug, f"{lab}-switch", number))
        )
    everything = [f"{lab}-switch", *(f"{lab}-{number}" for number in range(1, len(names) + 1))]
    try:
        for namespace in everything:
            _ip("netns", "add", namespace)
        _ip("-n", everything[0], "-batch", "-", text=_switch(lab, len(names)))
        for number, namespace in enumerate(everything[1:], 1):
            _ip("-n", namespace, "-batch", "-", text=_ends(number))
        yield machines
    finally:
        for namespace in everything:
            left = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False)
            for pid in left.stdout.split():
                subprocess.run(["kill", "-KILL", pid], capture_output=True, check=False)
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)


def _switch(lab: str, count: int) -> str:
    lines = [f"link add {bridge} type bridge\nlink set {bridge} up" for bridge in ("eth", "ib")]
    for number in range(1, count + 1):
        for device, bridge in (("eth0", "eth"), ("ib0", "ib")):
            port = f"{device}-{number}"
            lines.append(f"link add {port} type veth peer name {device} netns {lab}-{number}")
            lines.append(f"link set {port} master {bridge} up")
    return "\n".join(lines) + "\n"


def _unplug(switch: str, number: int) -> None:
    """At the switch: the machine's own devices stay up, as behind a router that has failed."""
    _ip("-n", switch, "-batch", "-", text=f"link set eth0-{number} nomaster\nlink set ib0-{number} nomaster\n")


def _ends(number: int) -> str:
    lines = ["link set lo up"]
    for device, network in (("eth0", "10.77.0"), ("ib0", "10.88.0")):
        lines.append(f"addr add {network}.{number}/24 dev {device}\nlink set {device} up")
    return "\n".join(lines) + "\n"


def _ip(*words: str, text: str | None = None) -> None:
    done = subprocess.run(["ip", *words], input=text, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise CannotStart(
            "the rehearsal's machines cannot be made",
            where=f"ip {' '.join(words)}",
            why=done.stderr.strip(),
            remedy="rehearse with --network loopback",
        )


def loopback(count: int) -> list[RehearsalMachine]:
    """Machines that are one, each with an address of its own in the loopback's network. They share the ports, so those
    that jobs meet at are picked free for this one.
    """
    ports = _free_ports(2)
    shared = {"BOOTSTRAP_MEET_PORT": str(ports[0]), "MASTER_PORT": str(ports[1])}
    addresses = [f"127.0.{number // 250}.{number % 250 + 1}" for number in range(count)]
    return [RehearsalMachine(address, address, (), {**shared, "BOOTSTRAP_INTERFACE": address}) for address in addresses]


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("", 0)) for _ in range(count)]
    try:
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()
