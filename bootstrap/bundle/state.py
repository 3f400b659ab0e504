"""What this machine says of itself: read from the kernel, and asked of the accelerators' own tools."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from itertools import islice

from ..job import StopRequest
from ..process.supervise.cgroup import find
from ..reporting.language import Words
from .pack import GivenText

_LONGEST = 128 << 10  # characters of one file or answer
_MOUNTS = 200
_DEADLINE = 5.0  # seconds for a tool: a device that has fallen off the bus makes it hang

_TOOLS = (("nvidia-smi",), ("nvidia-smi", "-q", "-d", "ECC,PAGE_RETIREMENT,PERFORMANCE"), ("npu-smi", "info"))

_DISKS = Words("space and inodes of every file system", "各文件系统的空间与 inode")
_NETWORK = Words("interfaces, routes, sockets, names", "网卡、路由、套接字、域名解析")
_MEMORY = Words("memory of the machine and of the cgroup", "机器与 cgroup 的内存")
_LIMITS = Words("limits, load, kernel", "资源限制、负载、内核")
_DEVICES = Words("what the accelerators' own tools say", "加速卡工具的输出")


def state(search: str, stop: StopRequest) -> Iterator[GivenText]:
    """``search``: a ``PATH`` for the tools, which are not asked any more once ``stop`` has come."""
    yield GivenText("state/disks.txt", _DISKS, "".join(_disks()))
    files = (
        "/proc/net/dev",
        "/proc/net/route",
        "/proc/net/sockstat",
        "/proc/net/netstat",
        "/etc/resolv.conf",
        "/etc/hosts",
    )
    yield GivenText("state/network.txt", _NETWORK, _told(files))
    cgroup = find()
    names = (
        "memory.stat",
        "memory.events",
        "memory.max",
        "memory.current",
        "memory.oom_control",
        "memory.usage_in_bytes",
    )
    own = [f"{cgroup.directory}/{name}" for name in names] if cgroup is not None else []
    yield GivenText("state/memory.txt", _MEMORY, _told(["/proc/meminfo", "/proc/pressure/memory", *own]))
    yield GivenText(
        "state/machine.txt", _LIMITS, _told(["/proc/self/limits", "/proc/loadavg", "/proc/version", "/proc/stat"])
    )
    answers = "".join(_answers(search, stop))
    if answers:
        yield GivenText("state/accelerators.txt", _DEVICES, answers)


def _disks() -> Iterator[str]:
    """A line each, without the kernel's own file systems, which have no room."""
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as mounts:
            lines = [line.split() for line in islice(mounts, _MOUNTS)]
    except OSError:
        return
    yield "used bytes, size, free inodes, type, where\n"
    for fields in lines:
        if len(fields) < 4 or fields[2] in _NO_DISKS:
            continue
        if fields[2].startswith(("nfs", "fuse", "cifs", "smb", "9p", "lustre", "ceph")):  # whose server may hang us
            yield f"? ? ? {fields[2]} {fields[1]} {fields[3]}\n"
            continue
        try:
            found = os.statvfs(fields[1])
        except OSError as error:
            yield f"{error.strerror}: {fields[1]}\n"
            continue
        if found.f_blocks:
            size = found.f_frsize
            used = (found.f_blocks - found.f_bfree) * size
            yield f"{used} {found.f_blocks * size} {found.f_favail} {fields[2]} {fields[1]} {fields[3]}\n"


_NO_DISKS = frozenset(
    {"proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "securityfs", "debugfs", "tracefs", "bpf"}
)


def _told(paths: Iterable[str]) -> str:
    told = []
    for path in paths:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                told.append(f"== {path}\n{file.read(_LONGEST)}\n")
        except OSError:
            continue
    return "".join(told)


def _answers(search: str, stop: StopRequest) -> Iterator[str]:
    sick: set[str] = set()
    for words in _TOOLS:
        tool = shutil.which(words[0], path=search or None)
        if tool is None or words[0] in sick or stop.is_set():
            continue
        yield f"== {' '.join(words)}\n"
        try:
            done = subprocess.run(
                [tool, *words[1:]],
                env={"PATH": search or os.defpath, "LC_ALL": "C"},  # our keys are no business of a driver's tools
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_DEADLINE,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            sick.add(words[0])
            yield f"{error}\n"
        else:
            yield done.stdout.decode("utf-8", "replace")[:_LONGEST] + f"\nexit code {done.returncode}\n"
