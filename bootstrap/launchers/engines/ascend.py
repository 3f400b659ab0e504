"""``ascend``: a process for each accelerator of the rank table, as ModelArts' own launcher starts them.

For images without msrun or torchrun, and for the positional form of the old ``run_train.sh``. The work is done by
:mod:`bootstrap.launchers.per_device`, a program of its own that runs in place of the command.
"""

from __future__ import annotations

from ...ground import ourselves
from ..plan import Plan, Situation, common


def plan(situation: Situation) -> Plan:
    """``per_device`` with our own interpreter on every node; the command's own interpreter is the command's."""
    workspace = f"{situation.directory}/workspace"
    program = (*ourselves.program("bootstrap.launchers.per_device"), "--workspace", workspace, "--")
    return Plan(
        command=(*program, *situation.command),
        variables=common(situation),
        notes=(f"the output of each process is in {workspace}/logs",),
    )
