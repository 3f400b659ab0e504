"""``paddle``: PaddlePaddle's own launcher, ``paddle.distributed.launch --master --nnodes --rank``.

Two traps in its environment. ``PADDLE_TRAINER_ID`` beats ``--rank`` and would be taken for the *node's* rank, so what
an older script or platform left of it is removed, with its companions. And without ``POD_IP`` the launcher announces
whatever its host name resolves to, which is not the interface that was chosen.
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
    python = as_python(situation.command)
    # Paddle's launcher runs Python files, and .sh ones; what else the command is, it must judge itself.
    interpreter, program = (python.interpreter, python.program) if python else ("python3", situation.command)
    flags: list[str] = []
    own: tuple[Variable, ...] = ()
    if cluster.size > 1:
        flags += ["--master", joined(master_address(cluster), master_port(cluster, environ))]
        flags += ["--nnodes", str(cluster.size), "--rank", str(cluster.node_rank)]
        if situation.job_id:
            flags += ["--job_id", situation.job_id]
        address = cluster.me.address or situation.address
        if address:
            own = unless_set([Variable("POD_IP", address, "this node's address on the chosen interface")], environ)
    if cluster.slots and not environ.get("PADDLE_NPROC_PER_NODE"):
        flags += ["--nproc_per_node", str(cluster.slots)]
    return Plan(
        command=(interpreter, "-m", "paddle.distributed.launch", *flags, *program),
        variables=own + common(situation),
        remove=tuple(
            Removed(name, "of a process, and paddle.distributed.launch would take it for this node's")
            for name in _OF_ONE_PROCESS
            if name in environ
        ),
        notes=("the output of each process is in log/workerlog.N below the working directory",),
    )
