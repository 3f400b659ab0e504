"""``torchrun``: PyTorch's elastic launcher, through its own ``PET_...`` variables.

Every flag of torchrun has a variable as its default (``--nproc-per-node`` is ``PET_NPROC_PER_NODE``), so what the
user has set in the environment or as a flag keeps its place before ours. The rendezvous is torchrun's *static* one:
node 0 hosts the store and rank 0 is on node 0. Its *c10d* one hands out ranks in the order of arrival, and decides by
comparing names which node hosts the store: with a name that belongs to another interface every node waits for
somebody else, unless it is told (``is_host``), which is done where the user asks for c10d.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...ground.argv import as_python
from ..launcher import Call
from ..plan import Plan, Situation, Variable, common, joined, master_address, master_port, unless_set
from . import direct


def plan(situation: Situation) -> Plan:
    """``python -m torch.distributed.run`` on every node, with the interpreter that the command names."""
    python = as_python(situation.command)
    if python is not None:
        command = (python.interpreter, "-m", "torch.distributed.run", *python.program)
    else:
        command = ("python3", "-m", "torch.distributed.run", "--no-python", *situation.command)
    return Plan(command=command, variables=unless_set(_variables(situation), situation.environ) + common(situation))


def plan_for_call(situation: Situation, call: Call) -> Plan:
    """The command, untouched, with what the torchrun in it reads: flags of its own win."""
    return direct.plan_for_call(situation, _variables(situation))


def _variables(situation: Situation) -> Iterator[Variable]:
    cluster, environ = situation.cluster, situation.environ
    yield Variable("PET_NPROC_PER_NODE", str(situation.slots), "slots of this node")
    if cluster.size == 1:
        if not environ.get("PET_NNODES"):
            yield Variable("PET_STANDALONE", "1", "a single node: torchrun picks a free port itself")
        return
    yield Variable("PET_NNODES", str(cluster.size), cluster.source)
    yield Variable("PET_NODE_RANK", str(cluster.node_rank), cluster.source)
    host, port = master_address(cluster), master_port(cluster, environ)
    if environ.get("PET_RDZV_BACKEND", "static") == "static":
        yield Variable("PET_MASTER_ADDR", host, "node 0 hosts the store")
        yield Variable("PET_MASTER_PORT", port, "where node 0 hosts the store")
        return
    yield Variable("PET_RDZV_ENDPOINT", joined(host, port), "node 0 hosts the store")
    yield Variable("PET_RDZV_ID", situation.job_id or "bootstrap", "the job's id")
    if environ["PET_RDZV_BACKEND"] == "c10d":
        is_host = int(cluster.node_rank == 0)
        yield Variable("PET_RDZV_CONF", f"is_host={is_host}", "torchrun would guess it from host names")
