"""``tensorflow``: the command as it is, with ``TF_CONFIG`` for ``tf.distribute``.

A single node gets none: TensorFlow would take it for a cluster and wait.
"""

from __future__ import annotations

import json

from ..plan import Plan, Situation, Variable, common, host_of, joined, unless_set

_PORT = 2222  # TensorFlow's habit, and that of Volcano's plugin
# TensorFlow's names for the roles; a node of any other role is a worker.
_ROLES = {"chief": "chief", "master": "chief", "ps": "ps", "worker": "worker", "evaluator": "evaluator"}


def plan(situation: Situation) -> Plan:
    """The command, untouched."""
    if situation.cluster.size == 1:
        return Plan(situation.command, common(situation))
    config = [Variable("TF_CONFIG", tf_config(situation), f"the roles of {situation.cluster.source}")]
    return Plan(situation.command, unless_set(config, situation.environ) + common(situation))


def tf_config(situation: Situation) -> str:
    """The cluster by role and this node's place in it, as JSON."""
    cluster = situation.cluster
    tasks: dict[str, list[str]] = {}
    mine = ("worker", 0)
    for node in cluster.nodes:
        role = _ROLES.get(node.role.lower(), "worker")
        members = tasks.setdefault(role, [])
        if node.rank == cluster.node_rank:
            mine = (role, len(members))
        members.append(joined(host_of(node), node.port or _PORT))
    # An evaluator is no part of the cluster: it looks at what the others have saved.
    tasks.pop("evaluator", None)
    return json.dumps({"cluster": tasks, "task": {"type": mine[0], "index": mine[1]}})
