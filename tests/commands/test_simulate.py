"""`bootstrap simulate`: real bootstraps in made-up environments, in namespaces where root may have them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.commands.test_manifest import WHOLE
from tests.lab.waiting import until

BOOTSTRAP = str(Path(sys.executable).with_name("bootstrap"))
NETWORKS = [pytest.param("namespaces", marks=pytest.mark.netns), "loopback"]
TELL = "import os; e = os.environ; print('I am', e['NODE_RANK'], 'of', e['NNODES'], e['BOOTSTRAP_ROLE'])"
pytestmark = pytest.mark.timeout(120)


def simulate(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [BOOTSTRAP, "simulate", "--directory", str(tmp_path / "nodes"), *words]
    return subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, timeout=100)


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> str:
    if request.param == "namespaces":
        from bootstrap.rehearsal.machines import can_have_namespaces

        if not can_have_namespaces():
            pytest.skip("lab: no network namespaces here")
    return str(request.param)


@pytest.mark.parametrize("platform", ["dls", "modelarts", "volcano"])
def test_every_node_believes_its_platform(platform: str, network: str, tmp_path: Path) -> None:
    done = simulate(
        tmp_path, "--nodes", "3", "--platform", platform, "--network", network, "--", sys.executable, "-c", TELL
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for node in range(3):
        assert f"[node {node}] I am {node} of 3 worker\n" in done.stdout
        assert f"identify   {platform} (" in (line := _line(done.stdout, f"[node {node}]", "identify")), line
    table = done.stdout[done.stdout.rindex("\nnode  host") :].split("\n")[2:5]
    assert [row.split()[2:4] for row in table] == [["0", "success"]] * 3


def test_what_boot_commands_of_modelarts_v2_use_is_there(network: str, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.sh").write_text(
        "for name in MA_HOME MA_MOUNT_PATH MA_LOG_DIR MA_CURRENT_IP MA_CURRENT_HOST_IP MA_CURRENT_INSTANCE_NAME "
        "NCCL_SOCKET_IFNAME NCCL_IB_HCA NCCL_DEBUG; do eval echo $name=\\$$name; done; touch $MA_LOG_DIR/mine\n"
    )
    asked = ("--nodes", "2", "--platform", "modelarts", "--network", network)
    done = simulate(tmp_path, *asked, "--", "sh", "-c", "sh ${MA_JOB_DIR}/code/train.sh")
    assert done.returncode == 0, done.stdout + done.stderr
    for node in range(2):
        home = tmp_path / "nodes" / f"node-{node}"
        ip = f"10.77.0.{node + 1}" if network == "namespaces" else f"127.0.0.{node + 1}"
        for line in (
            f"MA_HOME={home}", f"MA_MOUNT_PATH={home}/modelarts", f"MA_LOG_DIR={home}/modelarts/log",
            f"MA_CURRENT_IP={ip}", f"MA_CURRENT_HOST_IP={ip}", f"MA_CURRENT_INSTANCE_NAME=rehearsal-worker-{node}",
            "NCCL_SOCKET_IFNAME=bond0,eth0", "NCCL_IB_HCA=^mlx5_bond_0", "NCCL_DEBUG=INFO",
        ):  # fmt: skip
            assert f"[node {node}] {line}\n" in done.stdout, done.stdout
        assert (home / "modelarts/log/mine").exists()


@pytest.mark.netns
def test_volcanos_host_files_are_mounted_and_this_machine_has_none_of_them(tmp_path: Path) -> None:
    from bootstrap.rehearsal.machines import can_have_namespaces

    if not can_have_namespaces():
        pytest.skip("lab: no network namespaces here")
    before = sorted(os.listdir("/etc"))
    asked = (
        "--nodes",
        "2",
        "--platform",
        "volcano",
        "--",
        "sh",
        "-c",
        "cat /etc/volcano/worker.host; grep -c . /etc/passwd",
    )
    done = simulate(tmp_path, *asked)
    assert done.returncode == 0, done.stdout + done.stderr
    for node in range(2):
        for host in range(2):
            assert f"[node {node}] rehearsal-worker-{host}.rehearsal\n" in done.stdout, done.stdout
    assert sorted(os.listdir("/etc")) == before


def test_a_single_node_is_listed_under_a_name_with_a_dot_as_modelarts_v1_does(network: str, tmp_path: Path) -> None:
    show = "import os; print([f'{k}={v}' for k, v in os.environ.items() if k.endswith('.0_HOSTS')])"
    asked = ("--nodes", "1", "--platform", "dls", "--network", network, "--", sys.executable, "-c", show)
    done = simulate(tmp_path, *asked)
    assert re.search(r"\['BATCH_jobab12cd34\.0_HOSTS=[\w.-]+:6666'\]", done.stdout), done.stdout


def _line(text: str, *words: str) -> str:
    return next((line for line in text.splitlines() if all(word in line for word in words)), "")


def test_nodes_meet_and_the_rest_learns_of_one_that_is_killed(network: str, tmp_path: Path) -> None:
    wait = "import time; time.sleep(300)"
    asked = ("--with", "--barrier --on-peer-failure stop", "--kill", "1@6")
    done = simulate(
        tmp_path,
        "--nodes",
        "3",
        "--platform",
        "volcano",
        "--network",
        network,
        *asked,
        "--",
        sys.executable,
        "-c",
        wait,
    )
    assert done.returncode == 137, done.stdout
    assert done.stdout.count("all nodes are ready") == 3
    rows = done.stdout[done.stdout.rindex("\nnode  host") :].split("\n")[2:5]
    assert ["node-lost" in row for row in rows] == [True, False, True]
    assert "kill at 6 s" in rows[1] and "node 1" in rows[0]


def rows(said: str) -> list[list[str]]:
    """The table at the end, its header first; columns are two spaces apart at least."""
    return [re.split(r" {2,}", line) for line in said[said.rindex("\nnode  host") :].split("\n") if line]


def test_a_node_that_is_asked_to_stop_ends_as_an_eviction_does(network: str, tmp_path: Path) -> None:
    asked = ("--nodes", "2", "--platform", "modelarts", "--with", "--on-peer-failure stop", "--stop", "1@6")
    done = simulate(tmp_path, *asked, "--network", network, "--", "sleep", "300")
    assert done.returncode == 143, done.stdout
    assert "[node 1] asked to stop after 6 s, as you wished\n" in done.stdout
    header, first, second = rows(done.stdout)
    assert header == ["node", "host", "exit", "reason", "seconds", "first failure", "hurt"]
    assert (first[0], first[2:4], first[5:]) == ("0", ["143", "stopped-by-peer"], ["node 1, rank 1", "-"])
    assert (second[0], second[2:4], second[5:]) == (
        "1",
        ["143", "stopped-by-platform"],
        ["node 1, rank 1", "stop at 6 s"],
    )
    assert 0 < float(second[4]) < 60  # since the node began, which on a busy machine is long after the rehearsal did
    hosts = {"loopback": ["127.0.0.1", "127.0.0.2"], "namespaces": [f"rehearsal-worker-{i}.rehearsal" for i in (0, 1)]}
    assert [first[1], second[1]] == hosts[network]


@pytest.mark.netns
def test_a_node_that_is_cut_off_is_missed_and_named(tmp_path: Path) -> None:
    from bootstrap.rehearsal.machines import can_have_namespaces

    if not can_have_namespaces():
        pytest.skip("lab: no network namespaces here")
    asked = ("--nodes", "3", "--platform", "dls", "--with", "--on-peer-failure stop --peer-silence 3")
    done = simulate(tmp_path, *asked, "--partition", "2@6", "--", "sleep", "300")
    assert done.returncode == 209, done.stdout
    assert "[node 2] cut off after 6 s, as you wished\n" in done.stdout
    table = rows(done.stdout)[1:]
    assert [row[3] for row in table] == ["node-lost"] * 3
    assert [row[5] for row in table] == ["node 2", "node 2", "node 0"], "who is cut off misses node 0"
    assert [row[6] for row in table] == ["-", "-", "partition at 6 s"]


def test_options_of_the_nodes_may_be_one_alone_and_belong_to_nobody_else(tmp_path: Path) -> None:
    asked = ("--nodes", "2", "--platform", "dls", "--network", "loopback", "--with", "--barrier")
    done = simulate(tmp_path, *asked, "--", "echo", "--with", "--barrier")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("all nodes are ready") == 2
    assert "[node 1] --with --barrier\n" in done.stdout
    assert "expected one argument" in simulate(tmp_path, *asked[:-1], "--", "true").stderr


def test_nobody_can_be_cut_off_on_the_loopback(tmp_path: Path) -> None:
    asked = ("--nodes", "2", "--platform", "dls", "--network", "loopback", "--partition", "1@1")
    done = simulate(tmp_path, *asked, "--", "true")
    assert done.returncode == 101
    assert "--partition needs a network of its own for each node" in done.stderr


def test_every_node_has_an_address_of_its_own(network: str, tmp_path: Path) -> None:
    tell = "import os; print('addresses', os.environ['BOOTSTRAP_ADDRESSES'], 'master', os.environ['MASTER_ADDR'])"
    asked = ("--nodes", "3", "--platform", "volcano", "--with", "--meet port", "--network", network)
    done = simulate(tmp_path, *asked, "--", sys.executable, "-c", tell)
    assert done.returncode == 0, done.stdout
    place = {"loopback": "127.0.0", "namespaces": "10.88.0"}[network]
    for node in range(3):
        assert f"[node {node}] addresses {place}.1,{place}.2,{place}.3 master {place}.1\n" in done.stdout


def test_a_late_node_is_waited_for(tmp_path: Path) -> None:
    asked = ("--nodes", "2", "--platform", "modelarts", "--with", "--meet port", "--delay", "0@2")
    done = simulate(tmp_path, *asked, "--network", "loopback", "--", sys.executable, "-c", TELL)
    assert done.returncode == 0, done.stdout
    assert "[node 1] I am 1 of 2" in done.stdout


def test_a_job_file_gives_the_tasks_and_their_commands(network: str, tmp_path: Path) -> None:
    head, rest = WHOLE.split("  - name: master")
    master, worker = rest.split("  - amount")
    text = f"{head}  - amount{worker}  - name: master{master}"  # the master counts as node 0 wherever it stands
    text = text.replace('["python", "train.py"]', '["echo", "master", "says"]').replace("conda activate work", "true")
    (tmp_path / "job.yaml").write_text(text.replace("python train.py", "echo worker $VC_TASK_INDEX $NODE_RANK"))
    done = simulate(tmp_path, "--platform", "volcano", "--network", network, "--job", str(tmp_path / "job.yaml"))
    assert done.returncode == 0, done.stdout
    for line in ("[node 0] master says --epochs 10\n", "[node 1] worker 0 1\n", "[node 2] worker 1 2\n"):
        assert line in done.stdout


@pytest.mark.parametrize(
    ("text", "words", "code", "told"),
    [
        (WHOLE.replace("  - name: master", "\t- name: master"), (), 119, "line 3: a tab"),
        (WHOLE.replace("sxh-mnist-1", "Sxh_mnist"), (), 119, "sxh-mnist would do"),
        (WHOLE.replace("amount: 2", "name: master"), (), 119, "two tasks are named master"),
        (WHOLE.replace("amount: 2", "image: again"), (), 119, "'image' is given twice"),
        (WHOLE, ("--nodes", "2"), 101, "1 of master, 2 of task-1"),
        (WHOLE.replace("amount: 2", "amount: 300"), (), 101, "301 nodes cannot be rehearsed"),
        ("jobname: a\ntasks:\n  - image: x\n", (), 101, "task task-0 has no command"),
    ],
)
def test_a_job_file_that_is_wrong_is_refused_before_anything_starts(
    text: str, words: tuple[str, ...], code: int, told: str, tmp_path: Path
) -> None:
    (tmp_path / "job.yaml").write_text(text)
    done = simulate(tmp_path, "--platform", "volcano", "--job", str(tmp_path / "job.yaml"), *words)
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert not (tmp_path / "nodes/node-0").exists()


@pytest.mark.parametrize("platform", ["dls", "modelarts"])
def test_a_job_file_of_windows_runs_where_all_nodes_have_one_role(platform: str, tmp_path: Path) -> None:
    text = WHOLE.replace('["python", "train.py"]', '["echo", "master"]').replace("python train.py", "echo $NODE_RANK")
    (tmp_path / "job.yaml").write_bytes(text.replace("conda activate work", "true").replace("\n", "\r\n").encode())
    asked = ("--platform", platform, "--network", "loopback", "--job", str(tmp_path / "job.yaml"))
    done = simulate(tmp_path, *asked)
    assert done.returncode == 0, done.stdout
    assert all(f"[node {node}] {said}\n" in done.stdout for node, said in enumerate(["master --epochs 10", "1", "2"]))


def test_programs_get_json_on_stdout_and_nothing_else(tmp_path: Path) -> None:
    """The nodes' output, and what the outputs' URLs hold at the end, are on stderr."""
    fail = "import os; print('I am here'); raise SystemExit(int(os.environ['NODE_RANK']) * 3)"
    asked = ("--nodes", "2", "--platform", "dls", "--network", "loopback", "--format", "json")
    done = simulate(tmp_path, *asked, "--with", f"--output out={tmp_path}/models/", "--", sys.executable, "-c", fail)
    assert done.returncode == 3, done.stderr
    first, second = json.loads(done.stdout)
    assert (first["node"], first["exit_code"], first["reason_id"]) == (0, 0, "success")
    assert (second["node"], second["exit_code"], second["first_failure"]["node"]) == (1, 3, 1)
    assert "[node 1] I am here" in done.stderr and f"{tmp_path}/models/" in done.stderr


def test_a_fault_that_came_too_early_or_too_late_is_said(tmp_path: Path) -> None:
    faults = ("--delay", "1@3", "--kill", "1@0.5", "--stop", "0@600")
    done = simulate(tmp_path, "--nodes", "2", "--platform", "dls", "--network", "loopback", *faults, "--", "true")
    assert done.returncode == 0, done.stdout
    assert "[node 1] kill after 0.5 s, as you wished, came to nothing: it had not started\n" in done.stdout
    rows = done.stdout[done.stdout.rindex("\nnode  host") :].split("\n")
    assert rows[2].endswith("no stop at 600 s: had ended")
    assert rows[3].endswith("no kill at 0.5 s: had not started")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_stops_all_nodes(number: signal.Signals, network: str, tmp_path: Path) -> None:
    touch = f"import os, pathlib, time; p = '{tmp_path}/began-' + os.environ['NODE_RANK']\n"
    touch += "print('in network', os.stat('/proc/self/ns/net').st_ino); pathlib.Path(p).touch(); time.sleep(300)"
    argv = [BOOTSTRAP, "simulate", "--nodes", "2", "--platform", "dls", "--network", network]
    argv += ["--directory", str(tmp_path / "nodes"), "--", sys.executable, "-c", touch]
    with (tmp_path / "said").open("w") as output, subprocess.Popen(argv, stdout=output, cwd=tmp_path) as running:
        until(lambda: all((tmp_path / f"began-{node}").exists() for node in range(2)))
        running.send_signal(number)
        code = running.wait(60)
    said = (tmp_path / "said").read_text()
    assert code == 143, said
    assert said.count("stopped-by-platform") >= 2
    if network == "namespaces":
        own = {int(number) for number in re.findall(r"in network (\d+)", said)}
        assert len(own) == 2 and not own & set(_networks())


def _networks() -> Iterator[int]:
    """The rehearsals' networks that are there, other tests' too, which may go at any moment."""
    for path in Path("/run/netns").glob("rehearsal-*"):
        with suppress(OSError):
            yield path.stat().st_ino


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--nodes", "2", "--platform", "dls"), "there is no command"),
        (("--nodes", "0", "--platform", "dls", "--", "true"), "0 nodes cannot be rehearsed"),
        (("--nodes", "2", "--platform", "dls", "--kill", "2@1", "--", "true"), "NODE@SECONDS"),
        (("--nodes", "2", "--platform", "kubeflow", "--", "true"), "invalid choice"),
        (("--slots", "-3", "--platform", "dls", "--", "true"), "a node cannot have -3 processes"),
        (("--with", "--log 'x", "--platform", "dls", "--", "true"), "no closing quotation"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    done = simulate(tmp_path, *words)
    assert done.returncode == 101
    assert told in done.stderr


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "nodes").touch()
    done = simulate(tmp_path, "--platform", "dls", "--", "true")
    assert done.returncode == 115 and "nodes have no place" in done.stderr, done.stderr


def test_the_nodes_have_nothing_of_a_platform_that_we_run_on_ourselves(tmp_path: Path) -> None:
    argv = [BOOTSTRAP, "simulate", "--nodes", "2", "--platform", "dls", "--network", "loopback", "--", "env"]
    strange = {"MA_VJ_NAME": "stranger", "VC_TASK_INDEX": "7"}
    done = subprocess.run(
        argv, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, **strange}, timeout=100
    )
    assert done.returncode == 0, done.stdout
    assert "stranger" not in done.stdout and "DLS_TASK_INDEX=1" in done.stdout


def test_the_log_of_a_job_file_is_below_the_jobs_directory_on_a_nas_of_the_rehearsal(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(
        "jobname: a\ntasks:\n  - {image: x, amount: 2, command: echo trained, workingDir: /nfs/of/nobody/code}\n"
    )
    done = simulate(tmp_path, "--platform", "volcano", "--job", str(tmp_path / "job.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    logs = tmp_path / "nodes/nas/nfs/of/nobody/code/logs/a"
    found = [path for path in logs.rglob("*.log") if "trained" in path.read_text()]
    assert len(found) == 2, sorted(logs.rglob("*"))
