"""The environment that each platform gives to the containers of a job, made up: for rehearsals on one machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import UsageError
from .hosts import Group, in_order

PORT = 6666  # what ModelArts v1 put behind its hosts


@dataclass(frozen=True, slots=True)
class Container:
    """One container to be: its full host name, as the others find it, its role and index there, its variables."""

    host: str
    role: str
    index: int
    environ: Mapping[str, str]


def containers(
    platform: str, job: str, roles: Sequence[tuple[str, int]], *, slots: int = 0, addresses: Sequence[str] = ()
) -> list[Container]:
    """All containers of ``job`` with so many of each role (ModelArts knows one role), the roles in their global order:
    see :func:`in_global_order`. ``addresses`` stand in for the hosts' names where no names can be had.

    Raises :class:`UsageError` for a platform that cannot be played.
    """
    make = {"dls": _dls, "modelarts": _modelarts, "volcano": _volcano}.get(platform)
    if make is None:
        raise UsageError(f"{platform!r} cannot be rehearsed", where="--platform", remedy="dls, modelarts or volcano")
    return make(job, list(roles), slots, list(addresses))


def in_global_order(roles: Iterable[str]) -> list[str]:
    """The roles as a job counts its nodes: masters before workers, whatever comes first in a file."""
    return [group.role for group in in_order([Group(role, ((role, None),), "") for role in roles])]


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
            "BATCH_TASK_CURRENT_INSTANCE": host,
            **({"NPROC_PER_NODE": str(slots)} if slots else {}),
            **listed,
        }
        made.append(Container(host, "worker", index, environ))
    return made


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
            "VC_TASK_INDEX": str(index),
            "VK_TASK_INDEX": str(index),
            "VC_WORKER_HOSTS": ",".join(hosts),
            "VC_WORKER_NUM": str(count),
        }
        made.append(Container(host, "worker", index, environ))
    return made


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
            made.append(Container(host, role, index, own))
    if addresses and len(hosts) > 1:  # an address tells nobody its role: say what Volcano's pytorch plugin would
        made = [
            Container(one.host, one.role, one.index, {**one.environ, "RANK": str(rank), "WORLD_SIZE": str(len(made))})
            for rank, one in enumerate(made)
        ]
    return made


def without_platform(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` as it would be on no platform at all."""
    platforms = ("DLS_", "BATCH_", "MA_", "VC_", "VK_", "RANK_TABLE_FILE")
    ranks = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK", "NPROC_PER_NODE")
    return {name: value for name, value in environ.items() if not name.startswith(platforms) and name not in ranks}
