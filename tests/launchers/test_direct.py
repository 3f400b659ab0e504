"""The variables of a plain ``env://`` script: consistent, explained, and nobody's own overwritten."""

from __future__ import annotations

import pytest

from bootstrap.job import Cluster, Node
from bootstrap.launchers.engines.direct import advice, environment

SINGLE = Cluster((Node(0, "pod-x", 6666),), slots=8, source="BATCH_j.0_HOSTS")


def cluster(count: int = 3, rank: int = 1, slots: int = 0, port: int | None = 6000) -> Cluster:
    nodes = tuple(Node(i, f"h{i}", port) for i in range(count))
    return Cluster(nodes, rank, slots, "the test")


def values(
    of: Cluster, environ: dict[str, str] | None = None, interface: str = "", address: str = ""
) -> dict[str, str]:
    found = environment(of, environ or {}, interface=interface, address=address)
    assert all(variable.why for variable in found)
    names = [variable.name for variable in found]
    assert len(set(names)) == len(names)
    return {variable.name: variable.value for variable in found}


def test_a_single_node_meets_itself_and_is_not_made_to_look_distributed() -> None:
    assert values(SINGLE, interface="ib0") == {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "6666",
        "NNODES": "1",
        "NODE_RANK": "0",
        "NPROC_PER_NODE": "8",
        "BOOTSTRAP_NODE_RANK": "0",
        "BOOTSTRAP_NNODES": "1",
        "BOOTSTRAP_ROLE": "worker",
        "BOOTSTRAP_HOSTS": "pod-x",
    }


def test_several_nodes_of_one_process_get_process_ranks_too() -> None:
    found = values(cluster(slots=1))
    assert {name: found[name] for name in ("MASTER_ADDR", "MASTER_PORT", "NNODES", "NODE_RANK")} == {
        "MASTER_ADDR": "h0",
        "MASTER_PORT": "6000",
        "NNODES": "3",
        "NODE_RANK": "1",
    }
    assert (found["WORLD_SIZE"], found["RANK"], found["LOCAL_WORLD_SIZE"], found["LOCAL_RANK"]) == ("3", "1", "1", "0")
    assert found["NPROC_PER_NODE"] == "1"


@pytest.mark.parametrize(
    ("of", "master", "port"),
    [
        (SINGLE, "this node", "listed for node 0 by BATCH_j.0_HOSTS"),
        (cluster(), "node 0 of the test", "listed for node 0 by the test"),
        (cluster(port=None), "node 0 of the test", "the default"),
    ],
)
def test_each_says_where_it_is_from(of: Cluster, master: str, port: str) -> None:
    told = {variable.name: variable.why for variable in environment(of, {})}
    assert (told["MASTER_ADDR"], told["MASTER_PORT"], told["NNODES"]) == (master, port, of.source)


def test_slots_that_nobody_knows_are_not_made_up() -> None:
    assert "NPROC_PER_NODE" not in values(cluster(slots=0))


def test_node_ranks_are_not_passed_off_as_process_ranks() -> None:
    found = values(cluster(slots=8))
    assert not found.keys() & {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"}
    assert (found["NNODES"], found["NODE_RANK"], found["NPROC_PER_NODE"]) == ("3", "1", "8")


@pytest.mark.parametrize("name", ["RANK", "WORLD_SIZE", "LOCAL_RANK"])
def test_process_ranks_are_given_all_together_or_not_at_all(name: str) -> None:
    found = values(cluster(slots=1), {name: "0"})
    assert not found.keys() & {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"}


def test_what_is_set_already_is_not_touched() -> None:
    theirs = {"MASTER_ADDR": "mine", "MASTER_PORT": "1234", "NCCL_SOCKET_IFNAME": "bond0,eth0", "NODE_RANK": "0"}
    found = values(cluster(), theirs, interface="ib0", address="10.88.0.2")
    assert not found.keys() & theirs.keys()
    assert found["GLOO_SOCKET_IFNAME"] == "ib0"


def test_a_variable_that_is_set_but_empty_counts_as_not_set() -> None:
    assert values(cluster(), {"MASTER_ADDR": ""})["MASTER_ADDR"] == "h0"


def test_each_library_gets_the_interface_in_its_own_grammar() -> None:
    for others, prefix in (((), ""), (("lo", "ib1", "bib0"), ""), (("lo", "ib0", "ib01"), "=")):
        made = environment(cluster(), {}, interface="ib0", interfaces=others)
        found = {variable.name: variable.value for variable in made}
        assert found["NCCL_SOCKET_IFNAME"] == found["HCCL_SOCKET_IFNAME"] == f"{prefix}ib0", others
        assert found["GLOO_SOCKET_IFNAME"] == found["TP_SOCKET_IFNAME"] == "ib0"


def test_no_interface_is_named_where_none_was_looked_for() -> None:
    assert not [name for name in values(cluster()) if name.endswith("IFNAME")]


def test_the_default_port_is_torchruns() -> None:
    assert values(cluster(port=None))["MASTER_PORT"] == "29500"


def test_a_single_node_is_told_a_port_only_where_the_platform_lists_one() -> None:
    """Scripts look for a free one themselves: ``${MASTER_PORT:-...}``. Two jobs of one machine must not be told one."""
    assert "MASTER_PORT" not in values(Cluster((Node(0, "h0"),), slots=8))
    assert values(Cluster((Node(0, "h0", 6666),)))["MASTER_PORT"] == "6666"


def test_addresses_on_the_interface_are_preferred_to_names_once_they_are_known() -> None:
    nodes = tuple(Node(i, f"h{i}", address=f"10.88.0.{i + 1}") for i in range(2))
    found = values(Cluster(nodes, 1))
    assert found["MASTER_ADDR"] == "10.88.0.1"
    assert found["BOOTSTRAP_ADDRESSES"] == "10.88.0.1,10.88.0.2"
    assert found["BOOTSTRAP_HOSTS"] == "h0,h1"
    assert "BOOTSTRAP_ADDRESSES" not in values(cluster(), address="10.88.0.2")


def test_a_platforms_node_counts_are_kept_and_explained() -> None:
    platforms = {"WORLD_SIZE": "3", "RANK": "1"}
    assert "count nodes here" in advice(cluster(slots=8), platforms)[0]
    assert advice(cluster(slots=1), platforms) == []
    assert advice(cluster(slots=8), {"WORLD_SIZE": "24", "RANK": "8"}) == []
