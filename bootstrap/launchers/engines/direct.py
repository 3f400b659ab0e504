"""``direct``: the command as it is, with one consistent set of variables for plain ``env://`` scripts.

| variable | value | set |
| --- | --- | --- |
| ``MASTER_ADDR`` | node 0's address | always |
| ``MASTER_PORT`` | the port that the platform lists for node 0, or 29500 | several nodes, or a port is listed |
| ``NNODES``, ``NODE_RANK`` | nodes and which of them this is | always |
| ``NPROC_PER_NODE`` | slots of a node | where the slots are known |
| ``WORLD_SIZE``, ``RANK``, ``LOCAL_WORLD_SIZE``, ``LOCAL_RANK`` | counts of **processes** | several nodes of one slot |
| ``NCCL_``, ``GLOO_``, ``TP_``, ``HCCL_SOCKET_IFNAME`` | the interface, each in its own grammar | several nodes |
| ``BOOTSTRAP_NODE_RANK``, ``_NNODES``, ``_HOSTS``, ``_ADDRESSES``, ``_ROLE`` | the cluster in plain words | always |

What the user or the platform has set is never overwritten (ours, ``BOOTSTRAP_...``, apart). ``RANK`` and
``WORLD_SIZE`` are counts of processes for ``env://``: with several processes a node only a launcher that starts them
knows these, so they are not set then; and on a single node they would make libraries believe in a distributed job.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ...job import Cluster
from ..plan import Plan, Situation, Variable, common, master_address, master_port, unless_set

NAME = "direct"

__all__ = ["Variable", "advice", "environment", "plan"]


def plan(situation: Situation) -> Plan:
    """The command, untouched."""
    variables = (*_rendezvous(situation.cluster, situation.environ), *_processes(situation.cluster, situation.environ))
    return Plan(
        command=situation.command,
        variables=unless_set(variables, situation.environ) + common(situation),
        notes=tuple(advice(situation.cluster, situation.environ)),
    )


def plan_for_call(situation: Situation, own: Iterable[Variable] = ()) -> Plan:
    """The command, untouched, for one that calls a launcher by itself: told of the nodes, but of no ranks of processes,
    which are for that launcher to give. ``own`` is what the launcher reads itself.
    """
    variables = (*own, *_rendezvous(situation.cluster, situation.environ))
    return Plan(situation.command, unless_set(variables, situation.environ) + common(situation))


def environment(
    cluster: Cluster,
    environ: Mapping[str, str],
    *,
    interface: str = "",
    address: str = "",
    interfaces: tuple[str, ...] = (),
) -> list[Variable]:
    """The variables to add to ``environ`` for the command, in the order of the table above.

    ``interface`` is the chosen interface's name and ``address`` ours on it; both empty when none was looked for (a
    single node, or only a loopback). ``interfaces`` are the names of all that there are.
    """
    return list(plan(Situation(cluster, (), environ, interface, address, interfaces, directory="")).variables)


def advice(cluster: Cluster, environ: Mapping[str, str]) -> list[str]:
    """What the person should know of the variables that the platform has set itself."""
    counts = (environ.get("WORLD_SIZE", ""), environ.get("RANK", ""))
    if cluster.slots > 1 and counts == (str(cluster.size), str(cluster.node_rank)):
        return [
            f"WORLD_SIZE={counts[0]} and RANK={counts[1]} count nodes here, with {cluster.slots} processes each: "
            "use them for a launcher's --nnodes and --node-rank, not as env:// ranks"
        ]
    return []


def _rendezvous(cluster: Cluster, environ: Mapping[str, str]) -> Iterator[Variable]:
    where = "this node" if cluster.size == 1 else f"node 0 of {cluster.source}"
    yield Variable("MASTER_ADDR", master_address(cluster), where)
    if cluster.size > 1 or cluster.master.port:  # else two jobs of one machine would be told the same port
        why = f"listed for node 0 by {cluster.source}" if cluster.master.port else "the default"
        yield Variable("MASTER_PORT", master_port(cluster, environ), why)
    yield Variable("NNODES", str(cluster.size), cluster.source)
    yield Variable("NODE_RANK", str(cluster.node_rank), cluster.source)
    if cluster.slots:
        yield Variable("NPROC_PER_NODE", str(cluster.slots), "slots of this node")


def _processes(cluster: Cluster, environ: Mapping[str, str]) -> Iterator[Variable]:
    if cluster.size == 1 or cluster.slots > 1:
        return
    # All or none: half of ours beside half of somebody else's would contradict each other.
    if any(environ.get(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")):
        return
    why = "one process a node"
    yield Variable("WORLD_SIZE", str(cluster.size), why)
    yield Variable("RANK", str(cluster.node_rank), why)
    yield Variable("LOCAL_WORLD_SIZE", "1", why)
    yield Variable("LOCAL_RANK", "0", why)
