"""Two nodes of a job as one: they meet, wait for each other, stop with each other, and name who failed first."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.cluster.nodes import run, story, two_nodes
from tests.cluster.platforms import PLATFORMS
from tests.lab.netns import ip

pytestmark = [pytest.mark.netns, pytest.mark.timeout(240)]

ADDRESSES = "10.88.0.1,10.88.0.2"
SHOW = "import os; print(os.environ['BOOTSTRAP_ADDRESSES'], os.environ['MASTER_ADDR'])"
WAIT = "import pathlib, time; pathlib.Path('began').touch(); time.sleep(300)"


def python(text: str) -> tuple[str, ...]:
    return ("--", sys.executable, "-c", text)


def slow_preparations(tmp_path: Path) -> tuple[Path, tuple[str, ...]]:
    """Options of a node that is not ready until somebody writes into the gate: its environment's activation waits."""
    gate, conda = tmp_path / "gate", tmp_path / "conda/envs/e"
    os.mkfifo(gate)
    for part in ("conda-meta", "bin", "etc/conda/activate.d"):
        (conda / part).mkdir(parents=True)
    (conda / "etc/conda/activate.d/wait.sh").write_text(f"read line < {gate}\n")
    return gate, ("--conda-env", str(conda))


@pytest.mark.parametrize("platform", PLATFORMS)
def test_each_node_is_told_all_addresses_on_infiniband(platform: str, tmp_path: Path) -> None:
    with two_nodes(platform, tmp_path) as nodes:
        assert run(nodes, "--meet", "port", *python(SHOW)) == [0, 0], story(nodes)
        for number, node in enumerate(nodes):
            assert f"{ADDRESSES} 10.88.0.1\n" in (node.home / "job.log").read_text()
            assert node.record["met"]["addresses"] == ADDRESSES.split(",")
            listed = (node.home / ".cluster_ib_ips").read_text()
            ports = [":6100", ":6101"] if platform == "dls" else ["", ""]
            assert listed == f"10.88.0.1{ports[0]},10.88.0.2{ports[1]}"
            assert (node.home / ".local_ib_ip").read_text() == f"10.88.0.{number + 1}"


def test_nodes_that_have_only_ipv6_are_told_its_addresses(tmp_path: Path) -> None:
    with two_nodes("dls", tmp_path) as nodes:
        lines = ["::1 localhost"]
        for number, node in enumerate(nodes, 1):
            for device, network in (("eth0", "fd00:77"), ("ib0", "fd00:88")):
                ip("-n", node.host.namespace, "address", "flush", "dev", device)
                ip("-n", node.host.namespace, "address", "add", f"{network}::{number}/64", "dev", device, "nodad")
            lines.append(f"fd00:77::{number} {node.host.name}")
        (tmp_path / "lab/hosts").write_text("\n".join([*lines, ""]))
        assert run(nodes, "--meet", "port", *python(SHOW)) == [0, 0], story(nodes)
        for number, node in enumerate(nodes, 1):
            assert "fd00:88::1,fd00:88::2 fd00:88::1\n" in (node.home / "job.log").read_text()
            assert (node.home / ".cluster_ib_ips").read_text() == "[fd00:88::1]:6100,[fd00:88::2]:6101"
            assert (node.home / ".local_ib_ip").read_text() == f"fd00:88::{number}"


def test_a_plain_job_meets_nobody_and_needs_no_port(tmp_path: Path) -> None:
    with two_nodes("dls", tmp_path) as nodes:
        nodes[1].start(*python("import os; print(os.environ['MASTER_ADDR'])"))
        assert nodes[1].end() == 0, "it does not wait for node 0, which never comes"
        assert "met" not in nodes[1].record
        assert "job-custom0-0\n" in nodes[1].said


def test_the_addresses_go_through_the_store_where_ports_cannot_be_had(tmp_path: Path) -> None:
    shared, there = tmp_path / "shared", tmp_path / "there"
    together = f"import time, pathlib; t = pathlib.Path('{there}')\nif os.environ['NODE_RANK'] == '1': t.touch()\n"
    together += "while not t.exists(): time.sleep(0.02)"
    with two_nodes("modelarts", tmp_path) as nodes:
        asked = ("--meet", "store", "--log", f"{shared}/", *python(f"{SHOW}\n{together}"))
        assert run(nodes, *asked) == [0, 0], story(nodes)
        assert all(f"{ADDRESSES} 10.88.0.1\n" in node.said for node in nodes)
        assert not [path for path in shared.rglob(".meeting*/*") if path.is_file()], "nothing of it is left"


