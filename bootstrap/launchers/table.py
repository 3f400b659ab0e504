"""Which launchers there are: a row an engine. Whatever else knows a launcher's name has it from here.

A new one is a new file in ``engines/`` and a row.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import UsageError
from .engines import ascend, deepspeed, direct, jax, mpi, msrun, paddle, ray, tensorflow, torchrun
from .launcher import Launcher, Ranks, Starts
from .plan import Plan, Situation

AUTO = "auto"
"""Not a launcher but a question: the one whose engine the program imports (:mod:`.auto`)."""

# In the order in which their imports count: what uses DeepSpeed, Horovod or Ray imports the framework below it, too.
LAUNCHERS: Mapping[str, Launcher] = {
    row.name: row
    for row in (
        Launcher(direct.NAME, direct.plan, "the command as it is"),
        Launcher(
            "deepspeed",
            deepspeed.plan,
            imports=("deepspeed",),
            calls=("deepspeed", "-m deepspeed", "-m deepspeed.launcher.runner", "-m deepspeed.launcher.launch"),
            node_flags=("--hostfile", "-H", "--num_nodes", "--node_rank", "--master_addr", "--no_ssh"),
            node_variables=("DLTS_HOSTFILE",),
        ),
        Launcher(
            "mpi",
            mpi.plan,
            starts=Starts.NODE_0,
            imports=("horovod", "mpi4py"),
            calls=("mpirun", "mpiexec", "orterun", "prterun", "horovodrun", "-m horovod.runner.launch"),
            plan_for_call=mpi.plan_for_call,
            node_flags=("--hostfile", "-hostfile", "--machinefile", "-machinefile", "-H", "--host", "-host"),
            node_variables=("OMPI_MCA_orte_default_hostfile", "PRTE_MCA_prte_default_hostfile"),
        ),
        Launcher(
            "paddle",
            paddle.plan,
            imports=("paddle",),
            by_address=True,
            calls=("fleetrun", "-m paddle.distributed.launch", "-m paddle.distributed.fleet.launch"),
            plan_for_call=paddle.plan_for_call,
            node_flags=("--master", "--nnodes", "--rank", "--ips"),
            node_variables=("PADDLE_MASTER", "PADDLE_NNODES", "PADDLE_IPS", "PADDLE_TRAINERS", "PADDLE_TRAINER_ID"),
            old_flags=("--cluster_node_ips", "--node_ip", "--started_port", "--use_paddlecloud"),
        ),
        Launcher(
            "msrun",
            msrun.plan,
            imports=("mindspore",),
            by_address=True,
            calls=("msrun", "-m mindspore.parallel.cluster.run"),
            node_flags=("--master_addr", "--node_rank", "--worker_num"),
        ),
        Launcher(
            "ray",
            ray.plan,
            starts=Starts.NODE_0,
            ranks=Ranks.NOTHING,
            imports=("ray",),
            calls=("ray start",),
            node_flags=("--address", "--head"),
        ),
        Launcher("tensorflow", tensorflow.plan, imports=("tensorflow",)),
        Launcher("jax", jax.plan, imports=("jax",)),
        Launcher(
            "torchrun",
            torchrun.plan,
            imports=("torch",),
            calls=("torchrun", "-m torch.distributed.run", "-m torch.distributed.launch"),
            plan_for_call=torchrun.plan_for_call,
            node_flags=("--nnodes", "--node_rank", "--rdzv_endpoint", "--rdzv_backend", "--standalone"),
            node_variables=("PET_NNODES", "PET_RDZV_ENDPOINT"),
        ),
        Launcher("ascend", ascend.plan, ranks=Ranks.RANK_TABLE),
    )
}


def choices() -> str:
    """All that the setting takes, in words."""
    words = [f"{row.name} ({row.help})" if row.help else row.name for row in LAUNCHERS.values()]
    return f"{', '.join(words)} or {AUTO}"


def plan(name: str, situation: Situation) -> Plan:
    """This node's plan with the launcher ``name``. Raises :class:`UsageError` for an unknown one."""
    return named(name).plan(situation)


def named(name: str) -> Launcher:
    """The row of ``name``. Raises :class:`UsageError` for a name that nobody has."""
    row = LAUNCHERS.get(name)
    if row is None:
        known = ", ".join((AUTO, *LAUNCHERS))
        raise UsageError(f"there is no launcher named {name!r}", where="--launcher", remedy=f"use one of {known}")
    return row
