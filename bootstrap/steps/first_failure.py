"""Who failed first: this node's own evidence, and the first of all nodes' news.

The end of a node's command says little of it. When a rank dies the ranks of all other nodes fail as well, within the
same second, and torchrun answers 1 whatever happened. So each node tells what its engine printed, with the time at
which the engine noticed, and the earliest is the one to look at.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import diagnosis
from ..job import AskedBy
from ..record import utc
from .run import Run

if TYPE_CHECKING:
    from ..launchers.rank_failure import RankFailure
    from ..network.peers import Failure

_LONGEST_TRACEBACK = 4000  # characters of its end: what is told goes to every node


def own(run: Run) -> dict[str, object]:
    """What there is to tell of this node; nothing if it did not fail by itself."""
    if run.ending is None:
        if run.failure is not None:
            return {"step": run.failed_step, "error": run.failure.id, "why": str(run.failure)}
        if run.stopped_by is not None and run.signals.asked_by is not AskedBy.PEER:
            return {"step": run.failed_step, "why": run.signals.why}
        return {}
    if run.ending.succeeded or run.follows:
        return {}
    from ..launchers.rank_failure import root_cause

    text = tail(run)
    assert run.resolved is not None and run.job is not None
    cluster = run.job.cluster
    rank = root_cause(text, first_rank=cluster.node_rank * (cluster.slots or 1))
    if rank is not None and rank.exit_code == -signal.SIGTERM:
        rank = None  # its launcher ended it, for a reason that is not this rank's
    if run.ending.asked_by is AskedBy.PEER and rank is None:
        return {}
    reason = diagnosis.explain(diagnosis.Facts(run.ending, text, run.resolved.settings.grace))
    facts: dict[str, object] = {"exit_code": run.ending.exit_code, "reason": reason.id, "at": run.ending.ended}
    return {**facts, **(_of_rank(run, rank) if rank else _of_node(run, text))}


def _of_rank(run: Run, rank: RankFailure) -> dict[str, object]:
    assert run.job is not None
    cluster = run.job.cluster
    facts: dict[str, object] = {"rank": rank.rank, "rank_exit_code": rank.exit_code}
    place = rank.rank // (cluster.slots or 1)
    if run.launcher == "mpi" and place < cluster.size:  # node 0 tells of all ranks, which fill node after node
        facts.update(node=place, host=cluster.nodes[place].host)
    if rank.at:
        facts["at"] = rank.at
    if rank.traceback:
        facts["traceback"] = rank.traceback[-_LONGEST_TRACEBACK:]
    if rank.error_file:
        facts["error_file"] = rank.error_file
    return facts


def _of_node(run: Run, text: str) -> dict[str, object]:
    """Where no engine tells of ranks: with one process a node, the node is the rank. With these launchers it is not:
    node 0 starts all, or the rank table says how many.
    """
    from ..launchers.rank_failure import last_traceback
    from ..launchers.table import FROM_NODE_0

    assert run.job is not None and run.ending is not None
    facts: dict[str, object] = {}
    if run.job.cluster.slots <= 1 and run.launcher not in (*FROM_NODE_0, "ascend"):
        ending = run.ending
        code = ending.status if ending.status is not None else -(ending.signal or 0)
        facts.update(rank=run.job.cluster.node_rank, rank_exit_code=code)
    if traceback := last_traceback(text):
        facts["traceback"] = traceback[-_LONGEST_TRACEBACK:]
    return facts


def of(news: Sequence[Failure]) -> dict[str, Any] | None:
    """The first of all nodes' news, as the record has it; None if there is none."""
    if not news:
        return None

    def when(failure: Failure) -> float:
        at = failure.facts.get("at")
        return at if isinstance(at, float) else failure.heard

    first = min(news, key=when)
    facts = {name: value for name, value in first.facts.items() if name != "at"}
    return {"node": first.rank, "host": first.host, "lost": first.lost, "at": utc(when(first)), **facts}


def alone(run: Run, facts: dict[str, object]) -> dict[str, Any]:
    """The same, where this node speaks to nobody."""
    assert run.job is not None
    at = facts.get("at")
    told = {name: value for name, value in facts.items() if name != "at"}
    when = utc(at if isinstance(at, float) else time.time())
    return {"node": run.job.cluster.node_rank, "host": os.uname().nodename, "lost": False, "at": when, **told}


def words(first: dict[str, Any]) -> str:
    """One sentence for the person who reads the end of the log."""
    who = f"node {first['node']} ({first['host']})"
    if first["lost"]:
        return f"The first to fail was {who}, which is gone without a word"
    if "step" in first:
        return f"The first to fail was {who}, in its step {first['step']}: {first['why']}"
    which = f"rank {first['rank']} on {who}" if "rank" in first else who
    code = first.get("rank_exit_code", first["exit_code"])
    last = str(first.get("traceback", "")).rstrip().rpartition("\n")[2].strip()
    ended = f"exit code {code}" if code >= 0 else f"signal {-code}"
    return f"The first to fail was {which}, with {ended}" + (f": {last}" if last else "")


def tail(run: Run) -> str:
    """The end of the log, as far as it can be read."""
    assert run.job is not None
    try:
        with Path(run.job.log_file).open("rb") as log:
            size = os.fstat(log.fileno()).st_size
            log.seek(max(0, size - diagnosis.TAIL))
            return log.read(diagnosis.TAIL).decode(errors="replace")
    except OSError:
        return ""
