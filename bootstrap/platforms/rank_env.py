"""A plain ``MASTER_ADDR`` / ``RANK`` / ``WORLD_SIZE`` environment: Kubeflow's PyTorchJob, Alibaba's PAI-DLC. And that
of Kubeflow's Trainer v2, in torchrun's own words (``PET_NNODES``, ``PET_NODE_RANK``, ``PET_MASTER_ADDR``).

There ``WORLD_SIZE`` and ``RANK`` count **nodes**, not processes (PAI-DLC documentation, "built-in environment
variables": the master is 0, worker 0 is 1). Only the master's name is told; the other nodes' hosts stay empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import ClusterMismatch, PlatformIncomplete
from ..job import SINGLE_NODE, Cluster, Node, PlatformFacts
from .hosts import same_host, split_host
from .reading import first, interface_asked, log_file_of, names_here, number, own_names, slots_per_node

NAME = "rank-env"

_COUNTS = "RANK and WORLD_SIZE are taken as counts of nodes, as PAI-DLC and Kubeflow set them"
_NODE_RANKS = ("PET_NODE_RANK", "JOB_COMPLETION_INDEX")
"""Which node this is, where ``PET_NNODES`` counts them: Kubeflow's Trainer v2 makes the first of the second."""


def recognise(environ: Mapping[str, str], root: Path) -> str:
    """``RANK`` or ``WORLD_SIZE``, or torchrun's own count of nodes with a rank; ``MASTER_ADDR`` alone is often an
    image's habit and decides nothing.

    ``LOCAL_RANK`` means that a launcher has already started processes: then both count processes, and not nodes.
    """
    if environ.get("LOCAL_RANK", "").strip():
        return ""
    signs = names_here(environ, ("RANK", "WORLD_SIZE"))
    if not signs and _of_torchrun(environ) and (ranks := names_here(environ, _NODE_RANKS)):
        return ", ".join(["PET_NNODES", *ranks[:1], *names_here(environ, ("PET_MASTER_ADDR",))])
    return ", ".join([*signs, *names_here(environ, ("MASTER_ADDR",))]) if signs else ""


def read(environ: Mapping[str, str], root: Path, reason: str) -> PlatformFacts:
    """What these variables tell. Raises :class:`PlatformIncomplete` and :class:`ClusterMismatch`."""
    cluster, warnings = _cluster(environ, root)
    return PlatformFacts(
        platform=NAME,
        reason=reason,
        cluster=cluster,
        defaults={**interface_asked(environ), **log_file_of(cluster, environ)},
        notes=() if _of_torchrun(environ) else (_COUNTS,),
        warnings=tuple(warnings),
    )


def _of_torchrun(environ: Mapping[str, str]) -> bool:
    """Whether torchrun's own variable counts the nodes; a range (an elastic job) does not, but for ``2:2``."""
    return _counted(environ.get("PET_NNODES", "")).isdecimal()


def _counted(text: str) -> str:
    least, _, most = text.strip().partition(":")
    return least if most in ("", least) else text


def _cluster(environ: Mapping[str, str], root: Path) -> tuple[Cluster, list[str]]:
    slots, _ = slots_per_node(environ, root)
    # Where Kubeflow is told of processes per node it sets torchrun's own variables, which surely count nodes. A range
    # (PET_NNODES=2:4, an elastic job) tells no count.
    if _of_torchrun(environ):
        count = {"PET_NNODES": _counted(environ["PET_NNODES"])}
        size, rank = number(count, "PET_NNODES"), number(environ, _NODE_RANKS[0], "RANK", *_NODE_RANKS[1:])
    else:
        size, rank = number(environ, "WORLD_SIZE"), number(environ, "RANK")
    master = first(environ, "MASTER_ADDR", "PET_MASTER_ADDR", "PET_RDZV_ENDPOINT")
    if size is None and rank is None:
        return Cluster(SINGLE_NODE.nodes, slots=slots), []
    several = (size or (1, ""))[0] > 1 or (rank or (0, ""))[0] > 0
    missing = [
        name
        for name, found in (("WORLD_SIZE", size), ("RANK", rank), ("MASTER_ADDR", master if several else "not needed"))
        if not found
    ]
    if missing or size is None or rank is None:
        raise PlatformIncomplete(
            "the distributed environment is half set",
            where=", ".join(names_here(environ, ("RANK", "WORLD_SIZE", "MASTER_ADDR", "PET_NNODES", "PET_NODE_RANK"))),
            why=f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing",
            remedy="set MASTER_ADDR, RANK and WORLD_SIZE together, or unset them, or choose --platform local",
        )
    if not 0 <= rank[0] < size[0]:
        raise ClusterMismatch(
            f"{rank[1]} {rank[0]} is outside the {size[0]} nodes that {size[1]} announces",
            where=f"{rank[1]}={rank[0]}, {size[1]}={size[0]}",
        )
    if master is None:
        return Cluster(SINGLE_NODE.nodes, slots=slots, source=size[1]), []
    host, port = split_host(master.value, master.source)
    asked_port = number(environ, "MASTER_PORT", "PET_MASTER_PORT")
    port = asked_port[0] if asked_port else port
    nodes = [Node(0, host, port, "master" if size[0] > 1 else "worker")]
    names = own_names(environ, root)
    own = names[0] if names else ""
    nodes += [Node(other, own if other == rank[0] else "") for other in range(1, size[0])]
    source = ", ".join(dict.fromkeys((master.source, rank[1], size[1])))
    is_master = any(same_host(host, name) for name in names)
    doubts = [f"this container is called {own} as MASTER_ADDR is, but {rank[1]} is {rank[0]}"]
    return Cluster(tuple(nodes), rank[0], slots, source), doubts if is_master and rank[0] else []
