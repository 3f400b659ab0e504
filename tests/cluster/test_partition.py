"""A node that is cut off while the commands run: nobody is told, so silence must be enough to decide."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from tests.cluster.nodes import Node, several_nodes, story

pytestmark = [pytest.mark.netns, pytest.mark.timeout(240)]

SILENCE = 4
WORK = "import os, pathlib, time; pathlib.Path('began').touch()\nwhile not os.path.exists('go'): time.sleep(0.02)"


def working(nodes: list[Node], on_peer_failure: str, silence: int = SILENCE) -> None:
    """All nodes have met, and their commands run."""
    asked = ("--on-peer-failure", on_peer_failure, "--meet", "port", "--peer-silence", str(silence))
    for node in nodes:
        node.start(*asked, "--", sys.executable, "-c", WORK)
    for node in nodes:
        node.wait_for("began")


@pytest.mark.parametrize("how", ["unplugged", "interface down"])
def test_every_node_stops_after_the_silence_and_names_who_fell_silent(how: str, tmp_path: Path) -> None:
    with several_nodes(3, "modelarts", tmp_path) as nodes:
        working(nodes, "stop")
        cut = time.monotonic()
        if how == "unplugged":
            nodes[1].host.cut_off("eth0")
        else:
            nodes[1].host.link("eth0", "down")
        assert [node.end() for node in nodes] == [209, 209, 209], story(nodes)
        assert SILENCE - 1 < time.monotonic() - cut < 45, "and not after the minute that is the default"
        for node, silent in zip(nodes, (1, 0, 1), strict=True):  # the one that is cut off hears node 0 no more
            record, host = node.record, f"ma-job-7-worker-{silent}.ma-job-7"
            first = record["first_failure"]
            assert (first["node"], first["host"], first["lost"]) == (silent, host, True)
            assert (record["reason_id"], record["user"]["asked_by"]) == ("node-lost", "peer")
            assert f"node {silent} ({host}) is gone without a word" in node.said


def test_when_node_0_is_cut_off_all_the_others_name_it(tmp_path: Path) -> None:
    with several_nodes(3, "volcano", tmp_path) as nodes:
        working(nodes, "stop")
        nodes[0].host.cut_off("eth0")
        assert [node.end() for node in nodes] == [209, 209, 209], story(nodes)
        first = [node.record["first_failure"] for node in nodes]
        assert first[0]["node"] in (1, 2), "it hears nobody any more"
        assert [one["host"] for one in first[1:]] == ["train-master-0.train"] * 2


def test_nodes_that_do_not_mind_finish_and_still_name_it(tmp_path: Path) -> None:
    with several_nodes(2, "volcano", tmp_path) as nodes:
        working(nodes, "ignore")
        nodes[1].host.cut_off("eth0")
        for node in nodes:
            node.wait_for("said", "gone without a word; going on")
            (node.home / "go").touch()
        assert [node.end() for node in nodes] == [0, 0], story(nodes)
        assert nodes[0].record["first_failure"]["node"] == 1


def test_a_link_that_comes_back_in_time_is_no_failure(tmp_path: Path) -> None:
    with several_nodes(2, "dls", tmp_path) as nodes:
        working(nodes, "stop", silence=120)
        nodes[1].host.link("eth0", "down")
        time.sleep(2.5)  # the outage itself: there is nothing to wait for
        nodes[1].host.link("eth0", "up")
        (nodes[1].home / "go").touch()
        assert nodes[1].end() == 0, story(nodes)
        (nodes[0].home / "go").touch()
        assert nodes[0].end() == 0, story(nodes)
        assert "first_failure" not in nodes[0].record
