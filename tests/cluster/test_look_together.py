"""What processes do is written down on all nodes before any of them is stopped."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.e2e.conftest import container as container
from tests.e2e.job import Container
from tests.lab.stores import free_ports
from tests.lab.waiting import until

# node 0 falls silent, or runs into its time limit, or fails; node 1 is at work all the time
WORKS = """
import os, signal, sys, time
rank = os.environ["RANK"]
def end(*_):
    open("stopped-" + rank, "w").close()
    sys.exit(9)
signal.signal(signal.SIGTERM, end)
open("armed-" + rank, "w").close()
while not os.path.exists("go"): time.sleep(0.02)
if rank == "0" and os.environ["HOW"] == "fails": sys.exit(3)
while True:
    if rank != "0": print("step", flush=True)
    time.sleep(0.2)
"""


@pytest.mark.parametrize("how", ["--stall-timeout", "--timeout", "fails"])
def test_stacks_are_taken_on_all_nodes_before_anyone_is_stopped(how: str, container: Container) -> None:
    both = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "BOOTSTRAP_INTERFACE": "lo", "HOW": how}
    both |= {"BOOTSTRAP_MEET_PORT": str(free_ports(1)[0]), "BOOTSTRAP_LOG": str(container.tmp / "delivered")}
    own = [{"RANK": rank, "BOOTSTRAP_LOG_FILE": str(container.tmp / f"task-{rank}.log")} for rank in "01"]
    words = ["--on-peer-failure", "stop", "--grace", "20"]
    limit = [] if how == "fails" else [how, "3"]
    with (
        container.running(*words, *limit, "--", "python3", "-c", WORKS, environ={**both, **own[0]}) as first,
        container.running(*words, "--", "python3", "-c", WORKS, environ={**both, **own[1]}) as second,
    ):
        for rank in "01":
            until(lambda rank=rank: (container.work / f"armed-{rank}").exists(), limit=90)
        (container.work / "go").touch()
        results = [container.finish(first), container.finish(second)]
    watching = ["1"] if how == "fails" else ["0", "1"]
    taken = [stacks(container, rank).stat().st_mtime for rank in watching]
    stopped = [(container.work / f"stopped-{rank}").stat().st_mtime for rank in watching]
    assert max(taken) <= min(stopped), [result.stderr for result in results]
    for rank in watching:
        assert "python3" in stacks(container, rank).read_text()
        record = json.loads((container.tmp / f"task-{rank}.run" / "run.json").read_text())
        (told,) = (one for one in record["evidence"] if one["to"].endswith("stall.txt"))
        assert Path(told["to"]).read_text() == stacks(container, rank).read_text()
    assert "another node is about to stop its command" in results[1].stderr or how == "fails"


def stacks(container: Container, rank: str) -> Path:
    return container.tmp / f"task-{rank}.run" / "stall.txt"


def test_a_node_that_goes_on_is_looked_at_and_goes_on(container: Container) -> None:
    both = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "BOOTSTRAP_INTERFACE": "lo", "HOW": "stalls"}
    both |= {"BOOTSTRAP_MEET_PORT": str(free_ports(1)[0]), "BOOTSTRAP_MEET": "port"}
    own = [{"RANK": rank, "BOOTSTRAP_LOG_FILE": str(container.tmp / f"task-{rank}.log")} for rank in "01"]
    alone = "import os, time\nwhile not os.path.exists('stopped-0'): time.sleep(0.05)\nprint('done')"
    goes_on = ["--on-peer-failure", "ignore", "--"]
    with (
        container.running(
            "--stall-timeout", "2", "--grace", "20", *goes_on, "python3", "-c", WORKS, environ={**both, **own[0]}
        ) as first,
        container.running(*goes_on, "python3", "-c", alone, environ={**both, **own[1]}) as second,
    ):
        until(lambda: (container.work / "armed-0").exists(), limit=90)
        (container.work / "go").touch()
        assert container.finish(first).code == 9
        result = container.finish(second)
    assert (result.code, result.stdout) == (0, b"done\n"), result.stderr
    assert os.path.exists(stacks(container, "1")), result.stderr
