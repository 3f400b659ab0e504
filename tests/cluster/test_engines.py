"""Real engines through the real command: two machines with eth0 and ib0, in each platform's own environment.

The results must be right and the training's traffic must be on ib0, though the platforms name the hosts on eth0.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cluster.nodes import BOOTSTRAP, SYSTEM, Node, run, story, two_nodes
from tests.cluster.platforms import PLATFORMS
from tests.lab.engines import program, python_with
from tests.lab.netns import ip

pytestmark = [pytest.mark.netns, pytest.mark.timeout(240)]

JOBS = Path(__file__).parent / "jobs"
every_platform = pytest.mark.parametrize("platform", PLATFORMS)


def on(platform: str) -> pytest.MarkDecorator:
    """What an engine reads is the same on all platforms, once :func:`every_platform`'s have shown it: one is enough for
    the rest, and all are tried where BOOTSTRAP_TEST_MATRIX says ``all``.
    """
    every = os.environ.get("BOOTSTRAP_TEST_MATRIX") == "all"
    return pytest.mark.parametrize("platform", PLATFORMS if every else [platform])


@pytest.fixture
def no_other_ray(lab_directory: Path) -> Iterator[None]:
    """Ray looks for heads of its address among all processes of the machine, whatever network they are in."""
    lab_directory.mkdir(parents=True, exist_ok=True)
    with (lab_directory / "ray.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def results(tmp_path: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(tmp_path.glob("rank-*"))}


def assert_on_infiniband(nodes: list[Node], at_least: int = 3_000_000) -> None:
    for node in nodes:
        assert node.host.sent("ib0") > at_least, "the training's traffic must be on ib0"
        assert node.host.sent("eth0") < 200_000, "nothing but the bootstraps' own words belongs on eth0"


@every_platform
def test_torchrun_sums_over_all_ranks_on_infiniband(platform: str, tmp_path: Path) -> None:
    python = python_with("torch")
    with two_nodes(platform, tmp_path, python, NPROC_PER_NODE="2") as nodes:
        command = ("python", str(JOBS / "torch_sum.py"), str(tmp_path))
        assert run(nodes, "--launcher", "torchrun", "--", *command) == [0, 0], story(nodes)
        assert results(tmp_path) == {f"rank-{rank}": "4 10" for rank in range(4)}
        assert_on_infiniband(nodes)


def test_torchrun_meets_by_c10d_too_when_asked_to(tmp_path: Path) -> None:
    python = python_with("torch")
    with two_nodes("volcano", tmp_path, python, NPROC_PER_NODE="2", PET_RDZV_BACKEND="c10d") as nodes:
        command = ("python", str(JOBS / "torch_sum.py"), str(tmp_path))
        assert run(nodes, "--launcher", "torchrun", "--", *command) == [0, 0], story(nodes)
        assert results(tmp_path) == {f"rank-{rank}": "4 10" for rank in range(4)}


def test_auto_finds_torchrun_by_the_import(tmp_path: Path) -> None:
    python = python_with("torch")
    with two_nodes("modelarts", tmp_path, python, NPROC_PER_NODE="1") as nodes:
        command = ("python", str(JOBS / "torch_sum.py"), str(tmp_path))
        assert run(nodes, "--launcher", "auto", "--", *command) == [0, 0], story(nodes)
        assert results(tmp_path) == {"rank-0": "2 3", "rank-1": "2 3"}
        assert nodes[1].record["launcher"]["name"] == "torchrun"


@pytest.mark.parametrize(("how", "code"), [("exits", 7), ("raises", 1), ("is recorded", 1), ("is killed", -9)])
def test_the_first_failing_rank_is_named_on_both_nodes(how: str, code: int, tmp_path: Path) -> None:
    python = python_with("torch")
    with two_nodes("dls", tmp_path, python, NPROC_PER_NODE="2") as nodes:
        command = ("python", str(JOBS / "torch_fails.py"), how)
        codes = run(nodes, "--launcher", "torchrun", "--", *command)
        assert codes[1] == 1 and codes[0] in (1, 143), "torchrun's own code is 1 whatever the rank's was"
        for node in nodes:
            first = node.record["first_failure"]
            assert (first["node"], first["rank"], first["rank_exit_code"]) == (1, 3, code), story(nodes)
            ended = f"exit code {code}" if code > 0 else "signal 9"
            assert f"The first to fail was rank 3 on node 1 (job-custom1-0), with {ended}" in node.said
            if code == 1:
                assert first["traceback"].endswith("ValueError: rank 3 says no")
            if how == "is recorded":
                written = Path(first["error_file"])
                assert written.is_relative_to(nodes[1].home), "it is kept where node 1 keeps its own files"
                assert "rank 3 says no" in json.loads(written.read_text())["message"]["message"]


@every_platform
def test_a_plain_env_script_runs_with_one_process_a_node(platform: str, tmp_path: Path) -> None:
    python = python_with("torch")
    with two_nodes(platform, tmp_path, python, NPROC_PER_NODE="1") as nodes:
        command = ("python", str(JOBS / "torch_sum.py"), str(tmp_path))
        assert run(nodes, "--", *command) == [0, 0], story(nodes)
        assert results(tmp_path) == {"rank-0": "2 3", "rank-1": "2 3"}
        assert_on_infiniband(nodes)
        assert "met" not in nodes[0].record, "a plain job needs no meeting"


@on("dls")
def test_paddle_sums_over_all_ranks_on_infiniband(platform: str, tmp_path: Path) -> None:
    python = python_with("paddle")
    stray = {"PADDLE_TRAINER_ID": "0", "PADDLE_DISTRI_BACKEND": "gloo"}
    with two_nodes(platform, tmp_path, python, NPROC_PER_NODE="1", **stray) as nodes:
        command = ("python", str(JOBS / "paddle_sum.py"), str(tmp_path))
        assert run(nodes, "--launcher", "paddle", "--", *command) == [0, 0], story(nodes)
        assert results(tmp_path) == {"rank-0": "2 3", "rank-1": "2 3"}
        assert_on_infiniband(nodes)


def test_the_first_failing_rank_of_paddle_is_named_on_both_nodes(tmp_path: Path) -> None:
    python = python_with("paddle")
    with two_nodes("modelarts", tmp_path, python, NPROC_PER_NODE="2", PADDLE_DISTRI_BACKEND="gloo") as nodes:
        run(nodes, "--launcher", "paddle", "--", "python", str(JOBS / "paddle_fails.py"))
        for node in nodes:
            first = node.record["first_failure"]
            assert (first["node"], first["rank"], first["rank_exit_code"]) == (1, 3, 1), story(nodes)
            assert first["traceback"].endswith("ValueError: rank 3 says no")


@pytest.mark.parametrize("launcher", ["", "paddle", "auto"])
def test_the_run_sh_of_paddles_guide_runs_as_it_is(launcher: str, tmp_path: Path) -> None:
    """Its loop over BATCH_CUSTOM hosts, and its flags of Paddle 1, which today's launcher would pass over. The guide's
    boot command names no launcher, and its readers set no variable.
    """
    python = python_with("paddle")
    asked = {"BOOTSTRAP_LAUNCHER": launcher} if launcher else {}
    with two_nodes("dls", tmp_path, python, NPROC_PER_NODE="1", PADDLE_DISTRI_BACKEND="gloo", **asked) as nodes:
        command = ("bash", str(JOBS / "paddle_run.sh"), str(JOBS / "paddle_fleet.py"), str(tmp_path))
        assert run(nodes, "--", *command) == [0, 0], story(nodes)
        assert results(tmp_path) == {"rank-0": "2 3", "rank-1": "2 3"}
        assert all("the loop found job-custom0-0:6100,job-custom1-0:6101\n" in node.said for node in nodes)
        assert_on_infiniband(nodes)
        assert ("met" in nodes[0].record) == bool(launcher), "a plain job needs no meeting"


@pytest.mark.parametrize(
    ("launcher", "words"),
    [("torchrun", "torchrun {}"), ("torchrun", "bash run.sh {}"), ("auto", "bash run.sh {}")],
)
def test_a_command_that_calls_torchrun_runs_once_on_all_nodes(launcher: str, words: str, tmp_path: Path) -> None:
    python = python_with("torch")
    with two_nodes("volcano", tmp_path, python, NPROC_PER_NODE="2") as nodes:
        for node in nodes:
            (node.home / "run.sh").write_text('echo "run.sh runs"\ntorchrun "$@"\n')
        command = words.format(f"{JOBS / 'torch_sum.py'} {tmp_path}").split()
        assert run(nodes, "--launcher", launcher, "--", *command) == [0, 0], story(nodes)
        assert results(tmp_path) == {f"rank-{rank}": "4 10" for rank in range(4)}
        if "run.sh" in words:
            assert [node.said.count("run.sh runs") for node in nodes] == [1, 1]
        assert ("it is run as it is" in nodes[0].said) == (launcher == "torchrun")


@on("modelarts")
def test_mpirun_sums_over_the_processes_of_both_nodes_which_end_with_its_code(platform: str, tmp_path: Path) -> None:
    program("mpirun", "openmpi-bin")
    python = python_with("mpi4py")
    agent = tmp_path / "agent"  # stands in for ssh: enters the machine of that name
    with two_nodes(platform, tmp_path, python, NPROC_PER_NODE="2", OMPI_MCA_plm_rsh_agent=str(agent)) as nodes:
        cases = "".join(f'{node.host.name}) exec {shlex.join(node.host.argv("sh", "-c"))} "$*";;\n' for node in nodes)
        agent.write_text(f"#!/bin/sh\nhost=$1; shift\ncase $host in\n{cases}esac\necho no host $host >&2; exit 1\n")
        agent.chmod(0o755)
        command = ("python", str(JOBS / "mpi_sum.py"), str(tmp_path))
        assert run(nodes, "--launcher", "mpi", "--", *command) == [5, 5], story(nodes)
        first, second = (f"4 10 {node.host.name} ib0" for node in nodes)
        assert results(tmp_path) == {"rank-0": first, "rank-1": first, "rank-2": second, "rank-3": second}
        assert_on_infiniband(nodes)
        for node in nodes:  # though it is node 0 that tells
            first = node.record["first_failure"]
            assert (first["node"], first["rank"], first["rank_exit_code"]) == (1, 3, 5), story(nodes)
            assert first["host"].partition(".")[0] == nodes[1].host.name.partition(".")[0]


@on("volcano")
def test_tensorflow_sums_over_all_workers_on_infiniband(platform: str, tmp_path: Path) -> None:
    python = python_with("tensorflow")
    with two_nodes(platform, tmp_path, python) as nodes:
        command = ("python", str(JOBS / "tf_sum.py"), str(tmp_path))
        assert run(nodes, "--launcher", "tensorflow", "--", *command) == [0, 0], story(nodes)
        assert results(tmp_path) == {"rank-0": "2 3", "rank-1": "2 3"}
        assert_on_infiniband(nodes)


@on("modelarts")
def test_jax_gathers_from_all_processes(platform: str, tmp_path: Path) -> None:
    """Its processes meet on ib0. What they gather on CPUs goes by the host's name, and there is no variable for it."""
    python = python_with("jax")
    with two_nodes(platform, tmp_path, python, https_proxy="http://10.77.0.9:3128") as nodes:
        command = ("python", str(JOBS / "jax_sum.py"), str(tmp_path))
        assert run(nodes, "--launcher", "jax", "--", *command) == [0, 0], story(nodes)
        assert results(tmp_path) == {"rank-0": "2 3", "rank-1": "2 3"}
        assert all(node.host.sent("ib0") > 2000 for node in nodes), "the coordinator must be met on ib0"


