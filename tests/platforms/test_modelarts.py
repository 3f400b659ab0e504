"""ModelArts v2: Volcano's lists under ModelArts' names, and data that the platform moves by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bootstrap.errors import BootstrapError, ClusterMismatch, DeclarationUnreadable, PlatformIncomplete
from bootstrap.job import Output
from bootstrap.platforms import identify

UUID = "0b5e7f52-8a1c-4f0e-9d53-7c1a2b3c4d5e"


def host(index: int, task: str = "worker") -> str:
    return f"ma-job-{UUID}-{task}-{index}.ma-job-{UUID}"


def nodes_of(count: int, index: int, **more: str) -> dict[str, str]:
    return {
        "HOME": "/home/ma-user",
        "HOSTNAME": f"ma-job-{UUID}-worker-{index}",
        "MA_HOME": "/home/ma-user",
        "MA_JOB_DIR": "/home/ma-user/modelarts/user-job-dir",
        "MA_MOUNT_PATH": "/home/ma-user/modelarts",
        "MA_LOG_DIR": "/home/ma-user/modelarts/log",
        "MA_CURRENT_IP": "192.168.0.12",
        "MA_NUM_GPUS": "8",
        "MA_NUM_HOSTS": str(count),
        "MA_TASK_NAME": "worker",
        "MA_VJ_NAME": f"ma-job-{UUID}",
        "MA_CURRENT_INSTANCE_NAME": f"modelarts-job-{UUID}-worker-{index}",
        "VC_TASK_INDEX": str(index),
        "VC_WORKER_NUM": str(count),
        "VC_WORKER_HOSTS": ",".join(host(i) for i in range(count)),
        "NCCL_SOCKET_IFNAME": "bond0,eth0",
        **more,
    }


@pytest.fixture
def read(tmp_path: Path):
    return lambda environ: identify(environ, root=tmp_path)


def test_many_nodes_come_from_the_workers_list(read) -> None:
    facts = read(nodes_of(12, 11))
    assert facts.platform == "modelarts"
    assert [node.host for node in facts.cluster.nodes] == [host(i) for i in range(12)]
    assert (facts.cluster.node_rank, facts.cluster.slots) == (11, 8)
    assert facts.cluster.source == "VC_WORKER_HOSTS"
    assert (facts.job_id, facts.task_name, facts.warnings) == (f"ma-job-{UUID}", "worker", ())


def test_defaults_keep_to_the_platforms_directories_with_a_log_a_node(read) -> None:
    values = {name: sourced.value for name, sourced in read(nodes_of(2, 1)).defaults.items()}
    assert values == {
        "job_dir": "/home/ma-user/modelarts/user-job-dir",
        "log_file": "/home/ma-user/modelarts/log/bootstrap-worker-1.log",
    }


def test_without_a_log_directory_the_log_goes_to_tmp(read) -> None:
    assert read(nodes_of(2, 1, MA_LOG_DIR="")).defaults["log_file"].value == "/tmp/bootstrap-worker-1.log"


def test_the_index_of_a_single_node_is_not_looked_at(read) -> None:
    facts = read(nodes_of(1, 0, VC_TASK_INDEX="17"))
    assert (facts.cluster.size, facts.cluster.node_rank) == (1, 0)
    assert facts.defaults["log_file"].value.endswith("bootstrap-worker-0.log")


def test_host_names_that_follow_no_pattern_are_taken_as_they_are(read) -> None:
    typos = f"ob-{UUID}-worker-0.ob-{UUID},{host(1)}"
    assert read(nodes_of(2, 1, VC_WORKER_HOSTS=typos)).cluster.nodes[0].host == f"ob-{UUID}-worker-0.ob-{UUID}"


def test_the_old_index_names_work_too(read) -> None:
    for name in ("VK_TASK_INDEX", "MA_TASK_INDEX"):
        environ = nodes_of(3, 2, **{name: "2"})
        del environ["VC_TASK_INDEX"]
        assert read(environ).cluster.node_rank == 2


def test_names_are_made_when_nothing_lists_them(read) -> None:
    environ = nodes_of(3, 2)
    del environ["VC_WORKER_HOSTS"]
    cluster = read(environ).cluster
    assert [node.host for node in cluster.nodes] == [host(i) for i in range(3)]
    assert cluster.source == "MA_VJ_NAME and MA_TASK_NAME"


def test_mounted_host_files_stand_in_for_the_variable(read, tmp_path: Path) -> None:
    environ = nodes_of(2, 1)
    del environ["VC_WORKER_HOSTS"]
    (tmp_path / "etc/volcano").mkdir(parents=True)
    (tmp_path / "etc/volcano/worker.host").write_text(f"{host(0)}\n{host(1)}\n")
    assert read(environ).cluster.source == "/etc/volcano/worker.host"


def test_parameter_servers_stand_before_workers_and_the_task_name_says_which_we_are(read) -> None:
    environ = nodes_of(2, 0, VC_PS_HOSTS=host(0, "ps"), VC_PS_NUM="1")
    assert [node.role for node in read(environ).cluster.nodes] == ["ps", "worker", "worker"]
    assert read(environ).cluster.node_rank == 1
    assert read({**environ, "MA_TASK_NAME": "ps", "HOSTNAME": "x"}).cluster.node_rank == 0


@pytest.mark.parametrize(
    ("environ", "error", "named"),
    [
        (nodes_of(2, 0, VC_WORKER_HOSTS="", MA_TASK_NAME=""), PlatformIncomplete, "MA_NUM_HOSTS=2"),
        (nodes_of(2, 0, VC_TASK_INDEX="", HOSTNAME="x"), PlatformIncomplete, "which of 2 nodes"),
        (nodes_of(2, 5), ClusterMismatch, "VC_TASK_INDEX=5"),
        (nodes_of(2, 0, MA_NUM_HOSTS="4"), ClusterMismatch, "MA_NUM_HOSTS says 4"),
        (nodes_of(2, 0, VC_WORKER_NUM="4"), ClusterMismatch, "VC_WORKER_NUM says 4"),
        (nodes_of(2, 0, MA_NUM_HOSTS="two"), PlatformIncomplete, "MA_NUM_HOSTS"),
        (nodes_of(2, 0, VC_WORKER_HOSTS=f"{host(0)},{host(0)}"), ClusterMismatch, "more than once"),
        (nodes_of(2, 0, VC_PS_HOSTS="p0", MA_TASK_NAME="chief"), ClusterMismatch, "'chief'"),
    ],
)
def test_what_contradicts_itself_is_named(
    read, environ: dict[str, str], error: type[BootstrapError], named: str
) -> None:
    with pytest.raises(error) as caught:
        read(environ)
    assert named in str(caught.value)


def test_outputs_are_the_platforms_to_move_and_inputs_are_reported(read) -> None:
    inputs = {
        "inputs": [
            {
                "name": "data_url",
                "local_dir": "/home/ma-user/modelarts/inputs/data_url_0",
                "remote": {"obs": {"obs_url": "s3://bkt/data/"}},
                "access_method": "env",
            },
            {"name": "ds", "local_dir": "/in/1", "remote": {"datasets": {"obs_url": "/bkt/ds/"}}},
            {"name": "d2", "local_dir": "/in/2", "remote": {"dataset": {"obs_url": "obs://bkt/ds/"}}},
        ]
    }
    outputs = {
        "outputs": [
            {
                "name": "train_url",
                "local_dir": "/home/ma-user/modelarts/outputs/train_url_0",
                "remote": {"obs": {"obs_url": "/bkt/out/"}},
            }
        ]
    }
    facts = read(nodes_of(1, 0, MA_INPUTS=json.dumps(inputs), MA_OUTPUTS=json.dumps(outputs)))
    assert facts.inputs == ()
    assert [note.split(":")[0] for note in facts.notes[:3]] == ["input data_url", "input ds", "input d2"]
    directory = "/home/ma-user/modelarts/outputs/train_url_0"
    assert facts.outputs == (
        Output(directory, "obs://bkt/out/", "MA_OUTPUTS outputs[0]", name="train_url", by_platform=True),
    )


def test_an_unreadable_declaration_names_its_variable(read) -> None:
    with pytest.raises(DeclarationUnreadable) as caught:
        read(nodes_of(1, 0, MA_OUTPUTS='{"outputs": [{"local_dir": "/x"}]}'))
    assert caught.value.where == "MA_OUTPUTS outputs[0].remote"


def test_what_is_quoted_of_a_declaration_is_around_its_mistake_and_no_longer_than_a_line(read) -> None:
    broken = '{"inputs": [' + " " * 100 + "oops" + " " * 20 + "near" + " " * 100 + "far"
    with pytest.raises(DeclarationUnreadable) as caught:
        read(nodes_of(1, 0, MA_INPUTS=broken))
    assert "oops" in caught.value.why and "near" in caught.value.why and "far" not in caught.value.why
    with pytest.raises(DeclarationUnreadable) as caught:
        read(nodes_of(1, 0, MA_INPUTS=json.dumps(["x" * 200])))
    assert caught.value.why.endswith('found ["' + "x" * 75 + "...")
