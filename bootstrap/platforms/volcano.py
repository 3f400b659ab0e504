"""Volcano: ``VC_*`` (``VK_*`` in old releases) and the files below ``/etc/volcano``.

Source: Volcano's own job plugins. *env* gives ``VC_TASK_INDEX``, an index within the **task**; *svc* gives
``VC_<TASK>_HOSTS`` and ``VC_<TASK>_NUM`` (upper case, ``-`` written ``_``) and mounts ``/etc/volcano/<task>.host``
with a host a line. The variables can be switched off when the list is long, the files stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import ClusterMismatch, PlatformIncomplete
from ..ground.patterns import pattern
from ..job import SINGLE_NODE, Cluster, PlatformFacts
from .hosts import HostGroup, NodeClaim, assemble, same_host, split_list
from .reading import interface_asked, log_file_of, names_here, number, own_names, slots_per_node

NAME = "volcano"

_HOSTS = pattern(r"VC_(.+)_HOSTS")
_NUM = pattern(r"VC_(.+)_NUM")
_FILES = "etc/volcano"


def recognise(environ: Mapping[str, str], root: Path) -> str:
    """Volcano's variables, or its mounted host files."""
    signs = [name for name in ("VC_TASK_INDEX", "VK_TASK_INDEX") if environ.get(name, "").strip()]
    signs += sorted(name for name in names_here(environ, environ) if _HOSTS.fullmatch(name))
    signs += [f"/{_FILES}/{path.name}" for path in _host_files(root)]
    return ", ".join(signs[:3])


def read(environ: Mapping[str, str], root: Path, reason: str) -> PlatformFacts:
    """What Volcano tells. Raises :class:`PlatformIncomplete` and :class:`ClusterMismatch`."""
    groups = task_groups(environ, root)
    slots, _ = slots_per_node(environ, root)
    index, index_source = number(environ, "VC_TASK_INDEX", "VK_TASK_INDEX") or (None, "")
    warnings: list[str] = []
    no_peers = ""
    if groups:
        names = own_names(environ, root)
        cluster, warnings = assemble(groups, _claim(environ, groups, index, index_source, names), slots)
    else:  # the env plugin alone: a sweep, whose tasks know nothing of each other
        cluster = Cluster(SINGLE_NODE.nodes, slots=slots)
        no_peers = (
            f"there is neither a VC_<TASK>_HOSTS variable nor a file /{_FILES}/<task>.host: "
            "add the svc plugin to the job (plugins: {env: [], svc: []})"
        )
    return PlatformFacts(
        platform=NAME,
        reason=reason,
        job_id=_job_name(cluster),
        task_name=cluster.me.role if groups else "",
        cluster=cluster,
        defaults={**interface_asked(environ), **log_file_of(cluster, environ)},
        warnings=tuple(warnings),
        no_peers=no_peers,
    )


def task_groups(environ: Mapping[str, str], root: Path) -> list[HostGroup]:
    """The hosts of every task: from its variable, else from its file. Also ModelArts v2's lists, which are the same.

    Raises :class:`ClusterMismatch` when ``VC_<TASK>_NUM`` disagrees with the list.
    """
    groups: dict[str, HostGroup] = {}
    for path in _host_files(root):
        role = path.stem.lower()
        groups[role] = HostGroup(role, split_list(_text_of(path), f"/{_FILES}/{path.name}"), f"/{_FILES}/{path.name}")
    for name in environ:
        if (match := _HOSTS.fullmatch(name)) and (hosts := split_list(environ[name], name)):
            groups[match[1].lower()] = HostGroup(match[1].lower(), hosts, name)
    for name in environ:
        if (match := _NUM.fullmatch(name)) and (group := groups.get(match[1].lower())):
            said = number(environ, name)
            if said and said[0] != len(group.hosts):
                raise ClusterMismatch(
                    f"{name} says {said[0]}, but {group.source} lists {len(group.hosts)}",
                    where=group.source,
                    why="hosts: " + ", ".join(host for host, _ in group.hosts),
                    remedy="a task template that sets a fixed hostname makes Volcano list one host only: remove it",
                )
    return [group for group in groups.values() if group.hosts]


def _claim(
    environ: Mapping[str, str], groups: list[HostGroup], index: int | None, index_source: str, names: tuple[str, ...]
) -> NodeClaim:
    """Who we are. With several tasks the index alone says nothing (0 is the master's and the first worker's)."""
    if len(groups) == 1:
        return NodeClaim(index=index, index_source=index_source, names=names)
    roles = [g.role for g in groups if any(same_host(host, name) for host, _ in g.hosts for name in names)]
    if len(roles) == 1:
        return NodeClaim(index=index, index_source=index_source, role=roles[0], names=names)
    # On the host's network the container has the machine's name. Volcano's pytorch plugin counts nodes as we do:
    # the master is 0, worker i is i + 1.
    rank, size = number(environ, "RANK"), number(environ, "WORLD_SIZE")
    if rank and size and size[0] == sum(len(group.hosts) for group in groups):
        return NodeClaim(
            count=size[0], count_source=size[1], index=rank[0], index_source=rank[1], index_is_global=True, names=names
        )
    return NodeClaim(index=index, index_source=index_source, names=names)


def _job_name(cluster: Cluster) -> str:
    """The *svc* plugin's hosts are ``<job>-<task>-<i>.<job>``: what follows the dot is the job."""
    pod, _, job = cluster.me.host.partition(".")
    return job if job and pod.startswith(f"{job}-") else ""


def _host_files(root: Path) -> list[Path]:
    return sorted(path for path in (root / _FILES).glob("*.host") if path.is_file())


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise PlatformIncomplete("a host file cannot be read", where=str(path), why=str(error.strerror)) from error
