"""``paddle``: PaddlePaddle's own launcher, ``paddle.distributed.launch --master --nnodes --rank``.

Two traps in its environment. ``PADDLE_TRAINER_ID`` beats ``--rank`` and would be taken for the *node's* rank, so what
an older script or platform left of it is removed, with its companions. And without ``POD_IP`` the launcher announces
whatever its host name resolves to, which is not the interface that was chosen.

A script of the user's that calls the launcher itself is left as it is, and the launcher in it is told through its own
variables. They count more than flags there, which is what scripts for Paddle 1 need: today's launcher passes over
their ``--cluster_node_ips`` and ``--started_port`` without a word, and every node would train alone.
"""

from __future__ import annotations

from .plan import (
    Plan,
    Removed,
    Situation,
    Variable,
    as_python,
    common,
    joined,
    master_address,
    master_port,
    unless_set,
)

# What Paddle's launcher itself gives to the processes it starts.
_OF_ONE_PROCESS = (
    "PADDLE_TRAINER_ID",
    "PADDLE_TRAINERS_NUM",
    "PADDLE_TRAINER_ENDPOINTS",
    "PADDLE_CURRENT_ENDPOINT",
    "PADDLE_GLOBAL_RANK",
    "PADDLE_GLOBAL_SIZE",
    "PADDLE_LOCAL_RANK",
)


def plan(situation: Situation) -> Plan:
    """``python -m paddle.distributed.launch`` on every node. Variables of Paddle's that the user set beat our flags."""
    cluster, environ = situation.cluster, situation.environ
    told: dict[str, str] = {}
    own: list[Variable] = []
    if cluster.size > 1:
        told["master"] = joined(master_address(cluster), master_port(cluster, environ))
        told["nnodes"] = str(cluster.size)
        told["rank"] = str(cluster.node_rank)
        if situation.job_id:
            told["job_id"] = situation.job_id
        if address := cluster.me.address or situation.address:
            own.append(Variable("POD_IP", address, "this node's address on the chosen interface"))
    if cluster.slots and not environ.get("PADDLE_NPROC_PER_NODE"):
        told["nproc_per_node"] = str(cluster.slots)

    python = as_python(situation.command)
    if python is not None:
        flags = [word for name, value in told.items() for word in (f"--{name}", value)]
        command = (python.interpreter, "-m", "paddle.distributed.launch", *flags, *python.program)
    else:
        command = situation.command
        why = f"for the launcher that {command[0]} may call"
        own += [Variable(f"PADDLE_{name.upper()}", value, why) for name, value in told.items()]
    return Plan(
        command=command,
        variables=unless_set(own, environ) + common(situation),
        remove=tuple(
            Removed(name, "of a process, and paddle.distributed.launch would take it for this node's")
            for name in _OF_ONE_PROCESS
            if name in environ
        ),
        notes=("the output of each process is in log/workerlog.N below the working directory",),
    )
