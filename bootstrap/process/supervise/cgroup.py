"""The kernel's own proof that its OOM killer struck: the memory cgroup's counters, read before and after.

An exit code of 137 proves nothing: anybody may send KILL. The counters do: ``oom_kill`` in ``memory.events`` (cgroup
v2, sub-groups included) or in ``memory.oom_control`` (v1), found through /proc/self/cgroup and mountinfo, so that host
and private cgroup namespaces and the hybrid layout all work.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from ...job import OutOfMemory

# v1 writes "no limit" as the largest page-aligned number, v2 as "max"
NO_LIMIT = 1 << 60


class MemoryCgroup(NamedTuple):
    """Where the counters of our memory cgroup are. ``top`` is the mount, above which nothing can be read."""

    directory: str
    top: str
    version: int

    def kills(self) -> int | None:
        """How many processes the OOM killer has killed here so far; None where the kernel does not say."""
        file = "memory.events" if self.version == 2 else "memory.oom_control"
        return _keyed(os.path.join(self.directory, file), "oom_kill")

    def limit(self) -> int | None:
        """Bytes that all processes here may use together: the lowest limit from here up to the mount."""
        if self.version == 1:
            limits = [_keyed(os.path.join(self.directory, "memory.stat"), "hierarchical_memory_limit")]
        else:
            limits, directory = [], self.directory
            while True:
                limits.append(_number(os.path.join(directory, "memory.max")))
                if directory == self.top or len(directory) <= len(self.top):
                    break
                directory = os.path.dirname(directory)
        return min((limit for limit in limits if limit is not None and limit < NO_LIMIT), default=None)

    def peak(self) -> int | None:
        """The most bytes ever in use here; v2 tells it since Linux 5.19."""
        return _number(
            os.path.join(self.directory, "memory.peak" if self.version == 2 else "memory.max_usage_in_bytes")
        )

    def used(self) -> int | None:
        """Bytes in use now."""
        file = "memory.current" if self.version == 2 else "memory.usage_in_bytes"
        return _number(os.path.join(self.directory, file))

    def struck_since(self, before: int | None) -> OutOfMemory | None:
        """What the OOM killer did since ``kills()`` said ``before``; None if nothing, or if nobody can say."""
        after = self.kills()
        if before is None or after is None or after <= before:
            return None
        file = "memory.events" if self.version == 2 else "memory.oom_control"
        return OutOfMemory(
            kills=after - before,
            limit=self.limit(),
            peak=self.peak(),
            source=f"cgroup v{self.version} {file} in {self.directory}",
        )


def find(cgroup: str = "/proc/self/cgroup", mountinfo: str = "/proc/self/mountinfo") -> MemoryCgroup | None:
    """Our memory cgroup, or None where none is mounted. v1 goes first: in the hybrid layout memory is there."""
    try:
        with open(cgroup) as file:
            paths = [line.rstrip("\n").split(":", 2) for line in file]
        with open(mountinfo) as file:
            mounts = [line.split() for line in file]
    except OSError:
        return None
    for version, file_name in ((1, "memory.oom_control"), (2, "memory.events")):
        path = next((p for _, controllers, p in paths if _holds_memory(controllers, version)), None)
        if path is None:
            continue
        for fields in mounts:
            kind, _, options = fields[fields.index("-") + 1 :][:3]
            if kind != ("cgroup" if version == 1 else "cgroup2"):
                continue
            if version == 1 and "memory" not in options.split(","):
                continue
            root, top = _unescape(fields[3]), _unescape(fields[4])
            for directory in (os.path.normpath(top + "/" + _below(path, root)), top):
                # the second: our path is not below what is mounted (a namespace was entered later)
                if os.path.exists(os.path.join(directory, file_name)):
                    return MemoryCgroup(directory, top, version)
    return None


def _holds_memory(controllers: str, version: int) -> bool:
    return "memory" in controllers.split(",") if version == 1 else controllers == ""


def _below(path: str, root: str) -> str:
    """``path`` relative to the part of the hierarchy that is mounted."""
    root = root.rstrip("/")
    return path[len(root) :] if path == root or path.startswith(root + "/") else ""


def _unescape(text: str) -> str:
    """mountinfo writes blanks in names as \\040."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _number(path: str) -> int | None:
    try:
        with open(path) as file:
            text = file.read().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _keyed(path: str, key: str) -> int | None:
    try:
        with open(path) as file:
            for line in file:
                name, _, value = line.partition(" ")
                if name == key:
                    return int(value)
    except OSError:
        pass
    return None
