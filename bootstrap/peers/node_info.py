"""What a node tells the others of itself, and a job's nodes in words."""

from __future__ import annotations

from collections.abc import Sequence

from ..job import Cluster
from ..values import dataclass, replace

_MOST_NAMED = 8


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A node's own host name, its address on the chosen interface, and that one's name. ``share``: where it gives the
    others what it fetches, and what that is (:mod:`bootstrap.sharing`); empty if it does not.
    """

    host: str
    address: str
    interface: str = ""
    share: str = ""


def placed(cluster: Cluster, members: Sequence[NodeInfo]) -> Cluster:
    """``cluster`` with what each node tells: its address, and a name where the platform told none."""
    nodes = tuple(
        replace(node, address=info.address or None, host=node.host or info.host or info.address)
        for node, info in zip(cluster.nodes, members, strict=True)
    )
    return replace(cluster, nodes=nodes)


def named(ranks: Sequence[int], hosts: Sequence[str], count: int = 0) -> str:
    """These nodes for a message: ``node 1 (worker-1), node 3 (worker-3)``; of hundreds only the first few. ``count`` is
    how many there are if ``ranks`` are not all of them.
    """
    names = [f"node {rank} ({hosts[rank] or 'name unknown'})" for rank in ranks[:_MOST_NAMED]]
    beyond = max(count, len(ranks)) - len(names)
    return ", ".join(names) + (f" and {beyond} more" if beyond > 0 else "")
