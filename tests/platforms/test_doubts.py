"""A container that may be one of several although nothing tells a cluster: said, and kept apart from the others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap.job import PlatformFacts
from bootstrap.platforms import identify

BOOTSTRAP = str(Path(sys.executable).with_name("bootstrap"))


def tf_config(role: str, index: int) -> str:
    cluster = {"worker": ["w0:1", "w1:1"], "chief": ["c0:1"], "ps": ["p0:1"]}
    return json.dumps({"cluster": cluster, "task": {"type": role, "index": index}})


def facts(root: Path, environ: dict[str, str], name: str | None = None) -> PlatformFacts:
    return identify({"HOSTNAME": "box", **environ}, name=name, root=root)


SEVERAL = [
    ({"JOB_COMPLETION_INDEX": "1"}, "node-1/", "JOB_COMPLETION_INDEX=1"),
    ({"JOB_COMPLETION_INDEX": "0"}, "", "JOB_COMPLETION_INDEX=0"),
    ({"VC_TASK_INDEX": "3"}, "node-3/", "VC_TASK_INDEX=3"),
    ({"VK_TASK_INDEX": "1"}, "node-1/", "VK_TASK_INDEX=1"),
    ({"SLURM_NNODES": "2", "SLURM_NODEID": "1", "SLURM_NTASKS": "2", "SLURM_PROCID": "1"}, "node-1/", "SLURM_PROCID=1"),
    ({"SLURM_NNODES": "2", "SLURM_NODEID": "1"}, "node-1/", "SLURM_NNODES=2"),
    ({"SLURM_JOB_NUM_NODES": "4"}, "host-box/", "SLURM_JOB_NUM_NODES=4"),
    ({"SLURM_ARRAY_TASK_ID": "7"}, "task-7/", "SLURM_ARRAY_TASK_ID=7"),
    ({"SLURM_ARRAY_TASK_ID": "0", "SLURM_NTASKS": "2", "SLURM_PROCID": "1"}, "task-0/node-1/", "SLURM_ARRAY_TASK_ID=0"),
    ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"}, "node-1/", "OMPI_COMM_WORLD_RANK=1"),
    ({"PMI_SIZE": "2", "PMI_RANK": "1"}, "node-1/", "PMI_SIZE=2"),
    ({"PMIX_RANK": "1"}, "node-1/", "PMIX_RANK=1"),
    ({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}, "node-1/", "RANK=1"),
    ({"PADDLE_TRAINERS_NUM": "2", "PADDLE_TRAINER_ID": "1"}, "node-1/", "PADDLE_TRAINERS_NUM=2"),
    ({"PADDLE_NNODES": "2"}, "host-box/", "PADDLE_NNODES=2"),
    ({"PADDLE_TRAINER_ENDPOINTS": "a:1,b:1", "PADDLE_CURRENT_ENDPOINT": "b:1"}, "node-1/", "PADDLE_TRAINER_ENDPOINTS"),
    ({"PET_NNODES": "2:4", "PET_RDZV_BACKEND": "c10d", "PET_RDZV_ENDPOINT": "h:1"}, "host-box/", "PET_NNODES=2:4"),
    ({"PET_NNODES": "2"}, "host-box/", "PET_NNODES=2"),
    ({"NNODES": "2", "NODE_RANK": "1"}, "node-1/", "NODE_RANK=1"),
    ({"NUM_MACHINES": "2", "MACHINE_RANK": "1"}, "node-1/", "MACHINE_RANK=1"),
    ({"PADDLE_NNODES": "2", "PADDLE_NODE_RANK": "1"}, "node-1/", "PADDLE_NODE_RANK=1"),
    ({"NUM_PROCESSES": "2", "PROCESS_ID": "1"}, "node-1/", "PROCESS_ID=1"),
    ({"JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "1"}, "node-1/", "JAX_PROCESS_ID=1"),
    ({"MS_WORKER_NUM": "2", "MS_NODE_ID": "1"}, "node-1/", "MS_NODE_ID=1"),
    ({"RANK_SIZE": "16", "RANK_ID": "8"}, "node-8/", "RANK_ID=8"),
    ({"SKYPILOT_NUM_NODES": "2", "SKYPILOT_NODE_RANK": "1"}, "node-1/", "SKYPILOT_NODE_RANK=1"),
    ({"FLUX_JOB_SIZE": "2", "FLUX_TASK_RANK": "1"}, "node-1/", "FLUX_TASK_RANK=1"),
    ({"SM_HOSTS": '["algo-2", "algo-1"]', "SM_CURRENT_HOST": "algo-2"}, "node-1/", "SM_HOSTS (2 hosts)"),
    ({"CLUSTER_SPEC": tf_config("worker", 1)}, "node-3/", "CLUSTER_SPEC (worker 1)"),
    ({"SGE_TASK_ID": "1"}, "task-1/", "SGE_TASK_ID=1"),
    ({"LSB_JOBINDEX": "2"}, "task-2/", "LSB_JOBINDEX=2"),
    ({"NOMAD_ALLOC_INDEX": "1"}, "task-1/", "NOMAD_ALLOC_INDEX=1"),
    ({"LWS_GROUP_SIZE": "2", "LWS_WORKER_INDEX": "1"}, "node-1/", "LWS_WORKER_INDEX=1"),
    ({"AWS_BATCH_JOB_ARRAY_INDEX": "2"}, "task-2/", "AWS_BATCH_JOB_ARRAY_INDEX=2"),
    ({"CLOUD_RUN_TASK_COUNT": "3", "CLOUD_RUN_TASK_INDEX": "2"}, "task-2/", "CLOUD_RUN_TASK_INDEX=2"),
    ({"TF_CONFIG": tf_config("chief", 0)}, "", "TF_CONFIG (chief 0)"),
    ({"TF_CONFIG": tf_config("ps", 0)}, "node-1/", "TF_CONFIG (ps 0)"),
    ({"TF_CONFIG": tf_config("worker", 1)}, "node-3/", "TF_CONFIG (worker 1)"),
    ({"TF_CONFIG": tf_config("evaluator", 0)}, "evaluator-0/", "TF_CONFIG (evaluator 0)"),
    ({"HOSTNAME": "mnist-worker-1"}, "node-1/", "the host name mnist-worker-1"),
    ({"HOSTNAME": "mnist-2.mnist", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "node-2/", "the host name mnist-2.mnist"),
]


@pytest.mark.parametrize(("environ", "apart", "named"), SEVERAL, ids=[str(case[0])[:60] for case in SEVERAL])
def test_what_hints_at_several_nodes_is_named_and_keeps_results_apart(
    environ: dict[str, str], apart: str, named: str, tmp_path: Path
) -> None:
    found = facts(tmp_path, environ)
    assert (found.cluster.size, found.apart) == (1, apart)
    assert named in found.warnings[-1]
    where = f"its results and log go to {apart} of their places;" if apart else "it counts as the first;"
    assert where in found.warnings[-1]


SINGLE = [
    {},
    {"SLURM_NNODES": "1", "SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_NODEID": "0"},
    {"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0"},
    {"PET_NNODES": "1", "PET_NODE_RANK": "0", "JOB_COMPLETION_INDEX": "0"},
    {"NNODES": "1", "NODE_RANK": "0"},
    {"RANK_SIZE": "8"},  # which a script sets before it starts a process for each device
    {"MS_WORKER_NUM": "8"},
    {"PROCESS_ID": "4711"},
    {"SGE_TASK_ID": "undefined", "LSB_JOBINDEX": "0", "NOMAD_ALLOC_INDEX": "0"},
    {"SM_HOSTS": '["algo-1"]', "SM_CURRENT_HOST": "algo-1"},
    {"SM_HOSTS": "{"},
    {"NNODES": "many", "NODE_RANK": "x"},
    {"PADDLE_TRAINER_ID": "0", "PADDLE_TRAINER_ENDPOINTS": "a:1"},
    {"TF_CONFIG": '{"cluster": {"worker": ["w0:1"]}, "task": {"type": "worker", "index": 0}}'},
    {"TF_CONFIG": "[1, 2]"},
    {"TF_CONFIG": "{"},
    {"HOSTNAME": "thinkpad-2"},
    {"HOSTNAME": "mnist-worker-0"},
    {"HOSTNAME": "mnist-7d4b9c9f6-24567", "KUBERNETES_SERVICE_HOST": "10.0.0.1"},
    {"DLS_TASK_NUMBER": "1", "HOSTNAME": "job-worker-1", "JOB_COMPLETION_INDEX": "1"},
    {"MA_VJ_NAME": "j", "MA_NUM_HOSTS": "1", "VC_TASK_INDEX": "5", "HOSTNAME": "j-worker-5"},
    {"VC_WORKER_HOSTS": "j-worker-0.j", "VC_WORKER_NUM": "1", "HOSTNAME": "j-worker-0"},
]


@pytest.mark.parametrize("environ", SINGLE, ids=lambda environ: str(environ)[:60])
def test_a_single_node_raises_no_doubt(environ: dict[str, str], tmp_path: Path) -> None:
    found = facts(tmp_path, environ)
    assert (found.cluster.size, found.apart, found.warnings) == (1, "", ())


def test_where_two_names_differ_both_tell_containers_apart(tmp_path: Path) -> None:
    """Pods on their host's network share the kernel's name, containers of an image with a HOSTNAME in it that one."""
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/hostname").write_text("machine\n")
    places = {facts(tmp_path, {"PET_NNODES": "1:4", "HOSTNAME": name}).apart for name in ("trainer-x1", "trainer-x2")}
    assert places == {"host-machine-trainer-x1/", "host-machine-trainer-x2/"}


def test_a_launcher_around_us_is_seen_on_a_platform_that_counts_its_nodes(tmp_path: Path) -> None:
    found = facts(tmp_path, {"DLS_TASK_NUMBER": "1", "OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_RANK": "3"})
    assert found.apart == "node-3/"


@pytest.mark.parametrize(("name", "apart"), [("b", "node-1/"), ("a", ""), ("launcher", "")])
def test_a_host_file_of_several_tells_its_readers_apart(name: str, apart: str, tmp_path: Path) -> None:
    (tmp_path / "etc/mpi").mkdir(parents=True)
    (tmp_path / "etc/mpi/hostfile").write_text("# hosts\na slots=8\nb slots=8\n")
    found = facts(tmp_path, {"HOSTNAME": name})
    assert found.apart == apart and "etc/mpi/hostfile" in found.warnings[0]


def test_a_host_file_of_one_is_no_doubt_and_the_next_one_is_read(tmp_path: Path) -> None:
    (tmp_path / "etc/mpi").mkdir(parents=True)
    (tmp_path / "etc/mpi/hostfile").write_text("a slots=8\n:22\n")
    assert facts(tmp_path, {"HOSTNAME": "a"}).warnings == ()
    (tmp_path / "mine").write_text("a\nb:2\n")
    found = facts(tmp_path, {"HOSTNAME": "b", "DLTS_HOSTFILE": str(tmp_path / "mine")})
    assert found.apart == "node-1/" and str(tmp_path / "mine") in found.warnings[0]


def boot(node: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    node.mkdir(exist_ok=True)
    own = {"PATH": "/usr/bin:/bin", "HOME": str(node), "BOOTSTRAP_JOB_DIR": str(node), "TMPDIR": str(node)}
    return subprocess.run(
        [BOOTSTRAP, "run", *words], env={**own, **environ}, capture_output=True, text=True, timeout=60
    )


def test_two_containers_of_an_indexed_job_write_no_place_twice(tmp_path: Path) -> None:
    target, logs = tmp_path / "models", tmp_path / "logs"
    for index in range(2):
        node = tmp_path / f"n{index}"
        words = ("--output", f"out={target}/", "--log", f"{logs}/", "--", "sh", "-c", f"echo {index} > out/model")
        done = boot(node, *words, JOB_COMPLETION_INDEX=str(index))
        assert done.returncode == 0, done.stderr
        assert f"JOB_COMPLETION_INDEX={index}" in done.stderr
    assert [(target / name / "model").read_text() for name in (".", "node-1")] == ["0\n", "1\n"]
    own = {path.name for path in logs.iterdir() if path.is_file()}
    assert own and {path.name for path in (logs / "node-1").iterdir() if path.is_file()} == own


def test_a_task_of_a_sweep_runs_and_one_that_wants_peers_is_told_why_it_cannot(tmp_path: Path) -> None:
    assert boot(tmp_path / "a", "--", "true", VC_TASK_INDEX="1").returncode == 0
    done = boot(tmp_path / "b", "--launcher", "torchrun", "--", "train.py", VC_TASK_INDEX="1")
    assert done.returncode == 102
    assert "--launcher torchrun needs the other nodes" in done.stderr and "svc plugin" in done.stderr
