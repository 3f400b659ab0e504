"""``msrun``: MindSpore's launcher (2.3 and newer).

Its scheduler wants an IP address (names only since 2.5), so node 0's address on the chosen interface is given. A rank
table left in the environment contradicts what msrun hands out and breaks runs on fewer devices, so it is removed.
Without ``--join`` msrun returns at once and the container would end; without a log directory of its own every process
writes into the working directory.
"""

from __future__ import annotations

from ...ground.argv import as_python
from ..plan import Plan, Removed, Situation, common, launch_port, master_address

_RANK_TABLE = ("RANK_TABLE_FILE", "RANK_TABLE_FILE_V_1_0", "RANK_ID", "RANK_SIZE", "DEVICE_ID")


def plan(situation: Situation) -> Plan:
    """``msrun`` on every node. It takes Python files only, and runs them with the ``python`` of the PATH."""
    cluster, environ = situation.cluster, situation.environ
    python = as_python(situation.command)
    program = python.program if python and not python.is_module else situation.command
    logs = f"{situation.directory}/msrun"
    flags = ["--worker_num", str(cluster.size * situation.slots), "--local_worker_num", str(situation.slots)]
    flags += ["--master_addr", master_address(cluster), "--master_port", launch_port(cluster, environ)]
    if cluster.size > 1:
        flags += ["--node_rank", str(cluster.node_rank)]
    flags += ["--log_dir", logs, "--join", "True"]
    return Plan(
        command=("msrun", *flags, *program),
        variables=common(situation),
        remove=tuple(
            Removed(name, "a rank table contradicts the ranks that msrun hands out")
            for name in _RANK_TABLE
            if name in environ
        ),
        notes=(f"the output of each process is in {logs}/worker_N.log",),
    )
