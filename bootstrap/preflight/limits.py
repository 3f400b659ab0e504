"""Shared memory, ulimits and the container's memory limit."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping, Sequence

from ..process.supervise import cgroup
from ..reporting.language import Words
from ..storage.common.units import readable
from . import quick
from .findings import Finding, ok, warning

_LITTLE = 512 << 20  # bytes left: less than a framework needs to be imported


def check(
    environ: Mapping[str, str], *, shm: str = "/dev/shm", infiniband: str = "/dev/infiniband"
) -> Sequence[Finding]:
    """All of :mod:`.quick`'s, and what costs a look at more files."""
    found = [warning(id, what, remedy) for id, what, remedy in quick.troubles(environ, shm=shm) if id != "tmpdir"]
    ids = {finding.id for finding in found}
    if "shm" not in ids:
        room = os.statvfs(shm)
        told = f"{shm}: {readable(room.f_bavail * room.f_frsize)} of {readable(room.f_blocks * room.f_frsize)} free"
        found.append(ok("shm", told, told))
    if not ids & {"open-files", "processes"}:
        told = f"open files {_shown(resource.RLIMIT_NOFILE)}, processes {_shown(resource.RLIMIT_NPROC)}"
        found.append(ok("ulimits", told, told))
    locked = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    if os.path.isdir(infiniband) and locked != resource.RLIM_INFINITY:
        what = f"{infiniband} is here, and only {readable(locked)} of memory may be locked: RDMA fails"
        hint = Words("docker run --ulimit memlock=-1", "docker run --ulimit memlock=-1")
        found.append(
            warning("memlock", Words(what, f"存在 {infiniband}，但可锁定内存仅 {readable(locked)}：RDMA 会失败"), hint)
        )
    return [*found, *check_memory(shm=shm)]


def check_memory(group: cgroup.MemoryCgroup | None = None, *, shm: str = "/dev/shm") -> Sequence[Finding]:
    """The memory limit of our cgroup, against what is used and against /dev/shm, whose pages count."""
    group = group or cgroup.find()
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = group.limit() if group is not None else None
    if group is None or limit is None or limit >= total:
        return [ok("memory", f"no limit below the machine's {readable(total)}", f"无容器限制，整机 {readable(total)}")]
    used = group.used() or 0
    told = f"{readable(limit)} for this container, {readable(used)} used (the machine has {readable(total)})"
    chinese = f"容器限制 {readable(limit)}，已用 {readable(used)}"
    try:
        room = os.statvfs(shm)
        shared = room.f_blocks * room.f_frsize
    except OSError:
        shared = 0
    if limit - used < _LITTLE:
        hint = Words("ask for more memory", "请申请更多内存")
        return [warning("memory", Words(f"{told}: too little for a framework", f"{chinese}：不足以加载框架"), hint)]
    if shared > limit:
        what = f"{told}; {shm} may grow to {readable(shared)}, which counts: the OOM killer comes before it is full"
        hint = Words("make /dev/shm smaller than the memory limit", "使 /dev/shm 小于内存限制")
        return [warning("memory", Words(what, f"{chinese}；{shm} 可达 {readable(shared)}，计入内存"), hint)]
    return [ok("memory", told, chinese)]


def _shown(which: int) -> str:
    soft, hard = resource.getrlimit(which)
    return "/".join("unlimited" if one == resource.RLIM_INFINITY else str(one) for one in (soft, hard))
