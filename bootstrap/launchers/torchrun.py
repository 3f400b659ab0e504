"""``torchrun``: PyTorch's elastic launcher, through its own ``PET_...`` variables.

Every flag of torchrun has a variable as its default (``--nproc-per-node`` is ``PET_NPROC_PER_NODE``), so what the
user has set in the environment or as a flag keeps its place before ours. The rendezvous is torchrun's *static* one:
node 0 hosts the store and rank 0 is on node 0. Its *c10d* one hands out ranks in the order of arrival, and decides by
comparing names which node hosts the store: with a name that belongs to another interface every node waits for
somebody else, unless it is told (``is_host``), which is done where the user asks for c10d.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .plan import (
    Plan,
    Situation,
    Variable,
    as_python,
    common,
    joined,
    master_address,
    master_port,
    unless_set,
)


def plan(situation: Situation) -> Plan:
    """``python -m torch.distributed.run`` on every node, with the interpreter that the command names."""
    python = as_python(situation.command)
    if python is not None:
        command = (python.interpreter, "-m", "torch.distributed.run", *python.program)
    else:
        command = ("python3", "-m", "torch.distributed.run", "--no-python", *situation.command)
    return Plan(command=command, variables=unless_set(_variables(situation), situation.environ) + common(situation))


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


@dataclass(frozen=True, slots=True)
class RankFailure:
    """The first failing rank as torchrun reports it. ``exit_code`` is negative for a signal."""

    rank: int
    local_rank: int
    host: str
    exit_code: int
    error_file: str
    traceback: str


_ROOT_CAUSE = re.compile(r"^Root Cause \(first observed failure\):\s*$", re.MULTILINE)
_FIELD = re.compile(r"^ {2}(time|host|rank|exitcode|error_file|traceback) *: (.*)$")


def root_cause(log_tail: str) -> RankFailure | None:
    """The last "Root Cause" block in the output of torchrun, whose own exit code is 1 whatever the rank's was."""
    blocks = list(_ROOT_CAUSE.finditer(log_tail))
    if not blocks:
        return None
    told: dict[str, str] = {}
    name = ""
    for line in log_tail[blocks[-1].end() :].splitlines():
        if line.startswith("====="):
            break
        if match := _FIELD.match(line):
            name = match[1]
            told[name] = match[2].strip()
        elif name == "traceback":
            told[name] += f"\n{line}"
    ranks = re.match(r"(\d+) \(local_rank: (\d+)\)", told.get("rank", ""))
    code = re.match(r"-?\d+", told.get("exitcode", ""))
    if ranks is None or code is None:
        return None
    error_file = told.get("error_file", "")
    traceback = told.get("traceback", "")
    return RankFailure(
        rank=int(ranks[1]),
        local_rank=int(ranks[2]),
        host=told.get("host", ""),
        exit_code=int(code[0]),
        error_file="" if error_file == "<N/A>" else error_file,
        # without @record in the script torchrun has none, and only says how to get one
        traceback="" if traceback.startswith("To enable traceback") else traceback,
    )
