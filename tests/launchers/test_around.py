"""What is planned for a job, and what the person is told of it: addresses, advice, notes."""

from __future__ import annotations

import threading

import pytest

from bootstrap.errors import NameUnresolved
from bootstrap.job import Cluster, Node
from bootstrap.launchers.around import Planned, make_plan
from bootstrap.launchers.plan import Situation
from tests.storage.conftest import MemoryLog

ADVICE = {"WORLD_SIZE": "2", "RANK": "1"}


def cluster(*hosts: str, slots: int = 2) -> Cluster:
    return Cluster(tuple(Node(rank, host) for rank, host in enumerate(hosts)), len(hosts) - 1, slots, "the test")


def planned(name: str, log: MemoryLog, nodes: Cluster, *command: str, **environ: str) -> Planned:
    situation = Situation(nodes, command or ("python", "train.py"), environ, directory="/d", job_id="job")
    return make_plan(name, situation, "/work", deadline_s=0.1, stop=threading.Event(), log=log)


def warnings(log: MemoryLog) -> list[str]:
    return log.events("warning")


def test_direct_warns_of_variables_that_count_nodes_and_a_launcher_notes_where_its_output_is() -> None:
    log = MemoryLog()
    made = planned("direct", log, cluster("localhost", "127.0.0.1"), **ADVICE)
    assert (made.launcher, made.plan.notes) == ("direct", ())
    assert any("count nodes here, with 2 processes each" in text for text in warnings(log))
    log = MemoryLog()
    made = planned("paddle", log, cluster("localhost", "127.0.0.1"), **ADVICE)
    assert made.launcher == "paddle" and "workerlog" in made.plan.notes[0]
    assert warnings(log) == []


def test_who_asks_for_a_launcher_needs_the_address_of_node_0_and_a_plain_command_does_not() -> None:
    with pytest.raises(NameUnresolved, match=r"no-such\.invalid"):
        planned("paddle", MemoryLog(), cluster("no-such.invalid", "127.0.0.1"))
    made = planned("paddle", MemoryLog(), cluster("127.0.0.1", "localhost"))
    assert "127.0.0.1:" in " ".join((*made.plan.command, *(one.value for one in made.plan.variables)))
    log = MemoryLog()
    legacy = ("python", "-m", "paddle.distributed.launch", "--cluster_node_ips=a,b", "train.py")
    made = planned("direct", log, cluster("no-such.invalid", "127.0.0.1"), *legacy)
    assert made.launcher == "direct" and made.plan.command in (legacy, ())
    assert any(text.startswith("the command is run as it is") for text in warnings(log))
