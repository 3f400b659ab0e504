"""Paddle 2.0 takes the nodes from its launcher's arguments (``--ips``), and ``auto`` must not turn it away from that.

There is no Paddle 2.0 for a Python of today. In its place stands a launcher that handles arguments and environment as
its ``distributed/fleet/launch.py`` and ``cloud_utils.py`` did, and prints the cluster that each node would train in.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap.job import Cluster, Node
from bootstrap.launchers.decide import decide
from bootstrap.launchers.plan import Situation

LAUNCHER = """
import argparse, os

parser = argparse.ArgumentParser()  # which ends at a flag that it does not know
parser.add_argument("--ips", default="127.0.0.1")
parser.add_argument("--gpus")
parser.add_argument("training_script")
parser.add_argument("training_script_args", nargs=argparse.REMAINDER)
args = parser.parse_args()
cloud = all(os.getenv(name) for name in ("PADDLE_TRAINERS", "POD_IP", "PADDLE_TRAINER_ID", "PADDLE_PORT"))
if cloud and int(os.getenv("PADDLE_TRAINERS_NUM", "1")) != 1:  # a platform of theirs: its variables are the cluster
    ips, ip, port = os.environ["PADDLE_TRAINERS"].split(","), os.environ["POD_IP"], int(os.environ["PADDLE_PORT"])
else:
    ips = [ip.strip() for ip in args.ips.split(",")]
    ip = ips[0] if len(ips) == 1 else os.environ["HOST_IP"]  # in the real one: of the host's name
    port = int(os.environ.get("FLAGS_START_PORT", "6070"))
assert ip in ips, "Can't find your local ip"
print(ips.index(ip), len(ips), port, args.training_script, *args.training_script_args)
"""


def node(rank: int) -> Cluster:
    return Cluster(
        (Node(0, "a", 6000, address="10.0.0.1"), Node(1, "b", 6001, address="10.0.0.2")), rank, 1, "the test"
    )


@pytest.mark.parametrize("launcher", ["auto", "direct", "paddle"])
@pytest.mark.parametrize("left", [{}, {"PADDLE_TRAINER_ID": "0", "PADDLE_TRAINERS_NUM": "1"}])
def test_the_nodes_of_its_arguments_are_the_nodes(launcher: str, left: dict[str, str], tmp_path: Path) -> None:
    place = tmp_path / "site/paddle/distributed"
    place.mkdir(parents=True)
    (place / "launch.py").write_text(LAUNCHER)
    script = 'python3 -m paddle.distributed.launch --ips=10.0.0.1,10.0.0.2 --gpus 0 train.py --lr "0.1 0.2"\n'
    (tmp_path / "run.sh").write_text(script)
    command = ("bash", "run.sh")
    told = []
    for rank in (0, 1):
        cluster = node(rank)
        made = decide(launcher, command, cluster, str(tmp_path), left)
        plan = made.plan(Situation(cluster, command, left, address=f"10.0.0.{rank + 1}", directory=str(tmp_path)))
        assert plan.command == command, "as it is, once on each node"
        environ = {**left, **{variable.name: variable.value for variable in plan.variables}}
        for removed in plan.remove:
            environ.pop(removed.name, None)
        environ |= {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PYTHONPATH": str(tmp_path / "site")}
        environ["HOST_IP"] = f"10.0.0.{rank + 1}"
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        told.append(done.stdout)
    assert told == [f"{rank} 2 6070 train.py --lr 0.1 0.2\n" for rank in (0, 1)]
