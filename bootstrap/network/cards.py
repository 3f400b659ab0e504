"""What a node tells the others of itself, and a job's nodes in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..job import Cluster

_MOST_NAMED = 8


@dataclass(frozen=True, slots=True)
class Card:
    """A node's own host name, its address on the chosen interface, and that one's name."""

    host: str
    address: str
    interface: str = ""


def placed(cluster: Cluster, cards: Sequence[Card]) -> Cluster:
    """``cluster`` with what each node's card tells: its address, and a name where the platform told none."""
    nodes = tuple(
        replace(node, address=card.address or None, host=node.host or card.host or card.address)
        for node, card in zip(cluster.nodes, cards, strict=True)
    )
    return replace(cluster, nodes=nodes)


def named(ranks: Sequence[int], hosts: Sequence[str]) -> str:
    """These nodes for a message: ``node 1 (worker-1), node 3 (worker-3)``; of hundreds only the first few."""
    names = [f"node {rank} ({hosts[rank] or 'name unknown'})" for rank in ranks]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
