"""Which network interface the nodes should speak through, and why.

The order is the old image's habit made explicit: what was asked for, InfiniBand (``ib0``, the default of its
``ip_mapper.py``), a bond, and what the default route uses. An interface counts when it is up and has an address.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import InterfaceMissing
from ..job import Sourced
from ..values import dataclass, replace

_HABITUAL = (("ib0", "the InfiniBand interface of ModelArts' pools"), ("bond0", "the bonded interface"))


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface: IPv4 addresses before IPv6 ones, ``speed`` in Mb/s (0: not told), ``reason`` why it was chosen."""

    name: str
    addresses: tuple[str, ...]
    up: bool
    speed: int = 0
    reason: str = ""

    @property
    def address(self) -> str:
        """The address that others reach us at; empty when there is none."""
        return self.addresses[0] if self.addresses else ""

    @property
    def usable(self) -> bool:
        return self.up and bool(self.addresses)

    @property
    def loopback(self) -> bool:
        return self.address in ("127.0.0.1", "::1") or self.name == "lo"

    def by_address(self, address: str) -> Interface | None:
        """This interface with one of its addresses as the one to use; nothing if it has no such address."""
        if address in self.addresses:
            return replace(self, addresses=(address, *(other for other in self.addresses if other != address)))
        if self.loopback and re.fullmatch(r"127(\.\d{1,3}){3}", address):  # all of 127.0.0.0/8 is its own
            return replace(self, addresses=(address,))
        return None

    def __str__(self) -> str:
        state = "up" if self.up else "down"
        told = [state, ", ".join(self.addresses) or "no address", *([f"{self.speed} Mb/s"] if self.speed else [])]
        return f"{self.name} ({', '.join(told)})"


def names() -> tuple[str, ...]:
    """The names of all interfaces of this network namespace, up or down: one system call, no library."""
    import socket  # here and not above: a job of one node never asks

    return tuple(name for _, name in socket.if_nameindex())


def inventory() -> tuple[Interface, ...]:
    """All interfaces of this network namespace, in the system's order."""
    import netifaces  # here and not above: a job of one node never pays for these two
    import psutil

    stats = psutil.net_if_stats()
    found = []
    for name in netifaces.interfaces():
        families = netifaces.ifaddresses(name)
        v4 = [entry["addr"] for entry in families.get(netifaces.AF_INET, []) if entry.get("addr")]
        # Every interface that is up has a link-local address, and it is of no use to a peer: that one needs to know
        # which of its own interfaces to send through.
        v6 = [e["addr"] for e in families.get(netifaces.AF_INET6, []) if not e.get("addr", "fe80").startswith("fe80")]
        # Not every driver tells its speed: then psutil says 0, and virtual ones -1 through a 16 or 32-bit field.
        state = stats.get(name)
        speed = state.speed if state and 0 < state.speed < 0xFFFF_0000 and state.speed != 0xFFFF else 0
        found.append(Interface(name, (*v4, *v6), state.isup if state else False, speed))
    return tuple(found)


def choose(asked: Sourced | None = None, *, required: bool = False) -> Interface:
    """The interface to use, with the reason.

    ``asked`` is a name or an address, from an option or from the platform; ``required`` says that a person asked, so
    nothing else will do: then :class:`InterfaceMissing` lists what is there. A platform's default that is absent or
    down is passed over, and the reason says so. With nothing but a loopback left, that is the answer.
    """
    there = inventory()
    by_name = {interface.name: interface for interface in there}
    passed_over: list[str] = []
    if asked:
        with_address = (interface.by_address(asked.value) for interface in there)
        candidate = by_name.get(asked.value) or next(filter(None, with_address), None)
        if candidate and candidate.usable:
            return _chosen(candidate, f"asked for by {asked.source}", passed_over)
        problem = str(candidate) if candidate else f"{asked.value} is absent"
        if required:
            raise InterfaceMissing(
                f"the network interface {asked.value} cannot be used",
                where=asked.source,
                why=f"{problem}; there are: {'; '.join(str(interface) for interface in there) or 'none'}",
                remedy="name one that is up and has an address, or leave it out",
            )
        passed_over.append(f"{problem}, though {asked.source} asks for it")
    for name, what in _HABITUAL:
        if candidate := by_name.get(name):
            if candidate.usable:
                return _chosen(candidate, what, passed_over)
            passed_over.append(str(candidate))
    for name in _default_routes():
        if (candidate := by_name.get(name)) and candidate.usable:
            return _chosen(candidate, "the default route's interface", passed_over)
    others = sorted((i for i in there if i.usable), key=lambda i: i.loopback)
    if not others:
        raise InterfaceMissing(
            "no network interface is up and has an address",
            why=f"there are: {'; '.join(str(interface) for interface in there) or 'none'}",
        )
    return _chosen(others[0], "the first that is up; there is no default route", passed_over)


def _chosen(interface: Interface, why: str, passed_over: Sequence[str]) -> Interface:
    reason = "; ".join([why, *(f"passed over: {text}" for text in passed_over)])
    return replace(interface, reason=reason)


def _default_routes() -> list[str]:
    import netifaces

    default = netifaces.gateways().get("default", {})
    return [default[family][1] for family in (netifaces.AF_INET, netifaces.AF_INET6) if family in default]
