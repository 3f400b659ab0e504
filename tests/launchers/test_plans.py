"""What each engine is started with on each node, and the traps in its environment."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from bootstrap.errors import UsageError
from bootstrap.ground.argv import as_python
from bootstrap.job import Cluster, Node
from bootstrap.launchers.plan import (
    Plan,
    Situation,
    common,
    job_variables,
    joined,
    launch_port,
    master_address,
    master_port,
    past_proxies,
)
from bootstrap.launchers.table import LAUNCHERS, plan

COMMAND = ("train.py", "--lr", "0.1")
NODES = tuple(Node(i, f"h{i}.job", 6000, address=f"10.88.0.{i + 1}") for i in range(2))


def situation(rank: int = 1, size: int = 2, **more: object) -> Situation:
    made = Situation(
        Cluster(NODES[:size], rank, 8, "the test"),
        COMMAND,
        interface="ib0",
        address=f"10.88.0.{rank + 1}",
        directory="/tmp/d",
        job_id="job-7",
    )
    return replace(made, **more)  # type: ignore[arg-type]


SINGLE = {"rank": 0, "size": 1}
RECORDER = {
    "TORCH_FR_BUFFER_SIZE": "2000",
    "TORCH_NCCL_TRACE_BUFFER_SIZE": "2000",
    "TORCH_NCCL_DUMP_ON_TIMEOUT": "1",
    "TORCH_FR_DUMP_TEMP_FILE": "/tmp/d/nccl_trace_rank_",
    "TORCH_NCCL_DEBUG_INFO_TEMP_FILE": "/tmp/d/nccl_trace_rank_",
}
EVIDENCE = {"PET_LOG_DIR": "/tmp/d/torchrun", **RECORDER}


def values(made: Plan) -> dict[str, str]:
    assert all(variable.why for variable in made.variables)
    names = [variable.name for variable in made.variables]
    assert len(set(names)) == len(names)
    told = {v.name: v.value for v in made.variables if not v.name.startswith("BOOTSTRAP_") and "IFNAME" not in v.name}
    return {name: value for name, value in told.items() if name not in EVIDENCE}


# --- what all of them have in common -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAUNCHERS)
def test_every_launcher_names_the_interface_and_the_job_and_overwrites_nothing(name: str) -> None:
    theirs = {"NCCL_SOCKET_IFNAME": "bond0,eth0"}
    made = plan(name, situation(rank=0, environ=theirs))
    told = {variable.name: variable.value for variable in made.variables}
    assert told["GLOO_SOCKET_IFNAME"] == "ib0"
    assert told["HCCL_SOCKET_IFNAME"] == "ib0"
    assert told["BOOTSTRAP_NODE_RANK"] == "0"
    assert told["BOOTSTRAP_ADDRESSES"] == "10.88.0.1,10.88.0.2"
    assert "NCCL_SOCKET_IFNAME" not in told


@pytest.mark.parametrize("name", LAUNCHERS)
def test_every_launcher_has_engines_keep_what_tells_of_a_failure(name: str) -> None:
    one = Cluster(NODES[:1], 0, 1, "the test")
    for where, expected in (
        (situation(rank=0), EVIDENCE),
        (situation(**SINGLE), EVIDENCE),
        (situation(cluster=one), {"PET_LOG_DIR": "/tmp/d/torchrun"}),
    ):
        told = {variable.name: variable.value for variable in plan(name, where).variables}
        assert {key: told[key] for key in EVIDENCE if key in told} == expected
    by_user = situation(rank=0, environ={"TORCH_NCCL_TRACE_BUFFER_SIZE": "0", "PET_LOG_DIR": "/mine"})
    assert not {variable.name for variable in plan(name, by_user).variables} & {"TORCH_FR_BUFFER_SIZE", "PET_LOG_DIR"}


@pytest.mark.parametrize("name", LAUNCHERS)
def test_every_launcher_keeps_the_commands_own_arguments_at_the_end(name: str) -> None:
    for environment in (situation(rank=0), situation(**SINGLE)):
        assert plan(name, environment).command[-2:] == ("--lr", "0.1")


@pytest.mark.parametrize("name", LAUNCHERS)
def test_no_launcher_passes_node_ranks_off_as_process_ranks(name: str) -> None:
    assert not values(plan(name, situation())).keys() & {"RANK", "WORLD_SIZE", "LOCAL_RANK"}


ALONE: dict[str, tuple[str, dict[str, str]]] = {
    "direct": (
        "",
        {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "6000", "NNODES": "1", "NODE_RANK": "0", "NPROC_PER_NODE": "8"},
    ),
    "torchrun": ("python3 -m torch.distributed.run", {"PET_NPROC_PER_NODE": "8", "PET_STANDALONE": "1"}),
    "paddle": ("python3 -m paddle.distributed.launch --nproc_per_node 8", {}),
    "mpi": ("mpirun --allow-run-as-root -np 8", {}),
    "deepspeed": ("python3 -m deepspeed.launcher.runner --num_gpus 8 --master_port 6000", {}),
    "tensorflow": ("", {}),
    "ray": ("", {"RAY_ADDRESS": "127.0.0.1:6379"}),
    "msrun": (
        "msrun --worker_num 8 --local_worker_num 8 --master_addr 127.0.0.1 --master_port 6000 --log_dir /tmp/d/msrun "
        "--join True",
        {},
    ),
    "jax": ("", {}),
}


@pytest.mark.parametrize("name", sorted(ALONE))  # test_per_device tells of ascend
def test_a_single_node_is_itself_with_each_launcher(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    made = plan(name, situation(**SINGLE))
    start, told = ALONE[name]
    assert (made.command, values(made)) == ((*start.split(), *COMMAND), told)
    assert (made.files, made.remove, made.follows_node_0, made.beside_needs) == ((), (), False, None)
    head = ("ray", "start", "--head", "--port=6379", "--node-ip-address=127.0.0.1", "--block")
    assert (made.beside, made.beside_opens) == ((head, ("127.0.0.1", 6379)) if name == "ray" else ((), None))


def test_only_root_tells_mpirun_that_root_may_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for where in (situation(rank=0), situation(**SINGLE)):
        assert "--allow-run-as-root" not in plan("mpi", where).command


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    assert plan("direct", situation()).command == COMMAND
    with pytest.raises(UsageError, match="no launcher named 'torchrum'") as caught:
        plan("torchrum", situation())
    assert "torchrun" in caught.value.remedy


@pytest.mark.parametrize(
    ("command", "taken_apart"),
    [
        (("train.py", "x"), ("python3", ("train.py", "x"))),
        (("python", "train.py"), ("python", ("train.py",))),
        (("/opt/conda/bin/python3.10", "-u", "a/train.py"), ("/opt/conda/bin/python3.10", ("a/train.py",))),
        (("python", "-m", "pkg.train", "-x"), ("python", ("-m", "pkg.train", "-x"))),
        (("python", "-c", "pass"), None),
        (("python", "-X", "dev", "train.py"), None),
        (("python",), None),
        (("bash", "run.sh"), None),
        (("pythonic", "train.py"), None),
    ],
)
def test_a_python_command_is_recognised(command: tuple[str, ...], taken_apart: object) -> None:
    assert as_python(command) == taken_apart


# --- torchrun ------------------------------------------------------------------------------------------------------


def test_torchrun_is_told_by_its_own_variables() -> None:
    made = plan("torchrun", situation())
    assert made.command == ("python3", "-m", "torch.distributed.run", *COMMAND)
    assert values(made) == {
        "PET_NPROC_PER_NODE": "8",
        "PET_NNODES": "2",
        "PET_NODE_RANK": "1",
        "PET_MASTER_ADDR": "10.88.0.1",
        "PET_MASTER_PORT": "6000",
    }


def test_torchrun_on_a_single_node_stands_alone() -> None:
    assert values(plan("torchrun", situation(**SINGLE))) == {
        "PET_NPROC_PER_NODE": "8",
        "PET_STANDALONE": "1",
    }


def test_torchrun_keeps_what_the_user_set() -> None:
    theirs = {"PET_NPROC_PER_NODE": "gpu", "PET_MASTER_PORT": "1234"}
    found = values(plan("torchrun", situation(environ=theirs)))
    assert not found.keys() & theirs.keys()
    assert found["PET_NNODES"] == "2"


@pytest.mark.parametrize("rank", [0, 1])
def test_a_c10d_rendezvous_is_told_who_hosts_the_store(rank: int) -> None:
    found = values(plan("torchrun", situation(rank=rank, environ={"PET_RDZV_BACKEND": "c10d"})))
    assert found["PET_RDZV_ENDPOINT"] == "10.88.0.1:6000"
    assert found["PET_RDZV_CONF"] == f"is_host={int(rank == 0)}"
    assert found["PET_RDZV_ID"] == "job-7"
    assert "PET_MASTER_ADDR" not in found


def test_torchrun_runs_modules_and_programs_too() -> None:
    module = plan("torchrun", situation(command=("/opt/py/bin/python", "-m", "pkg.train", "-x")))
    assert module.command == ("/opt/py/bin/python", "-m", "torch.distributed.run", "-m", "pkg.train", "-x")
    program = plan("torchrun", situation(command=("bash", "run.sh")))
    assert program.command == ("python3", "-m", "torch.distributed.run", "--no-python", "bash", "run.sh")


# --- Paddle --------------------------------------------------------------------------------------------------------


def test_paddle_gets_flags_and_its_own_address() -> None:
    made = plan("paddle", situation())
    assert made.command == (
        *("python3", "-m", "paddle.distributed.launch", "--master", "10.88.0.1:6000", "--nnodes", "2", "--rank", "1"),
        *("--job_id", "job-7", "--nproc_per_node", "8", *COMMAND),
    )
    assert values(made) == {"POD_IP": "10.88.0.2"}


def test_a_stray_trainer_id_is_removed_because_it_beats_the_rank() -> None:
    strays = {"PADDLE_TRAINER_ID": "0", "PADDLE_TRAINERS_NUM": "2", "PADDLE_CURRENT_ENDPOINT": "h0:1"}
    made = plan("paddle", situation(environ=strays))
    assert {removed.name for removed in made.remove} == strays.keys()
    assert all(removed.why for removed in made.remove)


def test_paddle_keeps_what_the_user_set() -> None:
    made = plan("paddle", situation(environ={"PADDLE_NPROC_PER_NODE": "2", "POD_IP": "1.2.3.4"}))
    assert "--nproc_per_node" not in made.command
    assert "POD_IP" not in values(made)


def test_a_script_that_calls_paddles_launcher_itself_is_left_as_it_is_and_the_launcher_is_told_by_variables() -> None:
    strays = {"PADDLE_TRAINER_ID": "0", "PADDLE_NNODES": "4"}
    made = plan("paddle", situation(command=("bash", "run.sh"), environ=strays))
    assert made.command == ("bash", "run.sh")
    assert values(made) == {
        "POD_IP": "10.88.0.2",
        "PADDLE_MASTER": "10.88.0.1:6000",
        "PADDLE_RANK": "1",
        "PADDLE_JOB_ID": "job-7",
        "PADDLE_NPROC_PER_NODE": "8",
    }
    assert [removed.name for removed in made.remove] == ["PADDLE_TRAINER_ID"]


def test_paddle_on_a_single_node_needs_no_master() -> None:
    made = plan("paddle", situation(**SINGLE))
    assert made.command == ("python3", "-m", "paddle.distributed.launch", "--nproc_per_node", "8", *COMMAND)


# --- MPI -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def path_with(tmp_path: Path):
    def make(*programs: str) -> dict[str, str]:
        for program in programs:
            (tmp_path / program).touch(mode=0o755)
        return {"PATH": str(tmp_path)}

    return make


def test_only_node_0_runs_mpirun_and_the_others_stay_until_it_ends(path_with) -> None:
    first = plan("mpi", situation(rank=0, environ={**path_with("ssh"), "NCCL_DEBUG": "INFO", "SECRET": "x"}))
    assert first.command[0] == "mpirun"
    count = first.command.index("-np")
    assert first.command[count : count + 4] == ("-np", "16", "--hostfile", "/tmp/d/hostfile")
    assert first.files[0].text == "h0.job slots=8\nh1.job slots=8\n"
    exported = {first.command[i + 1] for i, word in enumerate(first.command) if word == "-x"}
    assert {"NCCL_DEBUG", "NCCL_SOCKET_IFNAME", "BOOTSTRAP_NNODES", "PATH"} <= exported
    assert "SECRET" not in exported
    assert values(first) == {
        "OMPI_MCA_orte_keep_fqdn_hostnames": "1",
        "PRTE_MCA_prte_keep_fqdn_hostnames": "1",
        "OMPI_MCA_btl_tcp_if_include": "ib0",
        "OMPI_MCA_oob_tcp_if_include": "ib0",
    }
    second = plan("mpi", situation(rank=1))
    assert (second.command, second.follows_node_0) == ((), True)


def test_without_ssh_mpirun_goes_through_kubectl(path_with) -> None:
    made = plan("mpi", situation(rank=0, environ=path_with("kubectl")))
    agent = made.files[1]
    assert agent.executable
    assert "kubectl exec" in agent.text
    assert values(made)["OMPI_MCA_plm_rsh_agent"] == agent.path


def test_an_agent_that_the_user_chose_is_kept(path_with) -> None:
    made = plan("mpi", situation(rank=0, environ={**path_with("kubectl"), "OMPI_MCA_plm_rsh_agent": "mine"}))
    assert len(made.files) == 1
    assert "OMPI_MCA_plm_rsh_agent" not in values(made)


# --- the others ----------------------------------------------------------------------------------------------------


def test_deepspeed_runs_on_every_node_without_ssh() -> None:
    made = plan("deepspeed", situation())
    assert made.command == (
        *("python3", "-m", "deepspeed.launcher.runner", "--hostfile", "/tmp/d/hostfile", "--no_ssh"),
        *("--node_rank", "1", "--master_addr", "10.88.0.1", "--master_port", "6000", *COMMAND),
    )
    assert values(made) == {"DLTS_HOSTFILE": "/tmp/d/hostfile"}
    assert made.files[0].text.count("slots=8") == 2


def test_deepspeed_runs_modules_and_programs_too() -> None:
    assert plan("deepspeed", situation(command=("python", "-m", "a.b", "x"))).command[-3:] == ("--module", "a.b", "x")
    assert plan("deepspeed", situation(command=("bash", "x.sh"))).command[-3:] == ("--no_python", "bash", "x.sh")


def test_tensorflow_is_told_of_the_roles() -> None:
    nodes = (
        Node(0, "m", None, "master", "10.88.0.1"),
        Node(1, "p", 3333, "ps"),
        Node(2, "w0", None, "worker"),
        Node(3, "w1", None, "worker", "fd00::4"),
        Node(4, "e", None, "evaluator"),
    )
    told = values(plan("tensorflow", situation(cluster=Cluster(nodes, 3))))
    assert json.loads(told["TF_CONFIG"]) == {
        "cluster": {"chief": ["10.88.0.1:2222"], "ps": ["p:3333"], "worker": ["w0:2222", "[fd00::4]:2222"]},
        "task": {"type": "worker", "index": 1},
    }
    evaluator = json.loads(values(plan("tensorflow", situation(cluster=Cluster(nodes, 4))))["TF_CONFIG"])
    assert evaluator["task"] == {"type": "evaluator", "index": 0}


def test_tensorflow_on_a_single_node_gets_no_config_that_it_would_wait_for() -> None:
    assert values(plan("tensorflow", situation(**SINGLE))) == {}


def test_ray_has_a_head_beside_the_command_and_workers_that_stay_until_it_ends() -> None:
    head = plan("ray", situation(rank=0, environ={"DLS_LOCAL_CACHE_PATH": "/absent"}))
    assert head.beside == ("ray", "start", "--head", "--port=6379", "--node-ip-address=10.88.0.1", "--block")
    assert (head.command, head.beside_opens, head.beside_needs) == (COMMAND, ("10.88.0.1", 6379), None)
    assert values(head) == {"RAY_ADDRESS": "10.88.0.1:6379"}
    worker = plan("ray", situation(rank=1))
    assert worker.beside == ("ray", "start", "--address=10.88.0.1:6379", "--node-ip-address=10.88.0.2", "--block")
    assert (worker.command, worker.follows_node_0, worker.beside_needs) == ((), True, ("10.88.0.1", 6379))


@pytest.mark.parametrize("rank", [0, 1])
def test_rays_files_go_to_the_jobs_large_disk_where_there_is_one(rank: int, tmp_path: Path) -> None:
    def told(**environ: str) -> str:
        return values(plan("ray", situation(rank=rank, environ=environ))).get("RAY_TMPDIR", "none")

    disk = str(tmp_path)
    assert told(DLS_LOCAL_CACHE_PATH=disk) == disk
    assert told(DLS_LOCAL_CACHE_PATH=f"{disk}/absent") == "none"
    assert told(DLS_LOCAL_CACHE_PATH=disk, TMPDIR="/mine") == told(DLS_LOCAL_CACHE_PATH=disk, RAY_TMPDIR="/x") == "none"


def test_msrun_gets_an_address_and_no_rank_table() -> None:
    made = plan("msrun", situation(environ={"RANK_TABLE_FILE": "/user/config/jobstart_hccl.json", "RANK_ID": "3"}))
    assert made.command == (
        *("msrun", "--worker_num", "16", "--local_worker_num", "8", "--master_addr", "10.88.0.1"),
        *("--master_port", "6000", "--node_rank", "1", "--log_dir", "/tmp/d/msrun", "--join", "True", *COMMAND),
    )
    assert [removed.name for removed in made.remove] == ["RANK_TABLE_FILE", "RANK_ID"]


def test_jax_is_told_of_its_coordinator() -> None:
    assert values(plan("jax", situation())) == {
        "JAX_COORDINATOR_ADDRESS": "10.88.0.1:6000",
        "JAX_NUM_PROCESSES": "2",
        "JAX_PROCESS_ID": "1",
    }
    assert values(plan("jax", situation(**SINGLE))) == {}


@pytest.mark.parametrize("name", ["jax", "ray"])
def test_grpc_dials_the_nodes_past_any_proxy(name: str) -> None:
    made = values(plan(name, situation(environ={"HTTPS_PROXY": "http://p:3128", "no_proxy": "localhost,h0.job"})))
    assert made["no_proxy"] == made["NO_PROXY"] == "localhost,h0.job,h1.job,10.88.0.1,10.88.0.2"
    assert "no_proxy" not in values(plan(name, situation()))


@pytest.mark.parametrize("name", ["deepspeed", "msrun"])
def test_two_jobs_of_one_machine_are_not_given_one_port(name: str) -> None:
    def port(**environ: str) -> str:
        words = plan(name, situation(**SINGLE, cluster=Cluster((Node(0, "h"),), 0, 8, "x"), environ=environ)).command
        return words[words.index("--master_port") + 1]

    assert port() != "29500" and port() != port()
    assert port(MASTER_PORT="7") == "7"


# --- which port, which address, which proxy ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "listed", "port"),
    [("7", 6000, "7"), (" 7 ", None, "7"), ("", 6000, "6000"), ("  ", 6000, "6000"), ("", None, "29500")],
)
def test_the_port_is_the_one_that_is_set_before_the_listed_one_before_torchruns(
    asked: str, listed: int | None, port: str
) -> None:
    cluster = Cluster((Node(0, "h0", listed), Node(1, "h1", 6001)), 1)
    assert master_port(cluster, {"MASTER_PORT": asked}) == launch_port(cluster, {"MASTER_PORT": asked}) == port


def test_a_single_node_without_a_port_takes_a_free_one_and_else_what_is_there() -> None:
    alone, listed = Cluster((Node(0, "h0"),)), Cluster((Node(0, "h0", 6000),))
    assert launch_port(alone, {}) != "29500" and 0 < int(launch_port(alone, {})) < 65536
    assert launch_port(alone, {"MASTER_PORT": "7"}) == "7"
    assert launch_port(listed, {}) == "6000"


def test_node_0_is_dialled_by_its_address_before_its_name_and_alone_it_is_itself() -> None:
    named = Cluster((Node(0, "h0"), Node(1, "h1")), 1)
    assert master_address(named) == "h0"
    assert master_address(Cluster(NODES, 1)) == "10.88.0.1"
    assert master_address(Cluster(NODES[:1])) == "127.0.0.1"
    assert [joined(host, 7) for host in ("h", "10.0.0.1", "fd00::1")] == ["h:7", "10.0.0.1:7", "[fd00::1]:7"]


@pytest.mark.parametrize(
    ("environ", "merged"),
    [
        ({"http_proxy": "p", "no_proxy": "low", "NO_PROXY": "high"}, "low,h0.job,h1.job,10.88.0.1,10.88.0.2"),
        ({"GRPC_PROXY": "p", "no_proxy": "", "NO_PROXY": "high, h1.job,"}, "high,h1.job,h0.job,10.88.0.1,10.88.0.2"),
        ({"all_proxy": "p"}, "h0.job,h1.job,10.88.0.1,10.88.0.2"),
        ({"no_proxy": "low"}, None),
        ({"https_proxy": ""}, None),
    ],
)
def test_who_is_dialled_without_a_proxy_is_added_to_what_is_there(environ: dict[str, str], merged: str | None) -> None:
    told = {variable.name: variable.value for variable in past_proxies(situation(environ=environ))}
    assert told == ({} if merged is None else {"no_proxy": merged, "NO_PROXY": merged})
    assert past_proxies(situation(**SINGLE, environ=environ)) == ()


def test_an_interface_whose_name_begins_anothers_is_meant_exactly() -> None:
    def told(*interfaces: str, **more: object) -> dict[str, str]:
        made = common(situation(interfaces=interfaces, **more))
        return {variable.name: variable.value for variable in made if "IFNAME" in variable.name}

    others = {"GLOO_SOCKET_IFNAME": "ib0", "TP_SOCKET_IFNAME": "ib0"}
    both = ("NCCL_SOCKET_IFNAME", "HCCL_SOCKET_IFNAME")
    assert told("lo", "ib0", "ib1", "bib01") == {**others, **dict.fromkeys(both, "ib0")}
    assert told("lo", "ib0", "ib01") == {**others, **dict.fromkeys(both, "=ib0")}
    assert told("lo", "ib0", environ={"TP_SOCKET_IFNAME": "eth0", "GLOO_SOCKET_IFNAME": ""}) == {
        "GLOO_SOCKET_IFNAME": "ib0", **dict.fromkeys(both, "ib0"),
    }  # fmt: skip
    assert told("lo", "ib0", interface="") == {}
    assert told("lo", "ib0", rank=0, size=1) == {}


def test_addresses_are_told_when_all_are_known() -> None:
    def told(*nodes: Node, address: str = "") -> str | None:
        found = {variable.name: variable.value for variable in job_variables(Cluster(nodes, 1), address)}
        assert (found["BOOTSTRAP_HOSTS"], found["BOOTSTRAP_NNODES"]) == ("a,b", "2")
        return found.get("BOOTSTRAP_ADDRESSES")

    first, second = Node(0, "a"), Node(1, "b")
    assert told(first, second, address="10.0.0.2") is None
    assert told(replace(first, address="10.0.0.1"), second, address="10.0.0.2") == "10.0.0.1,10.0.0.2"
    assert told(replace(first, address="10.0.0.1"), replace(second, address="10.0.0.3"), address="10.0.0.2") == (
        "10.0.0.1,10.0.0.3"
    )
