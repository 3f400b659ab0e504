"""The machine as the command sees it: CPU, memory against its limit, disks, network, shared memory.

Files of /proc and of the cgroup are opened once and read again from their beginning.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from ..ground.machine import cores
from ..process.supervise.cgroup import find

_LONGEST = 1 << 16  # bytes of such a file
_SECTOR = 512  # bytes, whatever the disk's own are: Documentation/admin-guide/iostats.rst
_SHM = "/dev/shm"


class _File:
    """A file of the kernel's; empty where it is not there, or may not be read."""

    def __init__(self, path: str) -> None:
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1

    def read(self) -> bytes:
        if self._fd < 0:
            return b""
        try:
            return os.pread(self._fd, _LONGEST, 0)
        except OSError:
            return b""

    def number(self) -> int | None:
        text = self.read().strip()
        return int(text) if text.isdigit() else None

    def keyed(self, key: bytes) -> int | None:
        """The number behind ``key`` at the beginning of a line."""
        text = b"\n" + self.read()
        at = text.find(b"\n" + key)
        if at < 0:
            return None
        words = text[at + len(key) + 1 :].split(None, 1)
        return int(words[0]) if words and words[0].isdigit() else None

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)


class MachineSampler:
    """``disks``: directories; those on one file system count once, under the first one's name."""

    def __init__(self, disks: Iterable[str]) -> None:
        self._disks = _file_systems(disks)
        self._cgroup = find()
        directory = self._cgroup.directory if self._cgroup is not None else "/nonexistent"
        second = self._cgroup is not None and self._cgroup.version == 2
        self._limit = self._cgroup.limit() if self._cgroup is not None else None
        self._second = second
        self._used = _File(f"{directory}/{'memory.current' if second else 'memory.usage_in_bytes'}")
        self._stat = _File(f"{directory}/memory.stat")
        self._meminfo = _File("/proc/meminfo")
        self._cpu = _File(f"{directory}/cpu.stat") if second else _File(_first_version("cpuacct", "cpuacct.usage"))
        self._io = _File(f"{directory}/io.stat" if second else _first_version("blkio", _BLKIO))
        self._diskstats = _File("/proc/diskstats")
        self._net = _File("/proc/net/dev")
        self._rdma = {name: (_File(received), _File(sent)) for name, received, sent in _rdma_ports()}

    def limits(self) -> dict[str, Any]:
        """What does not change: for the first line. ``cores`` may be used at once; ``memory_limit`` in bytes."""
        total = (self._meminfo.keyed(b"MemTotal:") or 0) << 10
        limit = self._limit if self._limit is not None and (not total or self._limit < total) else None
        return {
            "cores": round(cores.usable(), 2),
            "memory_limit": limit if limit is not None else total,
            "memory_by": "cgroup" if limit is not None else "machine",
        }

    def read(self) -> dict[str, Any]:
        """Bytes, and CPU seconds of the whole container (of all that the cgroup holds)."""
        sample: dict[str, Any] = {"memory": self._memory()}
        cpu = self._container_cpu()
        if cpu is not None:
            sample["container_cpu_s"] = round(cpu, 2)
        if shm := _room(_SHM):
            sample["shm"] = shm[:2]
        if disks := {path: room for path in self._disks if (room := _room(path))}:
            sample["disks"] = disks
        if io := self._disk_io():
            sample["io"] = io
        if net := _interfaces(self._net.read()):
            sample["net"] = net
        rdma = {name: _words(received, sent) for name, (received, sent) in self._rdma.items()}
        if any(rdma.values()):
            sample["rdma"] = {name: value for name, value in rdma.items() if value}
        return sample

    def close(self) -> None:
        for file in vars(self).values():
            if isinstance(file, _File):
                file.close()
        for pair in self._rdma.values():
            for file in pair:
                file.close()

    def _memory(self) -> int | None:
        """In use, without the page cache that the kernel takes back at once: what the OOM killer counts in the end."""
        used = self._used.number()
        if self._limit is not None and used is not None:
            reclaimable = self._stat.keyed(b"inactive_file " if self._second else b"total_inactive_file ")
            return max(0, used - (reclaimable or 0))
        total, free = self._meminfo.keyed(b"MemTotal:"), self._meminfo.keyed(b"MemAvailable:")
        return (total - free) << 10 if total is not None and free is not None else None

    def _container_cpu(self) -> float | None:
        if self._second:
            used = self._cpu.keyed(b"usage_usec ")
            return None if used is None else used / 1e6
        used = self._cpu.number()
        return None if used is None else used / 1e9

    def _disk_io(self) -> list[int]:
        """Bytes read and written: by the container where the cgroup tells, else by all on this machine."""
        text = self._io.read()
        if self._second and text:
            fields = [word.partition(b"=") for word in text.split()]
            return [sum(int(value) for key, _, value in fields if key == kind) for kind in (b"rbytes", b"wbytes")]
        lines = [line.split() for line in text.splitlines()]
        done = [sum(int(line[2]) for line in lines if len(line) == 3 and line[1] == kind) for kind in _KINDS]
        if any(done):
            return done
        return _whole_disks(self._diskstats.read())


