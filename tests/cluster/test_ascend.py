"""Ascend's way through the real command: the platform's rank table, late and in pieces, and a process for each device.

There is no NPU in the lab: the program that each device gets tells what it was told.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.cluster.nodes import Node, run, story, two_nodes

pytestmark = [pytest.mark.netns, pytest.mark.timeout(240)]

TELL = str(Path(__file__).parent / "jobs/ascend_tell.py")
# how the pods are called in the table, which variable says so, and the job's name in the names of logs
PODS = {
    "dls": ("jobab12cd34-job-npu-{}", "BATCH_TASK_CURRENT_INSTANCE", "jobab12cd34"),
    "modelarts": ("modelarts-job-7-worker-{}", "MA_CURRENT_INSTANCE_NAME", "modelarts-job-7"),
}


def table(pod: str) -> str:
    """As the platform writes it: of the form 0.1, in no order, and with a host's address that nobody else knows."""
    instances = [
        {
            "pod_name": pod.format(number),
            "server_id": f"172.16.0.{number}",
            "devices": [{"device_id": str(d), "device_ip": f"192.1.{number}.{d}"} for d in (4, 5)],
        }
        for number in (1, 0)
    ]
    group = {"group_name": "job", "device_count": "4", "instance_count": "2", "instance_list": instances}
    return json.dumps({"status": "completed", "group_count": "1", "group_list": [group]})


def give(node: Node, *pieces: str) -> None:
    """Lets the node's launcher see one piece after another: to open a pipe lasts until somebody opens it to read."""
    node.wait_for("said", "bootstrap.launchers.per_device")
    for piece in pieces:
        pipe = node.home / "pipe"
        os.mkfifo(pipe)
        pipe.rename(node.home / "config/jobstart_hccl.json").write_text(piece)


def start(nodes: list[Node], platform: str, *command: str) -> None:
    pod, variable, _ = PODS[platform]
    for number, node in enumerate(nodes):
        (node.home / "config").mkdir()
        told = {
            variable: pod.format(number),
            "RANK_TABLE_FILE": str(node.home / "config"),
            "BATCH_JOB_ID": "jobab12cd34",
        }
        if platform != "dls":
            del told["BATCH_JOB_ID"]
        node.start("--launcher", "ascend", "--", sys.executable, *command, **told)


@pytest.mark.parametrize("platform", PODS)
def test_each_device_has_its_process_though_the_table_comes_late_and_in_pieces(platform: str, tmp_path: Path) -> None:
    pod, _, job = PODS[platform]
    whole = table(pod)
    with two_nodes(platform, tmp_path) as nodes:
        start(nodes, platform, TELL)
        for node in nodes:
            give(node, '{"status": "initializing"}', whole[:100], whole)
        assert [node.end() for node in nodes] == [0, 0], story(nodes)
        for number, node in enumerate(nodes):
            for index in range(2):
                rank = str(2 * number + index)
                told = [f"device{index}", "1.0", job, rank, "4", str(index), str(index), "1800", "ib0"]
                log = node.home / f"job.run/workspace/logs/{job}-proc-rank-{rank}-device-{index}.txt"
                assert json.loads(log.read_text()) == told
                assert log.read_text() in (node.home / "job.log").read_text(), "the node's own log has it all"


def test_the_first_rank_that_fails_is_named_on_both_nodes(tmp_path: Path) -> None:
    with two_nodes("dls", tmp_path) as nodes:
        start(nodes, "dls", TELL, str(tmp_path), "3")
        for node in nodes:
            give(node, table(PODS["dls"][0]))
        assert [node.end() for node in nodes] == [143, 1], story(nodes)
        for node in nodes:
            first = node.record["first_failure"]
            assert (first["node"], first["rank"], first["rank_exit_code"]) == (1, 3, 1), story(nodes)
            assert first["traceback"].endswith("ValueError: rank 3 has no HBM left")


def test_a_table_that_never_comes_ends_the_wait_with_what_to_do(tmp_path: Path) -> None:
    with two_nodes("modelarts", tmp_path, RANK_TABLE_FILE=str(tmp_path)) as nodes:
        waits = ("-m", "bootstrap.launchers.per_device", "--deadline", "1", "--", "true")
        assert run(nodes, "--", sys.executable, *waits) == [203, 203], story(nodes)
        assert "set RANK_TABLE_FILE=/user/config" in nodes[0].said


def test_a_table_that_cannot_be_used_is_told_and_no_rank_is_blamed(tmp_path: Path) -> None:
    with two_nodes("dls", tmp_path) as nodes:
        start(nodes, "dls", TELL)
        for node in nodes:
            (node.home / "config/jobstart_hccl.json").write_text('{"version": "1.0", "status": "completed"}')
        codes = [node.end() for node in nodes]
        assert 104 in codes and set(codes) <= {104, 143}, story(nodes)
        for node in nodes:
            assert "rank" not in node.record["first_failure"], "no process had been started"
        assert any("'server_list' is missing" in node.said for node in nodes)
