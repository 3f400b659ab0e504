"""Whether a container that we take for a single node may be one of several, by marks that tell no cluster.

Schedulers, launchers and people start many containers or processes of one job in ways that no platform of ours tells
of: an indexed Job, a job array, ``mpirun bootstrap run``, an elastic job without ranks, a StatefulSet. Each believes to
be alone then, and all deliver to one place, one over the other. So whatever hints at that is said, and where it tells
one from the other, results are kept apart by it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ..ground.json_text import load_json
from ..ground.log_names import node_directory
from ..ground.patterns import pattern
from ..values import dataclass
from .hosts import HostGroup, in_order, same_host, split_host
from .reading import names_here, own_names

_HOSTFILES = ("etc/mpi/hostfile", "job/hostfile")  # Kubeflow's MPIJob, DeepSpeed's default
_ROLE_AND_NUMBER = pattern(r"-(?:worker|master|chief|ps|node|replica|launcher|server|rank|task)-(\d+)$")
_NUMBER = pattern(r"[a-z]-(\d{1,3})$")


@dataclass(frozen=True, slots=True)
class Doubt:
    """``variables`` are what makes us doubt, with their values. ``apart`` is the directory, below places that all may
    share, which is this container's own (``node-1/``); empty for the first of several, which has the places themselves.
    """

    variables: tuple[str, ...]
    apart: str = ""

    def __str__(self) -> str:
        where = f"its results and log go to {self.apart} of their places" if self.apart else "it counts as the first"
        return (
            f"taken for a single node, though {', '.join(self.variables)} may be of several: {where}; for one job of "
            "several nodes set MASTER_ADDR, RANK and WORLD_SIZE"
        )


@dataclass(frozen=True, slots=True)
class _Mark:
    """Variables of one scheduler or launcher: how many there are, and which one this is. ``alone``: an index without a
    count says already that there are several; ``both``: either without the other says nothing (a script sets the count
    before it starts its processes itself). ``first``: what the first index is, below which it means that there is none.
    ``kind`` names the directory.
    """

    counts: tuple[str, ...]
    indexes: tuple[str, ...]
    alone: bool = False
    both: bool = False
    first: int = 0
    kind: str = "node"


# Launchers that have started this very process: their index tells more apart than one of containers.
_PROCESSES = (
    _Mark(("OMPI_COMM_WORLD_SIZE",), ("OMPI_COMM_WORLD_RANK",)),
    _Mark(("PMI_SIZE", "MV2_COMM_WORLD_SIZE"), ("PMI_RANK", "PMIX_RANK", "MV2_COMM_WORLD_RANK")),
    _Mark(("HOROVOD_SIZE",), ("HOROVOD_RANK",)),
    _Mark(("FLUX_JOB_SIZE",), ("FLUX_TASK_RANK",)),
    _Mark(("PALS_SIZE",), ("PALS_RANKID",)),
    _Mark(("JSM_NAMESPACE_SIZE",), ("JSM_NAMESPACE_RANK",)),
    _Mark(("WORLD_SIZE",), ("RANK",)),
)
_CONTAINERS = (
    _Mark(("PADDLE_TRAINERS_NUM",), ("PADDLE_TRAINER_ID",)),
    _Mark(("PADDLE_NNODES",), ("PADDLE_RANK", "PADDLE_NODE_RANK")),
    _Mark(("JAX_NUM_PROCESSES",), ("JAX_PROCESS_ID",), both=True),
    _Mark(("NUM_PROCESSES",), ("PROCESS_ID",), both=True),  # Kubeflow's JAXJob
    _Mark(("MS_WORKER_NUM",), ("MS_NODE_ID",), both=True),
    _Mark(("RANK_SIZE",), ("RANK_ID",), both=True),
    _Mark(("DMLC_NUM_WORKER",), ("DMLC_WORKER_ID", "DMLC_TASK_ID"), both=True),
    _Mark(("SKYPILOT_NUM_NODES",), ("SKYPILOT_NODE_RANK",)),
    _Mark(("SLURM_NTASKS", "SLURM_NPROCS"), ("SLURM_PROCID",)),
    _Mark(("SLURM_NNODES", "SLURM_JOB_NUM_NODES"), ("SLURM_NODEID",)),
    _Mark(("PET_NNODES",), ("PET_NODE_RANK", "GROUP_RANK", "JOB_COMPLETION_INDEX")),
    _Mark(("NNODES", "NUM_NODES", "NODE_COUNT", "AZUREML_NODE_COUNT"), ("NODE_RANK",)),
    _Mark(("NUM_MACHINES", "ACCELERATE_NUM_MACHINES"), ("MACHINE_RANK", "ACCELERATE_MACHINE_RANK")),
    _Mark(("LWS_GROUP_SIZE",), ("LWS_WORKER_INDEX",)),
    _Mark(("AWS_BATCH_JOB_NUM_NODES",), ("AWS_BATCH_JOB_NODE_INDEX",)),
    _Mark((), ("VC_TASK_INDEX", "VK_TASK_INDEX"), alone=True),
    _Mark((), ("JOB_COMPLETION_INDEX",), alone=True),
)
_ARRAYS = (
    _Mark(("SLURM_ARRAY_TASK_COUNT",), ("SLURM_ARRAY_TASK_ID",), alone=True, kind="task"),
    _Mark((), ("AWS_BATCH_JOB_ARRAY_INDEX",), alone=True, kind="task"),
    _Mark(("BATCH_TASK_COUNT",), ("BATCH_TASK_INDEX",), kind="task"),
    _Mark(("CLOUD_RUN_TASK_COUNT",), ("CLOUD_RUN_TASK_INDEX",), kind="task"),
    _Mark((), ("PBS_ARRAY_INDEX", "PBS_ARRAYID"), alone=True, kind="task"),
    _Mark((), ("SGE_TASK_ID",), alone=True, first=1, kind="task"),
    _Mark((), ("LSB_JOBINDEX",), alone=True, first=1, kind="task"),
    _Mark((), ("NOMAD_ALLOC_INDEX",), kind="task"),
)


def of(environ: Mapping[str, str], root: Path, *, counted: bool = False) -> Doubt | None:
    """The doubt that the environment raises of a job of one node; None where nothing hints at more.

    ``counted``: the platform itself says that there is one container, so that only a launcher in it makes more of it.
    """
    names = own_names(environ, root)
    marks, readers = (_PROCESSES, ()) if counted else ((*_PROCESSES, *_CONTAINERS), _READERS)
    node = next(filter(None, (_read(mark, environ, names) for mark in marks)), None)
    for reader in readers:
        node = node or reader(environ, root, names)
    array = None if counted else next(filter(None, (_read(mark, environ, names) for mark in _ARRAYS)), None)
    if array is None or node is None:
        return array or node
    return Doubt((*array.variables, *node.variables), array.apart + node.apart)


def _read(mark: _Mark, environ: Mapping[str, str], names: tuple[str, ...]) -> Doubt | None:
    counts = [count for name in mark.counts if (count := _count(environ.get(name, ""))) is not None]
    index = next((i for name in mark.indexes if (i := _whole(environ.get(name, ""))) is not None), None)
    if index is not None and index < mark.first:
        index = None
    if mark.both and (index is None or not counts):
        return None
    several = max(counts) > 1 if counts else mark.alone and index is not None
    if not several and not index:
        return None
    if counts and max(counts) == 1:
        return None
    seen = tuple(f"{name}={environ[name].strip()}" for name in names_here(environ, (*mark.counts, *mark.indexes)))
    return Doubt(seen, _own(mark.kind, index) if index is not None else _by_name(names))


def _own(kind: str, index: int) -> str:
    return node_directory(index) if kind == "node" else f"{kind}-{index}/"


def _by_name(names: tuple[str, ...]) -> str:
    """Where nothing counts, a container's name is all that tells it from another; of two that differ (pods on their
    host's network, an image with one in it) nobody knows which does.
    """
    name = "-".join(dict.fromkeys(re.sub(r"[^\w.-]", "-", name.partition(".")[0]) for name in names))
    return f"host-{name}/" if name else ""


def _whole(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() else None


def _count(text: str) -> int | None:
    """A count; of a range (``2:4``, an elastic job) its end."""
    return _whole(text.rpartition(":")[2])


def _tf_config(environ: Mapping[str, str], root: Path, names: tuple[str, ...]) -> Doubt | None:
    """``TF_CONFIG`` of a cluster: this node's place in the order of roles that the other platforms have."""
    variable = "TF_CONFIG" if environ.get("TF_CONFIG", "").strip() else "CLUSTER_SPEC"  # Vertex AI's, in its form
    try:
        found = load_json(environ.get(variable) or "{}")
        cluster = {str(role).lower(): [str(host) for host in hosts] for role, hosts in found["cluster"].items()}
        role, index = str(found["task"]["type"]).lower(), int(found["task"]["index"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if sum(map(len, cluster.values())) < 2:
        return None
    groups = in_order(HostGroup(name, tuple((host, None) for host in hosts), "") for name, hosts in cluster.items())
    seen = (f"{variable} ({role} {index})",)
    if role not in cluster:  # an evaluator stands outside
        return Doubt(seen, f"{re.sub(r'[^a-z0-9]', '-', role)}-{index}/")
    before = 0
    for group in groups:
        if group.role == role:
            break
        before += len(group.hosts)
    return Doubt(seen, _own("node", before + index))


def _trainers(environ: Mapping[str, str], root: Path, names: tuple[str, ...]) -> Doubt | None:
    """Lists of hosts without a word on which of them this is."""
    for name in ("PADDLE_TRAINER_ENDPOINTS", "PADDLE_TRAINERS", "TPU_WORKER_HOSTNAMES"):
        hosts = [host.strip() for host in environ.get(name, "").split(",") if host.strip()]
        if len(hosts) > 1:
            number = _whole(environ.get("TPU_WORKER_ID", "")) if name.startswith("TPU") else None
            own = environ.get("PADDLE_CURRENT_ENDPOINT", "").strip() or environ.get("POD_IP", "").strip()
            index = hosts.index(own) if own in hosts else number
            apart = _own("node", index) if index is not None else _by_name(names)
            return Doubt((f"{name} ({len(hosts)} hosts)",), apart)
    return None


def _sagemaker(environ: Mapping[str, str], root: Path, names: tuple[str, ...]) -> Doubt | None:
    """SageMaker's list of hosts, in JSON, and which of them this is."""
    try:
        hosts = sorted(str(host) for host in load_json(environ.get("SM_HOSTS") or "[]"))
    except (ValueError, TypeError):
        return None
    if len(hosts) < 2:
        return None
    own = environ.get("SM_CURRENT_HOST", "").strip()
    apart = _own("node", hosts.index(own)) if own in hosts else _by_name(names)
    return Doubt((f"SM_HOSTS ({len(hosts)} hosts)",), apart)


def _hostfile(environ: Mapping[str, str], root: Path, names: tuple[str, ...]) -> Doubt | None:
    """A host file of MPI or DeepSpeed. Who is not in it is the launcher that reads it: the first."""
    told = (environ.get(name, "").strip() for name in ("OMPI_MCA_orte_default_hostfile", "DLTS_HOSTFILE"))
    for path in [*(Path(text) for text in told if text), *(root / name for name in _HOSTFILES)]:
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        words = [line.split("#")[0].split() for line in lines]
        hosts = [split_host(word[0].split(":")[0], str(path))[0] for word in words if word and word[0].split(":")[0]]
        if len(hosts) > 1:
            mine = [rank for rank, host in enumerate(hosts) if any(same_host(host, name) for name in names)]
            return Doubt((str(path),), _own("node", (mine or [0])[0]))
    return None


def _host_name(environ: Mapping[str, str], root: Path, names: tuple[str, ...]) -> Doubt | None:
    """A name such as ``mnist-worker-1``, and in Kubernetes, where StatefulSets number their pods, any ``mnist-1``."""
    patterns = [_ROLE_AND_NUMBER, *([_NUMBER] if environ.get("KUBERNETES_SERVICE_HOST") else [])]
    for name in names:
        for form in patterns:
            if (found := form.search(name.partition(".")[0])) and int(found[1]):
                return Doubt((f"the host name {name}",), _own("node", int(found[1])))
    return None


_READERS = (_tf_config, _trainers, _sagemaker, _hostfile, _host_name)
