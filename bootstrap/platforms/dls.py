"""ModelArts v1 (old training management, "DLS"): ``DLS_*``, ``BATCH_*``.

Sources: Huawei's public ModelArts-Lab (the custom image guide and its run_train.sh), public copies of the image's
utils.sh and helper scripts, and the ModelArts documentation's map from the old variables to the new ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import PlatformIncomplete
from ..ground.patterns import pattern
from ..job import SINGLE_NODE, Cluster, Output, PlatformFacts, Sourced
from . import declarations, strangers
from .hosts import HostGroup, NodeClaim, assemble, split_host, split_list
from .reading import (
    first,
    interface_asked,
    names_here,
    number,
    own_names,
    slots_per_node,
    store_url,
    switched_on,
    two_readings,
)

NAME = "dls"

_SIGNS = (
    "DLS_TASK_INDEX", "DLS_TASK_NUMBER", "DLS_JOB_ID", "DLS_DLKS_JOB_ID", "DLS_APP_URL", "DLS_DATA_URL",
    "DLS_TRAIN_URL", "DLS_UPLOAD_LOG_OBS_DIR", "DLS_USE_DOWNLOADER", "DLS_USE_UPLOADER",
    "BATCH_WORKER_HOSTS", "BATCH_SERVER_HOSTS", "BATCH_CURRENT_HOST", "BATCH_TASK_CURRENT_INSTANCE",
)  # fmt: skip
_SWITCHES = {"DLS_APP_URL": "DLS_USE_DOWNLOADER", "DLS_UPLOAD_LOG_OBS_DIR": "DLS_USE_UPLOADER"}
"""What has these variables used: switched off, the one is a local path, the other of no interest."""
_NUMBERED = pattern(r"BATCH_CUSTOM([0-9]+)_HOSTS")
# The single-node form has a dot in its name, so that no shell can read it: BATCH_jobab12cd34.0_HOSTS
_DOTTED = pattern(r"BATCH_.*\.0_HOSTS")


def recognise(environ: Mapping[str, str], root: Path) -> str:
    """The variables that only this platform sets. Not every ``BATCH_``: people name ``BATCH_SIZE`` themselves."""
    signs = names_here(environ, _SIGNS)
    signs += [name for name in names_here(environ, environ) if _NUMBERED.fullmatch(name) or _DOTTED.fullmatch(name)]
    return _few(signs)


def _few(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def read(environ: Mapping[str, str], root: Path, reason: str) -> PlatformFacts:
    """What v1 tells. Raises :class:`PlatformIncomplete`, :class:`ClusterMismatch`, :class:`DeclarationUnreadable`."""
    cluster, warnings = _cluster(environ, root)
    known = defaults(environ)
    if not environ.get("DLS_TASK_INDEX", "").strip():
        known["log_file"] = Sourced(f"/tmp/dls-task-{cluster.node_rank}.log", "the node's rank")
    home = first(environ, "DLS_USER_HOME_DIR", "HOME")
    inputs, doubts = declarations.v1_inputs(environ, home.value if home else "/home/work")
    remove, kept = strangers.to_remove(environ, environ.get("DLS_JOB_ID", ""), cluster.size, root)

    notes = [kept] if kept else []
    if "code" in known and not switched_on(environ, "DLS_USE_DOWNLOADER"):
        notes.append("DLS_USE_DOWNLOADER is off: DLS_APP_URL is a local path and is copied")
    if environ.get("DLS_DATA_URL", "").strip():
        notes.append("DLS_DATA_URL is left to the command: v1 never fetches it")
    if switched_on(environ, "DLS_USE_UPLOADER") and "log" not in known:
        warnings.append("DLS_USE_UPLOADER is on but DLS_UPLOAD_LOG_OBS_DIR is empty: the log has no place to go")

    taken = [name for name in ("DLS_APP_URL", "DLS_UPLOAD_LOG_OBS_DIR") if switched_on(environ, _SWITCHES[name])]
    warnings += two_readings(environ, (*taken, "DLS_TRAIN_URL"), root)

    outputs: tuple[Output, ...] = ()
    if train_url := first(environ, "DLS_TRAIN_URL"):
        outputs = (Output("", store_url(train_url.value), train_url.source, name="train_url"),)
    return PlatformFacts(
        platform=NAME,
        reason=reason,
        job_id=environ.get("DLS_JOB_ID", "").strip() or environ.get("BATCH_JOB_ID", "").strip(),
        task_name=environ.get("BATCH_TASKGROUP_NAME", "").strip(),
        cluster=cluster,
        defaults=known,
        inputs=inputs,
        outputs=outputs,
        remove=remove,
        environ={**_dns_over_tcp(environ), **_own_port(environ)},
        scratch=environ.get("DLS_LOCAL_CACHE_PATH", "").strip(),
        notes=tuple(notes),
        warnings=(*warnings, *doubts),
    )


def defaults(environ: Mapping[str, str]) -> dict[str, Sourced]:
    """What the variables say on their own, cluster or not; never fails."""
    known = interface_asked(environ)
    if code := first(environ, "DLS_APP_URL"):
        # Without the downloader it is a path on this machine, else the console's /bucket/key/ is possible.
        fetched = switched_on(environ, "DLS_USE_DOWNLOADER")
        known["code"] = Sourced(store_url(code.value), code.source) if fetched else code
    target = first(environ, "DLS_UPLOAD_LOG_OBS_DIR")
    if target and switched_on(environ, "DLS_USE_UPLOADER"):
        # the old script's folder, so that whoever looks for logs finds them where they always were
        folder = f"dls-log-{environ.get('DLS_DLKS_JOB_ID', '').strip() or 'unknown-id'}"
        known["log"] = Sourced(f"{store_url(target.value).rstrip('/')}/{folder}/", target.source)
    index = first(environ, "DLS_TASK_INDEX") or Sourced("0", "DLS_TASK_INDEX is not set")
    known["log_file"] = Sourced(f"/tmp/dls-task-{index.value}.log", index.source)
    if home := first(environ, "DLS_USER_HOME_DIR", "HOME"):
        known["job_dir"] = Sourced(f"{home.value.rstrip('/')}/user-job-dir", home.source)
    return known


def _cluster(environ: Mapping[str, str], root: Path) -> tuple[Cluster, list[str]]:
    count, count_source = number(environ, "DLS_TASK_NUMBER") or (None, "")
    index, index_source = number(environ, "DLS_TASK_INDEX") or (None, "")
    slots, _ = slots_per_node(environ, root)
    groups = _groups(environ)
    if not groups:
        if (count or 1) > 1 or (index or 0) > 0:
            raise PlatformIncomplete(
                "ModelArts v1 announces several nodes but lists no hosts",
                where=f"DLS_TASK_NUMBER={environ.get('DLS_TASK_NUMBER', '(not set)')}, "
                f"DLS_TASK_INDEX={environ.get('DLS_TASK_INDEX', '(not set)')}",
                why="neither BATCH_CUSTOM<i>_HOSTS nor BATCH_WORKER_HOSTS is set",
                remedy="set one BATCH_CUSTOM<i>_HOSTS=host:port a node, or run one node with --platform local",
            )
        return Cluster(SINGLE_NODE.nodes, slots=slots, source=count_source or SINGLE_NODE.source), []
    own = first(environ, "BATCH_CURRENT_HOST")
    # "the node's or pod's host name" by its documentation: not surely the name that the lists use, so a hint only
    instance = first(environ, "BATCH_TASK_CURRENT_INSTANCE")
    names = (instance.value,) if instance else ()
    claim = NodeClaim(
        count=count,
        count_source=count_source,
        index=index,
        index_source=index_source,
        role=_role(environ.get("BATCH_TASKGROUP_NAME", "")),
        host=own.value if own else "",
        host_source=own.source if own else "",
        names=(*names, *own_names(environ, root)),
    )
    return assemble(groups, claim, slots)


def _role(taskgroup: str) -> str:
    """v1 calls a parameter server ``server``; the rest of the world says ``ps``."""
    return "ps" if taskgroup.strip() == "server" else "worker"


def _groups(environ: Mapping[str, str]) -> list[HostGroup]:
    here = names_here(environ, environ)
    numbered = sorted((int(match[1]), name) for name in here if (match := _NUMBERED.fullmatch(name)))
    if numbered:
        gaps = sorted(set(range(numbered[-1][0])) - {position for position, _ in numbered})
        if gaps:
            raise PlatformIncomplete(
                "a node is missing from ModelArts v1's host variables",
                where=", ".join(f"BATCH_CUSTOM{position}_HOSTS" for position in gaps[:5]),
                why=f"{numbered[-1][1]} is set",
            )
        hosts = tuple(host for _, name in numbered for host in split_list(environ[name], name))
        span = numbered[0][1] if len(numbered) == 1 else f"{numbered[0][1]} to {numbered[-1][1]}"
        return [HostGroup("worker", hosts, span)] if hosts else []
    if workers := first(environ, "BATCH_WORKER_HOSTS"):
        groups = [HostGroup("worker", split_list(workers.value, workers.source), workers.source)]
        if servers := first(environ, "BATCH_SERVER_HOSTS"):
            groups.append(HostGroup("ps", split_list(servers.value, servers.source), servers.source))
        return groups
    for name in sorted(environ):
        if _DOTTED.fullmatch(name) and environ[name].strip():
            return [HostGroup("worker", split_list(environ[name], name), name)]
    return []


def _own_port(environ: Mapping[str, str]) -> dict[str, str]:
    """``BATCH_CURRENT_PORT``, where a container has none: that of ``BATCH_CURRENT_HOST``; guides' scripts read it."""
    own = first(environ, "BATCH_CURRENT_HOST")
    port = split_host(own.value, own.source)[1] if own and not environ.get("BATCH_CURRENT_PORT", "").strip() else None
    return {"BATCH_CURRENT_PORT": str(port)} if port else {}


def _dns_over_tcp(environ: Mapping[str, str]) -> dict[str, str]:
    """``DLS_USE_DNS_TCP``: glibc's resolver asks over TCP when ``RES_OPTIONS`` says so; no setuid tool is needed."""
    options = environ.get("RES_OPTIONS", "").split()
    if not switched_on(environ, "DLS_USE_DNS_TCP") or "use-vc" in options:
        return {}
    return {"RES_OPTIONS": " ".join([*options, "use-vc"])}
