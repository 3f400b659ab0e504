"""ModelArts v2 (new training management): ``MA_*`` beside Volcano's ``VC_*``.

Sources: the ModelArts documentation ("environment variables of a training container", the troubleshooting page with
the map from old variables to new ones) and the shapes that Huawei's own published launcher reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import PlatformIncomplete
from ..job import SINGLE_NODE, Cluster, PlatformFacts, Sourced
from . import declarations
from .hosts import HostGroup, NodeClaim, assemble
from .reading import first, interface_asked, names_here, number, own_names, slots_per_node
from .volcano import task_groups

NAME = "modelarts"

# Users may not name a variable MA_..., so one of these can only come from the platform. MA_INPUTS is not among
# them: v1 has it too.
_SIGNS = ("MA_VJ_NAME", "MA_JOB_DIR", "MA_NUM_HOSTS", "MA_TASK_NAME", "MA_CURRENT_INSTANCE_NAME", "MA_MOUNT_PATH")


def recognise(environ: Mapping[str, str], root: Path) -> str:
    """The ``MA_`` variables that only v2 sets."""
    return ", ".join(names_here(environ, _SIGNS)[:3])


def read(environ: Mapping[str, str], root: Path, reason: str) -> PlatformFacts:
    """What v2 tells. Raises :class:`PlatformIncomplete`, :class:`ClusterMismatch`, :class:`DeclarationUnreadable`."""
    cluster, warnings = _cluster(environ, root)
    notes = [*declarations.v2_inputs(environ)]
    known = defaults(environ)
    if job_dir := known.get("job_dir"):
        notes.append(f"the platform itself puts the code below {job_dir.value}")
    return PlatformFacts(
        platform=NAME,
        reason=reason,
        job_id=environ.get("MA_VJ_NAME", "").strip(),
        task_name=_task(environ),
        cluster=cluster,
        defaults=known,
        outputs=declarations.v2_outputs(environ),
        notes=tuple(notes),
        warnings=tuple(warnings),
    )


def defaults(environ: Mapping[str, str]) -> dict[str, Sourced]:
    """What the variables say on their own, cluster or not; never fails."""
    known = interface_asked(environ)
    if job_dir := first(environ, "MA_JOB_DIR"):
        known["job_dir"] = job_dir
    logs = first(environ, "MA_LOG_DIR") or Sourced("/tmp", "MA_LOG_DIR is not set")
    index = first(environ, "VC_TASK_INDEX", "VK_TASK_INDEX", "MA_TASK_INDEX")
    # The documentation calls the index meaningless in a job of one node, where it has been seen to be anything.
    several = environ.get("MA_NUM_HOSTS", "1").strip() not in ("", "0", "1")
    name = f"bootstrap-{_task(environ)}-{index.value if index and several else '0'}.log"
    known["log_file"] = Sourced(f"{logs.value.rstrip('/')}/{name}", logs.source)
    return known


def _task(environ: Mapping[str, str]) -> str:
    return environ.get("MA_TASK_NAME", "").strip() or "worker"


def _cluster(environ: Mapping[str, str], root: Path) -> tuple[Cluster, list[str]]:
    count, count_source = number(environ, "MA_NUM_HOSTS") or (None, "")
    slots, _ = slots_per_node(environ, root)
    groups = task_groups(environ, root) or _named_groups(environ, count)
    total = sum(len(group.hosts) for group in groups)
    if not groups and count is not None and count > 1:
        raise PlatformIncomplete(
            "ModelArts v2 announces several nodes but lists no hosts",
            where=f"MA_NUM_HOSTS={count}",
            why="there is neither VC_WORKER_HOSTS, nor a file /etc/volcano/*.host, nor MA_VJ_NAME and MA_TASK_NAME "
            "to make the names from",
        )
    if total <= 1 and (count or 1) == 1:
        # The documentation calls VC_TASK_INDEX meaningless in a job of one node: it is not looked at.
        hosts = groups[0].hosts if groups else ()
        if not hosts:
            return Cluster(SINGLE_NODE.nodes, slots=slots, source=count_source or "ModelArts' default"), []
        return assemble(groups, NodeClaim(), slots)
    index, index_source = number(environ, "VC_TASK_INDEX", "VK_TASK_INDEX", "MA_TASK_INDEX") or (None, "")
    claim = NodeClaim(
        count=count,
        count_source=count_source,
        index=index,
        index_source=index_source,
        role=environ.get("MA_TASK_NAME", "").strip().lower().replace("-", "_") if len(groups) > 1 else "",
        names=own_names(environ, root),
    )
    return assemble(groups, claim, slots)


def _named_groups(environ: Mapping[str, str], count: int | None) -> list[HostGroup]:
    """The names that the documentation's map of old variables to new ones spells out, when nothing lists them."""
    job, task = environ.get("MA_VJ_NAME", "").strip(), environ.get("MA_TASK_NAME", "").strip()
    if not (job and task and count):
        return []
    hosts = tuple((f"{job}-{task}-{position}.{job}", None) for position in range(count))
    return [HostGroup(task.lower().replace("-", "_"), hosts, "MA_VJ_NAME and MA_TASK_NAME")]
