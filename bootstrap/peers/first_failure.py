"""The diagnosis of this run, made once, and what this node tells the others of its end."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..job import AskedBy, Cluster, Ending
from ..launchers.launcher import Ranks, Starts
from ..launchers.table import LAUNCHERS
from ..reporting.record import utc

if TYPE_CHECKING:
    from ..diagnosis import Diagnosis, RankFailure
    from .session import NodeFailure

_LONGEST_TRACEBACK = 4000  # characters of its end: what is told goes to every node


def of_command(
    ending: Ending, found: Diagnosis | None, *, cluster: Cluster, launcher: str, follows: bool
) -> dict[str, object]:
    """What there is to tell of this node's command; nothing if it did not fail by itself.

    ``follows``: node 0 runs this node's processes.
    """
    if found is None or ending.succeeded or follows or (ending.asked_by is AskedBy.PEER and found.rank is None):
        return {}
    facts: dict[str, object] = {"exit_code": ending.exit_code, "reason": found.verdict.id, "at": ending.ended}
    if found.rank is not None:
        return {**facts, **_of_rank(found.rank, cluster, launcher)}
    return {**facts, **_of_node(ending, found, cluster, launcher)}


def _of_rank(rank: RankFailure, cluster: Cluster, launcher: str) -> dict[str, object]:
    facts: dict[str, object] = {"rank": rank.rank, "rank_exit_code": rank.exit_code}
    place = rank.rank // (cluster.slots or 1)
    row = LAUNCHERS[launcher]
    if row.starts is Starts.NODE_0 and row.ranks is Ranks.SLOTS and place < cluster.size:  # it tells of all ranks
        facts.update(node=place, host=cluster.nodes[place].host)
    if rank.at:
        facts["at"] = rank.at
    if rank.traceback:
        facts["traceback"] = rank.traceback[-_LONGEST_TRACEBACK:]
    if rank.error_file:
        facts["error_file"] = rank.error_file
    return facts


def _of_node(ending: Ending, found: Diagnosis, cluster: Cluster, launcher: str) -> dict[str, object]:
    """Where no engine tells of ranks: with one process a node, the node is the rank, unless node 0 starts all."""
    facts: dict[str, object] = {}
    row = LAUNCHERS[launcher]
    if cluster.slots <= 1 and row.starts is Starts.EVERY_NODE and row.ranks is Ranks.SLOTS:
        code = ending.status if ending.status is not None else -(ending.signal or 0)
        facts.update(rank=cluster.node_rank, rank_exit_code=code)
    if found.traceback:
        facts["traceback"] = found.traceback[-_LONGEST_TRACEBACK:]
    return facts


def of(news: Sequence[NodeFailure]) -> dict[str, Any] | None:
    """The first of all nodes' news, as the record has it; None if there is none."""
    if not news:
        return None

    def when(failure: NodeFailure) -> float:
        at = failure.facts.get("at")
        return at if isinstance(at, float) else failure.heard

    first = min(news, key=when)
    facts = {name: value for name, value in first.facts.items() if name != "at"}
    return {"node": first.rank, "host": first.host, "lost": first.lost, "at": utc(when(first)), **facts}


def alone(cluster: Cluster, facts: Mapping[str, object]) -> dict[str, Any]:
    """The same, where this node speaks to nobody."""
    at = facts.get("at")
    told = {name: value for name, value in facts.items() if name != "at"}
    when = utc(at if isinstance(at, float) else time.time())
    return {"node": cluster.node_rank, "host": os.uname().nodename, "lost": False, "at": when, **told}


def words(first: dict[str, Any]) -> str:
    """One sentence for the person who reads the end of the log."""
    who = f"node {first['node']} ({first['host']})"
    if first["lost"]:
        return f"The first to fail was {who}, which is gone without a word"
    if "step" in first:
        return f"The first to fail was {who}, in its step {first['step']}: {first.get('why', 'it did not say why')}"
    which = f"rank {first['rank']} on {who}" if "rank" in first else who
    code = first.get("rank_exit_code", first.get("exit_code"))
    last = str(first.get("traceback", "")).rstrip().rpartition("\n")[2].strip()
    ended = ""
    if code is not None:  # another version's bootstrap may have told of it in other words
        ended = f", with exit code {code}" if code >= 0 else f", with signal {-code}"
    return f"The first to fail was {which}{ended}" + (f": {last}" if last else "")
