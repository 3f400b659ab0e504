"""Volcano: its plugins' variables and files, with one task and with several."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.errors import BootstrapError, ClusterMismatch, PlatformIncomplete
from bootstrap.platforms import identify


def hosts(task: str, count: int, job: str = "train") -> str:
    return ",".join(f"{job}-{task}-{i}.{job}" for i in range(count))


def workers(count: int, index: int, **more: str) -> dict[str, str]:
    return {
        "HOSTNAME": f"train-worker-{index}",
        "VC_TASK_INDEX": str(index),
        "VK_TASK_INDEX": str(index),
        "VC_WORKER_NUM": str(count),
        "VC_WORKER_HOSTS": hosts("worker", count),
        **more,
    }


def master_and_workers(hostname: str, index: int, **more: str) -> dict[str, str]:
    """As the plugins write it: both tasks in every container, the index within the task, the task's name nowhere."""
    return {
        "HOSTNAME": hostname,
        "VC_TASK_INDEX": str(index),
        "VC_MASTER_NUM": "1",
        "VC_MASTER_HOSTS": hosts("master", 1),
        "VC_WORKER_NUM": "3",
        "VC_WORKER_HOSTS": hosts("worker", 3),
        **more,
    }


@pytest.fixture
def read(tmp_path: Path):
    return lambda environ: identify(environ, name="volcano", root=tmp_path)


def test_one_task_counts_by_its_index(read) -> None:
    facts = read(workers(11, 10))
    assert (facts.cluster.size, facts.cluster.me.host) == (11, "train-worker-10.train")
    assert (facts.job_id, facts.task_name, facts.warnings) == ("train", "worker", ())
    assert facts.defaults["log_file"].value == "/tmp/bootstrap-task-10.log"


def test_a_role_behind_one_of_several_hosts_counts_all_of_them(read) -> None:
    environ = {"VC_PS_HOSTS": hosts("ps", 2), "VC_WORKER_HOSTS": hosts("worker", 2), "VC_TASK_INDEX": "1"}
    assert read({**environ, "HOSTNAME": "train-worker-1"}).cluster.node_rank == 3
    assert read({**environ, "HOSTNAME": "train-ps-1"}).cluster.node_rank == 1
    three = {**environ, "VC_CHIEF_HOSTS": hosts("chief", 1), "HOSTNAME": "train-worker-0", "VC_TASK_INDEX": "0"}
    assert read(three).cluster.node_rank == 3


def test_tasks_are_ordered_by_their_numbers(read) -> None:
    tasks = {f"VC_TASK_{number}_HOSTS": hosts(f"task-{number}", 1) for number in (10, 2, 1)}
    cluster = read({**tasks, "VC_TASK_INDEX": "0", "HOSTNAME": "train-task-10-0"}).cluster
    assert [node.role for node in cluster.nodes] == ["task_1", "task_2", "task_10"]
    assert cluster.node_rank == 2


def test_a_job_whose_name_has_dashes_and_digits_is_no_trap(read) -> None:
    environ = workers(2, 1, VC_WORKER_HOSTS=hosts("worker", 2, "gpt-2-worker-1"), HOSTNAME="gpt-2-worker-1-worker-1")
    facts = read(environ)
    assert (facts.job_id, facts.cluster.node_rank) == ("gpt-2-worker-1", 1)


@pytest.mark.parametrize(
    ("hostname", "index", "rank"),
    [("train-master-0", 0, 0), ("train-worker-0", 0, 1), ("train-worker-2", 2, 3), ("train-worker-0.train", 0, 1)],
)
def test_several_tasks_share_one_global_order_though_their_indexes_repeat(
    read, hostname: str, index: int, rank: int
) -> None:
    cluster = read(master_and_workers(hostname, index)).cluster
    assert cluster.node_rank == rank
    assert [node.role for node in cluster.nodes] == ["master", "worker", "worker", "worker"]


def test_on_the_hosts_network_the_pytorch_plugins_rank_decides(read) -> None:
    environ = master_and_workers("gpu-machine-7", 0, RANK="1", WORLD_SIZE="4", MASTER_ADDR="train-master-0.train")
    facts = read(environ)
    assert facts.cluster.node_rank == 1
    assert "gpu-machine-7" in facts.warnings[0]


def test_files_stand_in_for_a_list_too_long_for_the_environment(read, tmp_path: Path) -> None:
    directory = tmp_path / "etc/volcano"
    directory.mkdir(parents=True)
    (directory / "my_Task.host").write_text("\n".join(f"train-my-Task-{i}.train" for i in range(3)) + "\n\n")
    (directory / "README").write_text("not a list")
    facts = read({"VC_TASK_INDEX": "2", "VC_MY_TASK_NUM": "3", "HOSTNAME": "train-my-task-2"})
    assert (facts.cluster.size, facts.cluster.node_rank, facts.task_name) == (3, 2, "my_task")
    assert facts.cluster.source == "/etc/volcano/my_Task.host"


def test_the_variable_beats_the_file_of_the_same_task(read, tmp_path: Path) -> None:
    (tmp_path / "etc/volcano").mkdir(parents=True)
    (tmp_path / "etc/volcano/worker.host").write_text("train-worker-0.train\n")
    assert read(workers(2, 1)).cluster.size == 2


@pytest.mark.parametrize(
    ("environ", "error", "named"),
    [
        ({"VC_WORKER_HOSTS": hosts("worker", 2), "HOSTNAME": "x"}, PlatformIncomplete, "which of 2 nodes"),
        (master_and_workers("gpu-machine-7", 0), PlatformIncomplete, "gpu-machine-7"),
        (master_and_workers("x", 0, RANK="7", WORLD_SIZE="4"), ClusterMismatch, "RANK=7"),
        (workers(2, 2), ClusterMismatch, "VC_TASK_INDEX=2"),
        (workers(4, 5), ClusterMismatch, "has indexes 0 to 3"),
        (master_and_workers("train-worker-2", 3), ClusterMismatch, "has indexes 0 to 2"),
        (workers(4, 0, VC_WORKER_HOSTS="fixed.train"), ClusterMismatch, "fixed hostname"),
        (workers(2, 0, VC_WORKER_HOSTS="a,a"), ClusterMismatch, "more than once"),
        (workers(2, 0, VC_TASK_INDEX="0x1"), PlatformIncomplete, "VC_TASK_INDEX"),
    ],
)
def test_what_contradicts_itself_is_named(
    read, environ: dict[str, str], error: type[BootstrapError], named: str
) -> None:
    with pytest.raises(error) as caught:
        read(environ)
    assert named in str(caught.value)


def test_with_one_task_its_index_counts_whatever_a_rank_says_and_the_container_is_called(read) -> None:
    cluster = read(workers(3, 1, HOSTNAME="machine-7", RANK="2", WORLD_SIZE="3")).cluster
    assert (cluster.size, cluster.node_rank) == (3, 1)
