"""The short form, which every run has: what a few system calls tell, and what no step would ever notice.

A command dies of these hours later, in words that do not name them. What the steps find out anyhow (keys, targets,
sources, space, names) is theirs to tell. Nothing is imported for it but what the run has loaded already.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Mapping

from ..reporting.language import Words

_DOCKER_SHM = 64 << 20  # bytes: docker's default for --shm-size
_LEAST_FREE = 16 << 20
_FILES = 1024
_PROCESSES = 512
Trouble = tuple[str, Words, Words]
"""An id, what was found, what to do."""


def troubles(environ: Mapping[str, str], *, shm: str = "/dev/shm") -> Iterator[Trouble]:
    """What is wrong with the shared memory, the limits and ``TMPDIR`` of the command; nothing if all is well."""
    yield from shared_memory(shm)
    yield from limits()
    named = environ.get("TMPDIR", "")
    if named and not (os.path.isdir(named) and os.access(named, os.W_OK | os.X_OK)):
        yield (
            "tmpdir",
            Words(f"TMPDIR={named} is no directory that can be written", f"TMPDIR={named} 不是可写的目录"),
            Words("make it, or unset TMPDIR", "创建该目录，或取消设置 TMPDIR"),
        )


def shared_memory(place: str) -> Iterator[Trouble]:
    """DataLoader workers and NCCL pass data through /dev/shm."""
    try:
        room = os.statvfs(place)
    except OSError as error:
        what = Words(f"{place}: {error.strerror}", f"{place}：{error.strerror}")
        yield "shm", what, Words("mount a tmpfs there", "在该处挂载 tmpfs")
        return
    size, free = room.f_blocks * room.f_frsize, room.f_bavail * room.f_frsize
    hint = Words(
        "docker run --shm-size 8g, or an emptyDir of medium Memory at /dev/shm",
        "docker run --shm-size 8g，或在 /dev/shm 挂载 medium 为 Memory 的 emptyDir",
    )
    if size <= _DOCKER_SHM:
        told = f"{place} has {size >> 20} MiB: data loaders with workers end with a bus error"
        yield "shm", Words(told, f"{place} 仅 {size >> 20} MiB：多进程数据加载会因 bus error 失败"), hint
    elif free < _LEAST_FREE:
        yield (
            "shm",
            Words(f"{place} is full", f"{place} 已满"),
            Words("remove what earlier jobs left there", "清理残留文件"),
        )


def limits() -> Iterator[Trouble]:
    """Open files and processes: what the command may raise by itself (the hard limit) counts."""
    for id, which, least, name in (
        ("open-files", resource.RLIMIT_NOFILE, _FILES, "nofile"),
        ("processes", resource.RLIMIT_NPROC, _PROCESSES, "nproc"),
    ):
        soft, hard = resource.getrlimit(which)
        if id == "processes" and os.geteuid() == 0:
            continue  # which the limit does not bind
        allowed = soft if id == "processes" else hard
        if allowed != resource.RLIM_INFINITY and allowed < least:
            what = Words(f"ulimit for {name} is {allowed}, soft {soft}", f"{name} 的上限为 {allowed}（软限制 {soft}）")
            remedy = f"docker run --ulimit {name}=65535"
            yield id, what, Words(remedy, remedy)
