"""``mpi``: Open MPI (and Horovod on it). Node 0 alone runs ``mpirun``; the other nodes stay until it ends.

``mpirun`` reaches the other nodes through an agent: ``ssh`` where the image has it (Volcano's *ssh* plugin lays the
keys), else ``kubectl exec``, the way of ModelArts v1, whose containers have no ssh server but a service account.
Hosts are named as the platform lists them: on Volcano ``host.subdomain``, of which mpirun would drop the domain
unless told to keep it, and the short name alone does not resolve.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from ...values import replace
from ..launcher import Call
from ..plan import EngineFile, Plan, Situation, Variable, common, unless_set
from . import direct

_AGENT = """#!/bin/sh
# mpirun calls: AGENT HOST COMMAND...; the host is the pod's name, without the domain that follows it in lists.
pod=${1%%.*}
shift
exec kubectl exec "$pod" -- /bin/sh -c "$*"
"""
# Open MPI hands over its own variables only: these prefixes are what training code needs besides.
_EXPORTED = (
    "BOOTSTRAP_", "NCCL_", "GLOO_", "TP_", "HCCL_", "HOROVOD_", "PYTHON", "LD_LIBRARY_PATH", "PATH", "CUDA_", "ASCEND_",
    "OMP_", "DLS_", "BATCH_", "MA_", "VC_", "S3_", "AWS_", "OBS_", "DATA_", "TF_", "HOME", "VIRTUAL_ENV", "CONDA_",
)  # fmt: skip


def plan(situation: Situation) -> Plan:
    """``mpirun`` on node 0 with a hostfile, nothing on the others."""
    cluster = situation.cluster
    if cluster.node_rank > 0:
        return Plan(command=(), follows_node_0=True, notes=("node 0 starts this node's processes with mpirun",))
    variables = common(situation)
    if cluster.size == 1:
        return Plan(("mpirun", *_as_root(), "-np", str(situation.slots), *situation.command), variables)
    hosts = EngineFile(f"{situation.directory}/hostfile", "".join(hostfile_lines(situation)))
    files, agent = [hosts], _agent(situation)
    if agent:
        files.append(agent)
        variables += unless_set(
            [Variable("OMPI_MCA_plm_rsh_agent", agent.path, "no ssh here: mpirun reaches the nodes with kubectl")],
            situation.environ,
        )
    variables += unless_set(_open_mpi(situation), situation.environ)
    names = sorted({*(v.name for v in variables), *(n for n in situation.environ if n.startswith(_EXPORTED))})
    exports = [word for name in names if not name.startswith(("OMPI_", "PRTE_")) for word in ("-x", name)]
    count = str(cluster.size * situation.slots)
    command = ("mpirun", *_as_root(), "-np", count, "--hostfile", hosts.path, *exports, *situation.command)
    return Plan(command, variables, files=tuple(files))


def plan_for_call(situation: Situation, call: Call) -> Plan:
    """The command, untouched, on node 0, with a host file and an agent that an ``mpirun`` without its own finds."""
    cluster = situation.cluster
    if cluster.node_rank > 0:
        return Plan(command=(), follows_node_0=True, notes=("node 0 starts this node's processes with mpirun",))
    if cluster.size == 1:
        return direct.plan_for_call(situation)
    hosts, agent = EngineFile(f"{situation.directory}/hostfile", "".join(hostfile_lines(situation))), _agent(situation)
    why = "the hosts of this job, for an mpirun that is given none"
    own = [Variable(f"{prefix}_default_hostfile", hosts.path, why) for prefix in ("OMPI_MCA_orte", "PRTE_MCA_prte")]
    if agent:
        own.append(Variable("OMPI_MCA_plm_rsh_agent", agent.path, "no ssh here: mpirun reaches the nodes with kubectl"))
    made = direct.plan_for_call(situation, [*own, *_open_mpi(situation)])
    return replace(made, files=(hosts, *([agent] if agent else [])))


def hostfile_lines(situation: Situation) -> Iterator[str]:
    """One line a node: ``host slots=N``, as Open MPI, Horovod and DeepSpeed read it."""
    for node in situation.cluster.nodes:
        yield f"{node.host or node.address} slots={situation.slots}\n"


def _open_mpi(situation: Situation) -> Iterator[Variable]:
    if any("." in node.host for node in situation.cluster.nodes):
        # Else mpirun dials worker-0 for worker-0.job, which is no name outside the pod itself.
        why = "the hosts' names are complete only with their domain"
        yield Variable("OMPI_MCA_orte_keep_fqdn_hostnames", "1", why)  # Open MPI 4
        yield Variable("PRTE_MCA_prte_keep_fqdn_hostnames", "1", why)  # Open MPI 5
    if situation.interface:
        why = "Open MPI would try every interface"
        yield Variable("OMPI_MCA_btl_tcp_if_include", situation.interface, why)
        yield Variable("OMPI_MCA_oob_tcp_if_include", situation.interface, why)


def _agent(situation: Situation) -> EngineFile | None:
    directories = situation.environ.get("PATH", os.defpath).split(os.pathsep)

    def has(program: str) -> bool:
        return any(os.access(os.path.join(directory, program), os.X_OK) for directory in directories if directory)

    if situation.environ.get("OMPI_MCA_plm_rsh_agent") or has("ssh") or not has("kubectl"):
        return None
    return EngineFile(f"{situation.directory}/kubectl-agent", _AGENT, executable=True)


def _as_root() -> tuple[str, ...]:
    """Containers often run as root, which mpirun refuses unless it is told."""
    return ("--allow-run-as-root",) if os.geteuid() == 0 else ()
