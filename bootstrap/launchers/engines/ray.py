"""``ray``: a head on node 0 with the command beside it, and a worker on every other node until node 0 ends.

``ray start`` stays in the foreground (``--block``), so that it can be watched, and ended without ``ray stop``, which
would end every Ray of the machine. Its logs and what it spills would fill the root file system below /tmp, so they go
to the job's large disk where there is one (ModelArts' ``/cache``, or where ``DLS_LOCAL_CACHE_PATH`` says).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from ..plan import Plan, Situation, Variable, common, host_of, joined, master_address, past_proxies, unless_set

PORT = 6379  # Ray's own


def plan(situation: Situation) -> Plan:
    """``ray start --head`` and the command; elsewhere ``ray start --address``, until node 0 ends."""
    cluster, environ = situation.cluster, situation.environ
    variables = unless_set(_large_disk(situation), environ) + common(situation) + past_proxies(situation)
    head = master_address(cluster)
    mine = host_of(cluster.me) if cluster.size > 1 else head
    if cluster.me.address is None and situation.address and cluster.size > 1:
        mine = situation.address
    if cluster.node_rank > 0:
        join = ("ray", "start", f"--address={joined(head, PORT)}", f"--node-ip-address={mine}", "--block")
        return Plan((), variables, beside=join, beside_needs=(head, PORT), follows_node_0=True)
    address = unless_set([Variable("RAY_ADDRESS", joined(head, PORT), "the head on this node")], environ)
    start = ("ray", "start", "--head", f"--port={PORT}", f"--node-ip-address={mine}", "--block")
    return Plan(situation.command, address + variables, beside=start, beside_opens=(head, PORT))


def _large_disk(situation: Situation) -> Iterator[Variable]:
    disk = situation.environ.get("DLS_LOCAL_CACHE_PATH") or "/cache"
    if not situation.environ.get("TMPDIR") and os.path.isdir(disk) and os.access(disk, os.W_OK):  # Ray minds TMPDIR
        yield Variable("RAY_TMPDIR", disk, "the job's large disk: Ray's files would fill the root file system")