def test_a_secret_keeps_strangers_out(tmp_path: Path) -> None:
    with two_nodes("volcano", tmp_path, BOOTSTRAP_PEER_TIMEOUT="4") as nodes:
        nodes[0].start("--meet", "port", "--peer-secret", "swordfish-0", *python(SHOW))
        nodes[1].start("--meet", "port", "--peer-secret", "another-one", *python(SHOW))
        assert [node.end() for node in nodes] == [203, 203], story(nodes)
        assert "another secret or another job" in nodes[1].said
        assert "swordfish-0" not in nodes[0].said + (nodes[0].home / "job.run/run.json").read_text()


def test_nobody_starts_before_all_have_fetched_and_node_0_says_who_was_slow(tmp_path: Path) -> None:
    gate, slow = slow_preparations(tmp_path)
    with two_nodes("dls", tmp_path) as nodes:
        command = python("import pathlib; pathlib.Path('began').touch()")
        nodes[0].start("--barrier", *command)
        nodes[1].start("--barrier", *slow, *command)
        nodes[0].wait_for("said", "ready; waiting for the other nodes")
        assert not (nodes[0].home / "began").exists()
        gate.write_text("go\n")
        assert [node.end() for node in nodes] == [0, 0], story(nodes)
        assert "all nodes are ready; the last was node 1 (job-custom1-0)" in nodes[1].said
        table = nodes[0].said[nodes[0].said.index("came after") :]
        assert "job-custom0-0" in table and "job-custom1-0" in table
        assert [one["node"] for one in nodes[0].record["barrier"]] == [0, 1]


def test_when_one_command_fails_the_other_is_stopped_and_both_records_name_it(tmp_path: Path) -> None:
    with two_nodes("modelarts", tmp_path) as nodes:
        fail = "import os, pathlib, time\npathlib.Path('began').touch()\nif os.environ['NODE_RANK'] == '1':\n"
        fail += "    while not os.path.exists('go'): time.sleep(0.02)\n"
        fail += "    raise ValueError('not like this')\ntime.sleep(300)"
        for node in nodes:
            node.start("--on-peer-failure", "stop", *python(fail))
        for node in nodes:
            node.wait_for("began")
        (nodes[1].home / "go").touch()
        assert [node.end() for node in nodes] == [143, 1], story(nodes)
        for node in nodes:
            first = node.record["first_failure"]
            assert (first["node"], first["host"]) == (1, "ma-job-7-worker-1.ma-job-7")
            assert (first["rank"], first["rank_exit_code"]) == (1, 1)
            assert first["traceback"].endswith("ValueError: not like this")
            assert "The first to fail was rank 1 on node 1" in node.said
        assert nodes[0].record["user"]["asked_by"] == "peer"
        assert nodes[0].record["reason_id"] == "stopped-by-peer"


def test_a_node_may_go_on_without_the_others(tmp_path: Path) -> None:
    with two_nodes("dls", tmp_path) as nodes:
        patient = "import os, time\nif os.environ['NODE_RANK'] == '1': raise SystemExit(3)\n"
        patient += "while not os.path.exists('go'): time.sleep(0.02)"
        for node in nodes:
            node.start("--meet", "port", "--on-peer-failure", "ignore", *python(patient))
        nodes[0].wait_for("said", "going on")
        (nodes[0].home / "go").touch()
        assert [node.end() for node in nodes] == [0, 3], story(nodes)
        assert nodes[0].record["first_failure"]["rank_exit_code"] == 3