def test_deepspeed_sums_over_all_ranks_on_infiniband(tmp_path: Path) -> None:
    python = python_with("deepspeed")
    with two_nodes("volcano", tmp_path, python, NPROC_PER_NODE="2") as nodes:
        command = ("python", str(JOBS / "deepspeed_sum.py"), str(tmp_path))
        assert run(nodes, "--launcher", "deepspeed", "--", *command) == [0, 0], story(nodes)
        assert results(tmp_path) == {f"rank-{rank}": "4 10" for rank in range(4)}
        assert_on_infiniband(nodes)


def test_msrun_sums_over_all_ranks_on_infiniband(tmp_path: Path) -> None:
    python = python_with("mindspore")
    with two_nodes("modelarts", tmp_path, python, NPROC_PER_NODE="1", RANK_TABLE_FILE="/user/config") as nodes:
        command = ("python", str(JOBS / "mindspore_sum.py"), str(tmp_path))
        assert run(nodes, "--launcher", "msrun", "--", *command) == [0, 0], story(nodes)
        assert "removed for the command: RANK_TABLE_FILE" in nodes[0].said
        assert results(tmp_path) == {"rank-0": "2 3", "rank-1": "2 3"}
        assert_on_infiniband(nodes)


@pytest.mark.usefixtures("no_other_ray")
@pytest.mark.parametrize(("platform", "code"), [("modelarts", 0), ("volcano", 4)])
def test_ray_has_a_head_and_a_worker_that_ends_with_it(platform: str, code: int, tmp_path: Path) -> None:
    python = python_with("ray")
    stranger = tmp_path / "raylet"  # `ray stop` would take it for its own, and end it
    shutil.copy("/bin/sleep", stranger)
    with subprocess.Popen([stranger, "300"]) as running, two_nodes(platform, tmp_path, python) as nodes:
        try:
            command = ("python", str(JOBS / "ray_nodes.py"), str(tmp_path), str(code))
            assert run(nodes, "--launcher", "ray", "--", *command) == [code, code], story(nodes)
            assert (tmp_path / "nodes").read_text() == "10.88.0.1 10.88.0.2"
            assert_on_infiniband(nodes[1:])
            assert running.poll() is None, "what we did not start is not ours to end"
            for node in nodes:
                assert ip("netns", "pids", node.host.namespace) == "", "nothing of Ray is left"
        finally:
            running.kill()


