"""The interface to use, chosen on real machines: network namespaces with eth0 and ib0."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.errors import InterfaceMissing
from bootstrap.job import Sourced
from bootstrap.network.interfaces import choose, inventory
from tests.conftest import lab_or_skip
from tests.lab.netns import Host, ip, running_hosts

CHOOSE = """
import json, sys
from bootstrap.errors import InterfaceMissing
from bootstrap.job import Sourced
from bootstrap.network.interfaces import choose
name, source, required = json.loads(sys.argv[1])
try:
    chosen = choose(Sourced(name, source) if name else None, required=required)
    print(json.dumps([chosen.name, chosen.address, chosen.reason]))
except InterfaceMissing as error:
    print(json.dumps(["", "", str(error)]))
"""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Host]:
    """A machine of its own, to break."""
    with lab_or_skip(), running_hosts(1, tmp_path) as (host,):
        yield host


def chosen(machine: Host, name: str = "", source: str = "", required: bool = False) -> tuple[str, str, str]:
    done = machine.run(sys.executable, "-c", CHOOSE, json.dumps([name, source, required]))
    name, address, reason = json.loads(done.stdout)
    return name, address, reason


@pytest.mark.netns
def test_infiniband_is_the_habit(machine: Host) -> None:
    name, address, reason = chosen(machine)
    assert (name, address) == ("ib0", "10.88.0.1")
    assert "InfiniBand" in reason


@pytest.mark.netns
def test_infiniband_stands_before_a_bond_and_a_bond_before_the_default_route(machine: Host) -> None:
    ip("-n", machine.namespace, "link", "add", "bond0", "type", "veth", "peer", "name", "far-end")
    machine.link("far-end", "up")
    ip("-n", machine.namespace, "address", "add", "10.66.0.1/24", "dev", "bond0")
    machine.link("bond0", "up")
    ip("-n", machine.namespace, "route", "add", "default", "via", "10.77.0.9")
    assert chosen(machine)[:2] == ("ib0", "10.88.0.1"), "both are up"
    machine.link("ib0", "down")
    assert chosen(machine)[:2] == ("bond0", "10.66.0.1")
    machine.link("bond0", "down")
    assert chosen(machine)[:2] == ("eth0", "10.77.0.1")


@pytest.mark.netns
def test_what_was_asked_for_comes_first(machine: Host) -> None:
    name, address, reason = chosen(machine, "eth0", "--interface", required=True)
    assert (name, address, reason) == ("eth0", "10.77.0.1", "asked for by --interface")


@pytest.mark.netns
def test_an_interface_may_be_asked_for_by_one_of_its_addresses(machine: Host) -> None:
    ip("-n", machine.namespace, "address", "add", "10.99.0.1/24", "dev", "eth0")
    ip("-n", machine.namespace, "address", "add", "fd00:77::1/64", "dev", "eth0", "nodad")
    for address in ("10.77.0.1", "10.99.0.1", "fd00:77::1"):
        assert chosen(machine, address, "--interface", required=True)[:2] == ("eth0", address)
    assert chosen(machine, "127.1.2.3", "--interface", required=True)[:2] == ("lo", "127.1.2.3")
    assert "10.99.0.2 is absent" in chosen(machine, "10.99.0.2", "--interface", required=True)[2]


@pytest.mark.netns
def test_an_interface_that_is_down_is_passed_over_and_said(machine: Host) -> None:
    machine.link("ib0", "down")
    ip("-n", machine.namespace, "route", "add", "default", "via", "10.77.0.254")
    name, _, reason = chosen(machine)
    assert name == "eth0"
    assert "the default route's interface; passed over: ib0 (down" in reason


@pytest.mark.netns
def test_a_bond_comes_before_the_default_route(machine: Host) -> None:
    machine.link("ib0", "down")
    ip("-n", machine.namespace, "link", "add", "bond0", "type", "veth", "peer", "name", "other")
    machine.link("other", "up")
    machine.link("bond0", "up")
    ip("-n", machine.namespace, "route", "add", "default", "via", "10.77.0.254")
    assert chosen(machine)[0] == "eth0", "a bond without an address does not count"
    ip("-n", machine.namespace, "address", "add", "10.99.0.1/24", "dev", "bond0")
    assert chosen(machine)[0] == "bond0"


@pytest.mark.netns
def test_ipv6_alone_will_do(machine: Host) -> None:
    ip("-n", machine.namespace, "address", "flush", "dev", "ib0", "scope", "global")
    ip("-n", machine.namespace, "address", "add", "fd00:88::1/64", "dev", "ib0", "nodad")
    assert chosen(machine)[:2] == ("ib0", "fd00:88::1")


@pytest.mark.netns
def test_a_platforms_default_that_is_absent_is_passed_over_but_an_option_is_not(machine: Host) -> None:
    name, _, reason = chosen(machine, "ib7", "DLS_IPOIB_DEVICE")
    assert name == "ib0"
    assert "ib7 is absent, though DLS_IPOIB_DEVICE asks for it" in reason
    name, _, message = chosen(machine, "ib7", "--interface", required=True)
    assert name == ""
    assert "ib7 is absent; there are: " in message
    assert "ib0 (up, 10.88.0.1" in message


@pytest.mark.netns
def test_with_nothing_but_a_loopback_that_is_the_answer(machine: Host) -> None:
    machine.link("ib0", "down")
    machine.link("eth0", "down")
    assert chosen(machine)[:2] == ("lo", "127.0.0.1")


def test_an_interface_that_is_not_here_is_refused_with_the_list() -> None:
    with pytest.raises(InterfaceMissing, match="nosuch0") as caught:
        choose(Sourced("nosuch0", "--interface"), required=True)
    assert "lo (up, 127.0.0.1" in caught.value.why


def test_every_interface_of_this_machine_is_listed_with_its_state() -> None:
    loopback = next(interface for interface in inventory() if interface.name == "lo")
    assert loopback.usable
    assert loopback.loopback
    assert "127.0.0.1" in loopback.addresses


@pytest.mark.netns
def test_speed_is_told_where_the_driver_knows_it(machine: Host) -> None:
    say = "from bootstrap.network.interfaces import inventory\nfor one in inventory(): print(one)"
    told = machine.run(sys.executable, "-c", say).stdout
    speed = machine.run("cat", "/sys/class/net/ib0/speed").stdout.strip()
    assert f"ib0 (up, 10.88.0.1, {speed} Mb/s)\n" in told
    assert "Mb/s" not in told.partition("\n")[0], "the loopback has none"
