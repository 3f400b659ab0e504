"""Which launchers there are: one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import UsageError
from . import ascend, deepspeed, direct, jax, mpi, msrun, paddle, ray, tensorflow, torchrun
from .plan import Plan, Situation

LAUNCHERS: Mapping[str, Callable[[Situation], Plan]] = {
    "direct": direct.plan,
    "torchrun": torchrun.plan,
    "paddle": paddle.plan,
    "mpi": mpi.plan,
    "deepspeed": deepspeed.plan,
    "tensorflow": tensorflow.plan,
    "ray": ray.plan,
    "msrun": msrun.plan,
    "jax": jax.plan,
    "ascend": ascend.plan,
}

FROM_NODE_0 = ("mpi", "ray")
"""Those in which the other nodes wait for node 0's end, so that the nodes must be able to talk to each other."""


def plan(name: str, situation: Situation) -> Plan:
    """This node's plan with the launcher ``name``; what ``auto`` means is found out by :mod:`.auto`.

    Raises :class:`UsageError` for an unknown name.
    """
    make = LAUNCHERS.get(name)
    if make is None:
        raise UsageError(
            f"There is no launcher named {name!r}",
            where="--launcher",
            remedy=f"use one of auto, {', '.join(LAUNCHERS)}",
        )
    return make(situation)
