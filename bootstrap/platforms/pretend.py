"""The environment that each platform gives to the containers of a job, made up: for rehearsals on one machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ..errors import UsageError
from ..values import dataclass, field, replace
from .hosts import HostGroup, in_order

PORT = 6666  # what ModelArts v1 put behind its hosts


@dataclass(frozen=True, slots=True)
class PretendPlace:
    """Where a container is to be: its own home, the job dir with its code (absolute paths), and its address."""

    home: str
    job_dir: str
    address: str


@dataclass(frozen=True, slots=True)
class Container:
    """One container to be: its full host name, as the others find it, its role and index there, its variables.

    ``environ_at`` are the variables that name its place; ``files`` what is mounted into it, by the path below ``/etc``.
    """

    host: str
    role: str
    index: int
    environ: Mapping[str, str]
    environ_at: Callable[[PretendPlace], Mapping[str, str]] = lambda place: {}
    files: Mapping[str, str] = field(default_factory=dict)


def containers(
    platform: str, job: str, roles: Sequence[tuple[str, int]], *, slots: int = 0, addresses: Sequence[str] = ()
) -> list[Container]:
    """All containers of ``job`` with so many of each role (ModelArts knows one role), the roles in their global order:
    see :func:`in_global_order`. Without ``job`` it has a name as the platform gives it. ``addresses`` stand in for the
    hosts' names where no names can be had.

    Raises :class:`UsageError` for a platform that cannot be played.
    """
    make = _MADE_UP.get(platform)
    if make is None:
        raise UsageError(f"{platform!r} cannot be rehearsed", where="--platform", remedy=f"use {', '.join(PLATFORMS)}")
    return make(job or _NAMES.get(platform, "rehearsal"), list(roles), slots, list(addresses))


def in_global_order(roles: Iterable[str]) -> list[str]:
    """The roles as a job counts its nodes: masters before workers, whatever comes first in a file."""
    return [group.role for group in in_order([HostGroup(role, ((role, None),), "") for role in roles])]


def _dls(job: str, roles: list[tuple[str, int]], slots: int, addresses: list[str]) -> list[Container]:
    count = sum(number for _, number in roles)
    hosts = addresses or [f"{job}-custom{index}-0" for index in range(count)]
    listed = {f"BATCH_CUSTOM{index}_HOSTS": f"{host}:{PORT + index}" for index, host in enumerate(hosts)}
    if count == 1:  # the dot is the platform's
        listed = {f"BATCH_{job}.0_HOSTS": f"{hosts[0]}:{PORT}"}
    made = []
    for index, host in enumerate(hosts):
        environ = {
            "DLS_JOB_ID": job,
            "DLS_TASK_INDEX": str(index),
            "DLS_TASK_NUMBER": str(count),
            "BATCH_JOB_ID": job,
            "BATCH_CURRENT_HOST": f"{host}:{PORT + index}",
            "BATCH_CURRENT_PORT": str(PORT + index),
            "BATCH_TASK_CURRENT_INSTANCE": host,
            **({"NPROC_PER_NODE": str(slots)} if slots else {}),
            **listed,
        }
        made.append(Container(host, "worker", index, environ, _dls_at))
    return made


def _dls_at(place: PretendPlace) -> Mapping[str, str]:
    return {"BATCH_TASK_CURRENT_HOST_IP": place.address}


def _modelarts(job: str, roles: list[tuple[str, int]], slots: int, addresses: list[str]) -> list[Container]:
    count = sum(number for _, number in roles)
    hosts = addresses or [f"{job}-worker-{index}.{job}" for index in range(count)]
    made = []
    for index, host in enumerate(hosts):
        environ = {
            "MA_VJ_NAME": job,
            "MA_TASK_NAME": "worker",
            "MA_NUM_HOSTS": str(count),
            "MA_NUM_GPUS": str(slots),
            "MA_CURRENT_INSTANCE_NAME": f"{job}-worker-{index}",
            "VC_TASK_INDEX": str(index),
            "VK_TASK_INDEX": str(index),
            "VC_WORKER_HOSTS": ",".join(hosts),
            "VC_WORKER_NUM": str(count),
            **_PRESETS,
        }
        made.append(Container(host, "worker", index, environ, _modelarts_at))
    return made


# The documentation's own values: what is set already is not set by us, and a rehearsal must show that, too.
_PRESETS = {"NCCL_DEBUG": "INFO", "NCCL_IB_HCA": "^mlx5_bond_0", "NCCL_SOCKET_IFNAME": "bond0,eth0"}


def _modelarts_at(place: PretendPlace) -> Mapping[str, str]:
    """The directories below ``/home/ma-user``, for which a home of the rehearsal stands in, and the addresses."""
    return {
        "MA_HOME": place.home,
        "MA_MOUNT_PATH": f"{place.home}/modelarts",
        "MA_LOG_DIR": f"{place.home}/modelarts/log",
        "MA_JOB_DIR": place.job_dir,
        "MA_CURRENT_IP": place.address,
        "MA_CURRENT_HOST_IP": place.address,
    }


def _volcano(job: str, roles: list[tuple[str, int]], slots: int, addresses: list[str]) -> list[Container]:
    rest = list(addresses)
    hosts: dict[str, list[str]] = {}
    for role, number in roles:
        hosts[role] = rest[:number] or [f"{job}-{role}-{index}.{job}" for index in range(number)]
        del rest[:number]
    listed: dict[str, str] = {}
    for role, names in hosts.items():
        upper = role.upper().replace("-", "_")
        listed |= {f"VC_{upper}_HOSTS": ",".join(names), f"VC_{upper}_NUM": str(len(names))}
    more = {"NPROC_PER_NODE": str(slots)} if slots else {}
    made = []
    for role, names in hosts.items():
        for index, host in enumerate(names):
            own = {"VC_TASK_INDEX": str(index), "VK_TASK_INDEX": str(index), **listed, **more}
            made.append(Container(host, role, index, own, files=_host_files(hosts)))
    if addresses and len(hosts) > 1:  # an address tells nobody its role: say what Volcano's pytorch plugin would
        made = [
            replace(one, environ={**one.environ, "RANK": str(rank), "WORLD_SIZE": str(len(made))})
            for rank, one in enumerate(made)
        ]
    return made


def _host_files(hosts: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """What the *svc* plugin mounts: a file a task, a host a line."""
    return {f"volcano/{role.replace('-', '_')}.host": "\n".join([*names, ""]) for role, names in hosts.items()}


_MADE_UP = {"dls": _dls, "modelarts": _modelarts, "volcano": _volcano}
_NAMES = {"dls": "jobab12cd34"}
PLATFORMS = tuple(_MADE_UP)


def without_platform(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` as it would be on no platform at all."""
    platforms = ("DLS_", "BATCH_", "MA_", "VC_", "VK_", "RANK_TABLE_FILE", "PET_", "SLURM_", "OMPI_COMM_", "PMI")
    own = (
        "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK", "NPROC_PER_NODE", "NNODES", "NODE_RANK",
        "JOB_COMPLETION_INDEX", "TF_CONFIG", "KUBERNETES_SERVICE_HOST",
    )  # fmt: skip
    return {name: value for name, value in environ.items() if not name.startswith(platforms) and name not in own}
