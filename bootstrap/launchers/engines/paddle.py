"""``paddle``: PaddlePaddle's own launcher, ``paddle.distributed.launch --master --nnodes --rank``.

Two traps in its environment. ``PADDLE_TRAINER_ID`` beats ``--rank`` and would be taken for the *node's* rank, so what
an older script or platform left of it is removed, with its companions. And without ``POD_IP`` the launcher announces
whatever its host name resolves to, which is not the interface that was chosen.

A script of the user's that calls the launcher itself is left as it is, and the launcher in it is told through its own
variables. They count more than flags there, which is what scripts for Paddle 1 need: today's launcher passes over
their ``--cluster_node_ips`` and ``--started_port`` without a word, and every node would train alone. Paddle 2.0 takes
the nodes from these flags, and reads none of our variables.

Its master must be an address: a node takes itself for the master only if that is its own ``POD_IP`` (3.3).
"""

from __future__ import annotations

from collections.abc import Iterator

from ...ground.argv import as_python
from ...values import replace
from ..launcher import Call
from ..plan import Plan, Removed, Situation, Variable, common, joined, master_address, master_port, unless_set
from . import direct

# What Paddle's launcher itself gives to the processes it starts.
OF_ONE_PROCESS = (
    "PADDLE_TRAINER_ID",
    "PADDLE_TRAINERS_NUM",
    "PADDLE_TRAINER_ENDPOINTS",
    "PADDLE_CURRENT_ENDPOINT",
    "PADDLE_GLOBAL_RANK",
    "PADDLE_GLOBAL_SIZE",
    "PADDLE_LOCAL_RANK",
)


_DEVICES = "PADDLE_NPROC_PER_NODE"
_DEVICE_FLAGS = ("--gpus", "--devices", "--npus", "--xpus", "--nproc_per_node")


def plan(situation: Situation) -> Plan:
    """``python -m paddle.distributed.launch`` on every node. Variables of Paddle's that the user set beat our flags."""
    python = as_python(situation.command)
    if python is None:  # whatever it is, what it calls may read these
        variables = unless_set(_variables(situation), situation.environ) + common(situation)
        return Plan(situation.command, variables, remove=tuple(_strays(situation)))
    told = _told(situation)
    if situation.cluster.slots and not situation.environ.get(_DEVICES):
        told["nproc_per_node"] = str(situation.cluster.slots)
    flags = [word for name, value in told.items() for word in (f"--{name}", value)]
    return Plan(
        command=(python.interpreter, "-m", "paddle.distributed.launch", *flags, *python.program),
        variables=unless_set(_own_address(situation), situation.environ) + common(situation),
        remove=tuple(_strays(situation)),
        notes=("the output of each process is in log/workerlog.N below the working directory",),
    )


def plan_for_call(situation: Situation, call: Call) -> Plan:
    """The command, untouched, with what the launcher in it reads. Its devices are its own flags', if it has any."""
    own = [one for one in _variables(situation) if one.name != _DEVICES or not call.says(*_DEVICE_FLAGS)]
    return replace(direct.plan_for_call(situation, own), remove=tuple(_strays(situation)))


def _variables(situation: Situation) -> Iterator[Variable]:
    """What the launcher reads from the environment."""
    yield from _own_address(situation)
    why = "for Paddle's launcher, if the command calls it"
    for name, value in _told(situation).items():
        yield Variable(f"PADDLE_{name.upper()}", value, why)
    if situation.cluster.slots:
        yield Variable(_DEVICES, str(situation.cluster.slots), why)


def _told(situation: Situation) -> dict[str, str]:
    """What the launcher is told of the nodes, by the names of its flags."""
    cluster = situation.cluster
    if cluster.size == 1:
        return {}
    told = {
        "master": joined(master_address(cluster), master_port(cluster, situation.environ)),
        "nnodes": str(cluster.size),
        "rank": str(cluster.node_rank),
    }
    if situation.job_id:
        told["job_id"] = situation.job_id
    return told


def _own_address(situation: Situation) -> Iterator[Variable]:
    address = situation.cluster.me.address or situation.address
    if situation.cluster.size > 1 and address:
        yield Variable("POD_IP", address, "this node's address, as the others know it")


def _strays(situation: Situation) -> Iterator[Removed]:
    for name in OF_ONE_PROCESS:
        if name in situation.environ:
            yield Removed(name, "of a process, and paddle.distributed.launch would take it for this node's")