def test_a_node_whose_fetch_fails_stops_the_others_before_they_begin(tmp_path: Path) -> None:
    with two_nodes("volcano", tmp_path) as nodes:
        nodes[0].start("--barrier", *python(WAIT))
        nodes[1].start("--barrier", "--code", str(tmp_path / "nothing-here/"), *python(WAIT))
        assert [node.end() for node in nodes] == [143, 111], story(nodes)
        assert nodes[0].record["reason_id"] == "stopped-by-peer"
        first = nodes[0].record["first_failure"]
        assert (first["node"], first["step"], first["error"]) == (1, "fetch", "nothing-there")
        assert not (nodes[0].home / "began").exists()


def test_a_bootstrap_that_is_killed_is_noticed(tmp_path: Path) -> None:
    with two_nodes("dls", tmp_path) as nodes:
        for node in nodes:
            node.start("--on-peer-failure", "stop", *python(WAIT))
        for node in nodes:
            node.wait_for("began")
        victim = nodes[0].process
        assert victim is not None
        os.kill(victim.pid, signal.SIGKILL)
        assert nodes[1].end() == 209, story(nodes)
        assert nodes[1].record["user"]["exit_code"] == 143, "what the command made of it is told as well"
        assert nodes[1].record["first_failure"]["node"] == 0
        assert nodes[1].record["first_failure"]["lost"]
        assert (nodes[1].record["exit_code"], nodes[1].record["reason_id"]) == (209, "node-lost")


# --- faults --------------------------------------------------------------------------------------------------------


def test_a_node_that_never_comes_is_named(tmp_path: Path) -> None:
    with two_nodes("dls", tmp_path, BOOTSTRAP_PEER_TIMEOUT="3") as nodes:
        nodes[0].start("--launcher", "torchrun", *python(SHOW))
        assert nodes[0].end() == 203
        assert "1 of 2 nodes did not come (node 1 (job-custom1-0))" in nodes[0].said
        assert "first_failure" not in nodes[0].record, "nobody knows what befell the other"


def test_with_infiniband_down_at_the_start_the_next_interface_is_taken_and_said(tmp_path: Path) -> None:
    with two_nodes("dls", tmp_path) as nodes:
        for node in nodes:
            node.host.link("ib0", "down")
        assert run(nodes, "--meet", "port", *python(SHOW)) == [0, 0], story(nodes)
        assert "10.77.0.1,10.77.0.2 10.77.0.1\n" in nodes[1].said
        assert "passed over: ib0 (down" in nodes[1].said
        assert nodes[1].record["interface"]["name"] == "eth0"


def test_a_partition_in_the_middle_ends_the_wait_of_the_barrier(tmp_path: Path) -> None:
    with two_nodes("dls", tmp_path, BOOTSTRAP_PEER_TIMEOUT="6") as nodes:
        gate, slow = slow_preparations(tmp_path)
        nodes[0].start("--barrier", *python(WAIT))
        nodes[1].start("--barrier", *slow, *python(WAIT))
        nodes[0].wait_for("said", "ready; waiting for the other nodes")
        nodes[1].host.link("eth0", "down")  # the conversation goes by the names of the platform
        gate.write_text("go\n")
        assert [node.end() for node in nodes] == [203, 203], story(nodes)
        assert "not all nodes were ready" in nodes[0].said and "job-custom1-0" in nodes[0].said


SAVES = """
import os, pathlib, signal, time
def save(*_):
    pathlib.Path("saving").touch()
    time.sleep(4)  # more than a second TERM would leave
    pathlib.Path("saved").touch()
    raise SystemExit(9)
signal.signal(signal.SIGTERM, save)
pathlib.Path("armed").touch()
while not os.path.exists("go"): time.sleep(0.02)
raise SystemExit(3)
"""


def test_a_platform_that_ends_the_job_for_the_same_failure_does_not_shorten_the_grace(tmp_path: Path) -> None:
    with two_nodes("dls", tmp_path) as nodes:
        for node in nodes:
            node.start("--on-peer-failure", "stop", *python(SAVES))
        for node in nodes:
            node.wait_for("armed")
        (nodes[1].home / "go").touch()
        nodes[0].wait_for("saving")
        assert nodes[0].process is not None
        nodes[0].process.terminate()
        assert [node.end() for node in nodes] == [9, 3], story(nodes)
        assert (nodes[0].home / "saved").exists()
        assert nodes[0].record["user"]["asked_by"] == "peer"
