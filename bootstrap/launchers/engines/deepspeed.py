"""``deepspeed``: its runner on every node by itself (``--no_ssh``), as torchrun works.

DeepSpeed's usual way is ssh from node 0; ``--no_ssh`` (since 0.14.3) needs neither keys nor a server. The hostfile is
still read to know how many nodes and slots there are; GPT-NeoX looks for it through ``DLTS_HOSTFILE``.
"""

from __future__ import annotations

from ...ground.argv import as_python
from ..plan import EngineFile, Plan, Situation, Variable, common, launch_port, master_address, unless_set
from .mpi import hostfile_lines


def plan(situation: Situation) -> Plan:
    """``python -m deepspeed.launcher.runner`` with this node's rank."""
    cluster, environ = situation.cluster, situation.environ
    python = as_python(situation.command)
    if python is None:
        interpreter, program = "python3", ("--no_python", *situation.command)
    elif python.is_module:
        interpreter, program = python.interpreter, ("--module", *python.program[1:])
    else:
        interpreter, program = python
    runner = (interpreter, "-m", "deepspeed.launcher.runner")
    port = launch_port(cluster, environ)
    if cluster.size == 1:
        gpus = ("--num_gpus", str(cluster.slots)) if cluster.slots else ()
        return Plan((*runner, *gpus, "--master_port", port, *program), common(situation))
    hosts = EngineFile(f"{situation.directory}/hostfile", "".join(hostfile_lines(situation)))
    told = unless_set([Variable("DLTS_HOSTFILE", hosts.path, "where GPT-NeoX looks for the hosts")], environ)
    flags = ["--hostfile", hosts.path, "--no_ssh", "--node_rank", str(cluster.node_rank)]
    flags += ["--master_addr", master_address(cluster), "--master_port", port]
    return Plan((*runner, *flags, *program), told + common(situation), files=(hosts,))