_BLKIO = "blkio.throttle.io_service_bytes"
_KINDS = (b"Read", b"Write")


def _first_version(controller: str, file: str) -> str:
    """Where a file of cgroup v1 is: in a container its own group is mounted at the top."""
    try:
        with open("/proc/self/cgroup") as groups:
            paths = [line.rstrip("\n").split(":", 2) for line in groups]
    except OSError:
        return "/nonexistent"
    own = next((path for _, names, path in paths if controller in names.split(",")), "/")
    for mount in (f"/sys/fs/cgroup/{controller}", "/sys/fs/cgroup/cpu,cpuacct"):
        for directory in (mount + own, mount):
            if os.path.exists(f"{directory.rstrip('/')}/{file}"):
                return f"{directory.rstrip('/')}/{file}"
    return "/nonexistent"


def _file_systems(directories: Iterable[str]) -> list[str]:
    found: dict[int, str] = {}
    for path in directories:
        try:
            found.setdefault(os.stat(path).st_dev, path)
        except OSError:
            continue
    return list(found.values())


def _room(path: str) -> list[int]:
    """Bytes used, bytes in all, and free inodes (0 where the file system does not count them)."""
    try:
        found = os.statvfs(path)
    except OSError:
        return []
    size = found.f_frsize
    return [(found.f_blocks - found.f_bfree) * size, found.f_blocks * size, found.f_favail]


def _whole_disks(text: bytes) -> list[int]:
    """Sums over the disks themselves: neither their partitions, which would count twice, nor what is no disk."""
    read = written = 0
    names: list[bytes] = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 10 or fields[2].startswith((b"loop", b"ram", b"zram", b"dm-", b"md", b"sr", b"fd")):
            continue
        if any(fields[2].startswith(disk) for disk in names):  # nvme0n1p1 comes behind nvme0n1
            continue
        names.append(fields[2])
        read, written = read + int(fields[5]) * _SECTOR, written + int(fields[9]) * _SECTOR
    return [read, written] if names else []


def _interfaces(text: bytes) -> dict[str, list[int]]:
    """Bytes received and sent by each interface but the loopback, and those that never had a byte."""
    found = {}
    for line in text.splitlines()[2:]:
        name, _, rest = line.partition(b":")
        fields = rest.split()
        if len(fields) > 8 and name.strip() != b"lo" and (fields[0] != b"0" or fields[8] != b"0"):
            found[name.strip().decode(errors="replace")] = [int(fields[0]), int(fields[8])]
    return found


def _rdma_ports() -> list[tuple[str, str, str]]:
    """RDMA never shows in the interfaces' counters: its ports have their own (Documentation/ABI/stable,
    sysfs-class-infiniband).
    """
    home, found = "/sys/class/infiniband", []
    try:
        for device in sorted(os.listdir(home)):
            for port in sorted(os.listdir(f"{home}/{device}/ports")):
                counters = f"{home}/{device}/ports/{port}/counters"
                found.append((f"{device}/{port}", f"{counters}/port_rcv_data", f"{counters}/port_xmit_data"))
    except OSError:
        pass
    return found


def _words(received: _File, sent: _File) -> list[int]:
    """Those counters count words of four bytes."""
    pair = received.number(), sent.number()
    return [4 * pair[0], 4 * pair[1]] if pair[0] is not None and pair[1] is not None else []