def test_an_engine_that_does_not_come_up_is_told_with_its_last_words(tmp_path: Path) -> None:
    ray = tmp_path / "ray"
    ray.write_text(f"#!/bin/sh\nsleep 300 &\necho $! > {tmp_path}/left\necho port 6379 is taken\nexit 3\n")
    ray.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{SYSTEM}", "BOOTSTRAP_JOB_DIR": str(tmp_path / "job")}
    command = (BOOTSTRAP, "run", "--launcher", "ray", "--", "touch", "started")
    told = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 207
    assert "--block failed: exit code 3: port 6379 is taken" in told.stderr
    assert not list(tmp_path.rglob("started"))
    end = time.monotonic() + 20
    while _lives(int((tmp_path / "left").read_text())):
        assert time.monotonic() < end, "what it had started outlives us"
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.usefixtures("no_other_ray")
def test_a_ray_worker_that_dies_ends_the_job_and_is_named(tmp_path: Path) -> None:
    python = python_with("ray")
    with two_nodes("modelarts", tmp_path, python) as nodes:
        for node in nodes:
            node.start("--launcher", "ray", "--", "python", str(JOBS / "ray_waits.py"))
        nodes[0].wait_for("worker.pid")
        os.kill(int((nodes[0].home / "worker.pid").read_text()), signal.SIGKILL)
        assert [node.end() for node in nodes] == [15, 207], story(nodes)
        for node in nodes:
            first = node.record["first_failure"]
            assert (first["node"], first["step"], first["error"]) == (1, "launch", "cannot-start"), story(nodes)
            assert "ray start --address" in first["why"]
