"""Real engines on real machines: two network namespaces with eth0 and ib0, each platform's own environment.

The results must be right and the training's traffic must be on ib0, though the platforms name the hosts on eth0.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from bootstrap.launchers.rank_failure import root_cause
from tests.conftest import lab_or_skip
from tests.lab.engines import program, python_with
from tests.lab.netns import Host, running_hosts

pytestmark = [pytest.mark.netns, pytest.mark.timeout(240)]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def dls(node: int) -> dict[str, str]:
    return {
        "HOSTNAME": f"job-custom{node}-0",
        "DLS_TASK_INDEX": str(node),
        "DLS_TASK_NUMBER": "2",
        "DLS_JOB_ID": "jobab12cd34",
        "BATCH_CUSTOM0_HOSTS": "job-custom0-0:6100",
        "BATCH_CUSTOM1_HOSTS": "job-custom1-0:6101",
    }


def modelarts(node: int) -> dict[str, str]:
    return {
        "HOSTNAME": f"ma-job-7-worker-{node}",
        "MA_VJ_NAME": "ma-job-7",
        "MA_TASK_NAME": "worker",
        "MA_NUM_HOSTS": "2",
        "VC_TASK_INDEX": str(node),
        "VC_WORKER_HOSTS": "ma-job-7-worker-0.ma-job-7,ma-job-7-worker-1.ma-job-7",
    }


def volcano(node: int) -> dict[str, str]:
    return {
        "HOSTNAME": ("train-master-0", "train-worker-0")[node],
        "VC_TASK_INDEX": "0",
        "VC_MASTER_HOSTS": "train-master-0.train",
        "VC_WORKER_HOSTS": "train-worker-0.train",
    }


PLATFORMS = {"dls": dls, "modelarts": modelarts, "volcano": volcano}
DOMAINS = {"dls": "", "modelarts": ".ma-job-7", "volcano": ".train"}


@contextmanager
def machines(platform: str, tmp_path: Path) -> Iterator[list[Host]]:
    """Two, called as that platform would call them."""
    names = [PLATFORMS[platform](node)["HOSTNAME"] + DOMAINS[platform] for node in range(2)]
    with lab_or_skip(), running_hosts(2, tmp_path / "lab", names) as two:
        yield two


def run(
    on: list[Host],
    platform: str,
    launcher: str,
    tmp_path: Path,
    command: list[str],
    python: str,
    slots: int = 2,
    **more: str,
) -> list[tuple[int, str]]:
    """Both nodes at once: exit code and output of each. ``python`` comes first on the PATH."""
    running = []
    for node in range(2):
        directory = tmp_path / f"node-{node}"
        directory.mkdir()
        environ: Mapping[str, str] = {
            "PATH": f"{Path(python).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(directory),
            "PYTHONPATH": str(ROOT),
            "NPROC_PER_NODE": str(slots),
            "OMP_NUM_THREADS": "1",
            **PLATFORMS[platform](node),
            **more,
        }
        one_node = [sys.executable, str(HERE / "one_node.py"), launcher, str(directory), "--", *command]
        running.append(
            subprocess.Popen(
                on[node].argv(*one_node), env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        )
    outputs = []
    try:
        for process in running:
            said, _ = process.communicate(timeout=120)
            outputs.append((process.returncode, said))
    finally:
        for process in running:
            process.kill()
    return outputs


def results(tmp_path: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(tmp_path.glob("rank-*"))}


def assert_on_infiniband(on: list[Host], at_least: int) -> None:
    for node in range(2):
        assert on[node].sent("ib0") > at_least, "the training's traffic must be on ib0"
        assert on[node].sent("eth0") < 200_000, "nothing but the bootstraps' own words belongs on eth0"


@pytest.mark.parametrize("platform", PLATFORMS)
def test_torchrun_sums_over_all_ranks_on_infiniband(platform: str, tmp_path: Path) -> None:
    python = python_with("torch")
    with machines(platform, tmp_path) as on:
        command = [python, str(HERE / "jobs/torch_sum.py"), str(tmp_path)]
        outputs = run(on, platform, "torchrun", tmp_path, command, python)
        assert [code for code, _ in outputs] == [0, 0], outputs
        assert results(tmp_path) == {f"rank-{rank}": "4 10" for rank in range(4)}
        assert_on_infiniband(on, 3_000_000)


def test_torchrun_meets_by_c10d_too_when_asked_to(tmp_path: Path) -> None:
    python = python_with("torch")
    with machines("volcano", tmp_path) as on:
        command = [python, str(HERE / "jobs/torch_sum.py"), str(tmp_path)]
        outputs = run(on, "volcano", "torchrun", tmp_path, command, python, PET_RDZV_BACKEND="c10d")
        assert [code for code, _ in outputs] == [0, 0], outputs
        assert results(tmp_path) == {f"rank-{rank}": "4 10" for rank in range(4)}


def test_the_first_failing_rank_is_in_torchruns_report(tmp_path: Path) -> None:
    python = python_with("torch")
    with machines("dls", tmp_path) as on:
        command = [python, str(HERE / "jobs/torch_sum.py"), str(tmp_path), "--fail"]
        outputs = run(on, "dls", "torchrun", tmp_path, command, python)
        assert [code for code, _ in outputs] == [1, 1], "torchrun's own code is 1 whatever the rank's was"
        first = root_cause(outputs[1][1])
        assert first is not None
        assert (first.rank, first.local_rank, first.exit_code) == (3, 1, 3)


def test_a_plain_env_script_runs_with_one_process_a_node(tmp_path: Path) -> None:
    python = python_with("torch")
    with machines("dls", tmp_path) as on:
        command = [python, str(HERE / "jobs/torch_sum.py"), str(tmp_path)]
        outputs = run(on, "dls", "direct", tmp_path, command, python, slots=1)
        assert [code for code, _ in outputs] == [0, 0], outputs
        assert results(tmp_path) == {"rank-0": "2 3", "rank-1": "2 3"}
        assert_on_infiniband(on, 3_000_000)


def test_paddle_sums_over_all_ranks_on_infiniband(tmp_path: Path) -> None:
    python = python_with("paddle")
    with machines("modelarts", tmp_path) as on:
        command = [python, str(HERE / "jobs/paddle_sum.py"), str(tmp_path)]
        stray = {"PADDLE_TRAINER_ID": "0", "PADDLE_DISTRI_BACKEND": "gloo"}
        outputs = run(on, "modelarts", "paddle", tmp_path, command, python, slots=1, **stray)
        assert [code for code, _ in outputs] == [0, 0], outputs
        assert results(tmp_path) == {"rank-0": "2 3", "rank-1": "2 3"}
        assert_on_infiniband(on, 3_000_000)


def test_mpirun_starts_processes_on_both_nodes_and_both_end_with_its_code(tmp_path: Path) -> None:
    program("mpirun", "openmpi-bin")
    with machines("volcano", tmp_path) as on:
        agent = tmp_path / "agent"  # stands in for ssh: enters the machine of that name
        cases = "".join(f'{host.name}) exec {shlex.join(host.argv("sh", "-c"))} "$*";;\n' for host in on)
        agent.write_text(f"#!/bin/sh\nhost=$1; shift\ncase $host in\n{cases}esac\necho no host $host >&2; exit 1\n")
        agent.chmod(0o755)
        command = [sys.executable, str(HERE / "jobs/mpi_rank.py"), str(tmp_path)]
        outputs = run(on, "volcano", "mpi", tmp_path, command, sys.executable, OMPI_MCA_plm_rsh_agent=str(agent))
        assert [code for code, _ in outputs] == [0, 0], outputs
        told = results(tmp_path)
        assert len(told) == 4
        assert {value.split()[1] for value in told.values()} == {host.name for host in on}
        assert all(value.startswith("4 ") and value.endswith(" ib0") for value in told.values())


def test_a_tf_config_consumer_finds_its_peers(tmp_path: Path) -> None:
    with machines("modelarts", tmp_path) as on:
        command = [sys.executable, str(HERE / "jobs/tf_consumer.py"), str(tmp_path)]
        outputs = run(on, "modelarts", "tensorflow", tmp_path, command, sys.executable)
        assert [code for code, _ in outputs] == [0, 0], outputs
        assert results(tmp_path) == {"rank-0": "2 1", "rank-1": "2 1"}


def test_ray_has_a_head_and_a_worker_that_leaves_with_it(tmp_path: Path) -> None:
    python = python_with("ray")
    with machines("dls", tmp_path) as on:
        command = [python, str(HERE / "jobs/ray_nodes.py"), str(tmp_path)]
        outputs = run(on, "dls", "ray", tmp_path, command, python)
        assert [code for code, _ in outputs] == [0, 0], outputs
        assert (tmp_path / "nodes").read_text() == "10.88.0.1 10.88.0.2"
