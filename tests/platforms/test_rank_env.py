"""Plain MASTER_ADDR / RANK / WORLD_SIZE: node counts, as Kubeflow and PAI-DLC set them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.errors import BootstrapError, ClusterMismatch, PlatformIncomplete
from bootstrap.platforms import identify

PAI = {
    "HOSTNAME": "dlc1a2b-worker-0",
    "MASTER_ADDR": "dlc1a2b-master-0",
    "MASTER_PORT": "23456",
    "WORLD_SIZE": "3",
    "RANK": "1",
    "NPROC_PER_NODE": "8",
}


@pytest.fixture
def read(tmp_path: Path):
    return lambda environ: identify(environ, name="rank-env", root=tmp_path)


def test_world_size_counts_nodes_and_only_the_master_has_a_name(read) -> None:
    cluster = read(PAI).cluster
    assert (cluster.size, cluster.node_rank, cluster.slots) == (3, 1, 8)
    assert [node.host for node in cluster.nodes] == ["dlc1a2b-master-0", "dlc1a2b-worker-0", ""]
    assert (cluster.master.port, cluster.source) == (23456, "MASTER_ADDR, RANK, WORLD_SIZE")


def test_one_node_needs_no_master_and_is_told_by_what_counts_it(read) -> None:
    cluster = read({"RANK": "0", "WORLD_SIZE": "1"}).cluster
    assert (cluster.size, cluster.source) == (1, "WORLD_SIZE")


def test_the_kernels_name_of_this_container_comes_before_the_variable(read, tmp_path: Path) -> None:
    kernel = tmp_path / "proc/sys/kernel"
    kernel.mkdir(parents=True)
    (kernel / "hostname").write_text("by-the-kernel\n")
    assert read(PAI).cluster.nodes[1].host == "by-the-kernel"


def test_torchruns_own_variables_count_nodes_for_sure_and_win(read) -> None:
    cluster = read({**PAI, "WORLD_SIZE": "16", "RANK": "8", "PET_NNODES": "2", "PET_NODE_RANK": "1"}).cluster
    assert (cluster.size, cluster.node_rank) == (2, 1)


TRAINER_V2 = {
    "HOSTNAME": "mnist-node-0-1",
    "JOB_COMPLETION_INDEX": "1",
    "PET_NNODES": "2",
    "PET_NPROC_PER_NODE": "4",
    "PET_NODE_RANK": "1",
    "PET_MASTER_ADDR": "mnist-node-0-0.mnist",
    "PET_MASTER_PORT": "29400",
}


@pytest.mark.parametrize("without", ["", "PET_NODE_RANK", "JOB_COMPLETION_INDEX"])
def test_kubeflows_trainer_v2_is_a_cluster(without: str, tmp_path: Path) -> None:
    """It sets torchrun's variables, and neither RANK nor WORLD_SIZE."""
    facts = identify({name: value for name, value in TRAINER_V2.items() if name != without}, root=tmp_path)
    assert (facts.platform, facts.apart, facts.warnings) == ("rank-env", "", ())
    rank = "JOB_COMPLETION_INDEX" if without == "PET_NODE_RANK" else "PET_NODE_RANK"
    assert f" PET_NNODES, {rank}, PET_MASTER_ADDR" in f" {facts.reason}"
    cluster = facts.cluster
    assert (cluster.size, cluster.node_rank, cluster.slots) == (2, 1, 4)
    assert (cluster.master.host, cluster.master.port) == ("mnist-node-0-0.mnist", 29400)


def test_a_range_of_one_number_is_a_count(tmp_path: Path) -> None:
    facts = identify({**TRAINER_V2, "PET_NNODES": "2:2"}, root=tmp_path)
    assert (facts.cluster.size, facts.cluster.node_rank) == (2, 1)


def test_an_elastic_range_of_nodes_is_no_count(read) -> None:
    assert read({**PAI, "PET_NNODES": "2:4", "PET_NODE_RANK": "2"}).cluster.size == 3


def test_a_world_of_one_needs_no_master(read) -> None:
    assert read({"RANK": "0", "WORLD_SIZE": "1"}).cluster.size == 1


def test_a_master_with_another_rank_than_zero_is_a_warning(read) -> None:
    assert "dlc1a2b-master-0" in read({**PAI, "HOSTNAME": "dlc1a2b-master-0"}).warnings[0]
    assert read({**PAI, "HOSTNAME": "dlc1a2b-master-01"}).warnings == ()


@pytest.mark.parametrize(
    ("environ", "error", "named"),
    [
        ({"RANK": "0"}, PlatformIncomplete, "WORLD_SIZE is missing"),
        ({"WORLD_SIZE": "2", "MASTER_ADDR": "m"}, PlatformIncomplete, "RANK is missing"),
        ({"RANK": "1", "WORLD_SIZE": "2"}, PlatformIncomplete, "MASTER_ADDR is missing"),
        ({"RANK": "1"}, PlatformIncomplete, "WORLD_SIZE and MASTER_ADDR are missing"),
        ({"RANK": "2", "WORLD_SIZE": "2", "MASTER_ADDR": "m"}, ClusterMismatch, "RANK=2"),
        ({"RANK": "3", "WORLD_SIZE": "2", "MASTER_ADDR": "m"}, ClusterMismatch, "RANK 3 is outside the 2 nodes"),
        ({"RANK": "0", "WORLD_SIZE": "0", "MASTER_ADDR": "m"}, ClusterMismatch, "WORLD_SIZE=0"),
        ({"RANK": "a", "WORLD_SIZE": "2", "MASTER_ADDR": "m"}, PlatformIncomplete, "'a'"),
    ],
)
def test_what_is_half_set_is_named(read, environ: dict[str, str], error: type[BootstrapError], named: str) -> None:
    with pytest.raises(error) as caught:
        read(environ)
    assert named in str(caught.value)
