"""``ray``: a head on node 0 with the command beside it, and a worker on every other node until node 0 ends.

``ray start`` stays in the foreground (``--block``), so that it can be watched, and ended without ``ray stop``, which
would end every Ray of the machine.
"""

from __future__ import annotations

from .plan import (
    Plan,
    Situation,
    Variable,
    common,
    host_of,
    joined,
    master_address,
    past_proxies,
    unless_set,
)

PORT = 6379  # Ray's own


def plan(situation: Situation) -> Plan:
    """``ray start --head`` and the command; elsewhere ``ray start --address``, until node 0 ends."""
    cluster, environ = situation.cluster, situation.environ
    variables = common(situation) + past_proxies(situation)
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
