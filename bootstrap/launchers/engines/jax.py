"""``jax``: the command as it is, one process a node, with the coordinator's address.

JAX reads ``JAX_COORDINATOR_ADDRESS`` itself; ``JAX_NUM_PROCESSES`` and ``JAX_PROCESS_ID`` are a wide-spread
convention that ``jax.distributed.initialize`` does not read: scripts pass them on. A proxy in the environment makes
its gRPC hang, so the nodes are named in ``no_proxy``. On CPUs its Gloo exchanges data over the interface that the
host's name belongs to (seen with 0.10.2), and reads no variable for it; on GPUs NCCL's is read.
"""

from __future__ import annotations

from ..plan import Plan, Situation, Variable, common, joined, master_address, master_port, past_proxies, unless_set


def plan(situation: Situation) -> Plan:
    """The command, untouched. A single node gets nothing: JAX needs no coordinator there."""
    cluster, environ = situation.cluster, situation.environ
    if cluster.size == 1:
        return Plan(situation.command, common(situation))
    coordinator = joined(master_address(cluster), master_port(cluster, environ))
    own = [
        Variable("JAX_COORDINATOR_ADDRESS", coordinator, "node 0 is the coordinator"),
        Variable("JAX_NUM_PROCESSES", str(cluster.size), "one process a node"),
        Variable("JAX_PROCESS_ID", str(cluster.node_rank), "one process a node"),
    ]
    return Plan(situation.command, unless_set(own, environ) + common(situation) + past_proxies(situation))
