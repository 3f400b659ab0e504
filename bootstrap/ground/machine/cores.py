"""How many cores may be used at once: a container has those of its node in sight, and a quota of them."""

from __future__ import annotations

import os
from collections.abc import Iterator

_CGROUPS, _MOUNT = "/proc/self/cgroup", "/sys/fs/cgroup"


def usable() -> float:
    """Those that we may run on, as far as the quotas of our cgroup and of those above it go."""
    return min([float(len(os.sched_getaffinity(0))), *_quotas()])


def _quotas() -> Iterator[float]:
    try:
        with open(_CGROUPS) as file:
            lines = file.read().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = f"{_MOUNT}/{controllers}" if controllers else _MOUNT
        while True:  # in a container its own group is mounted at the top, whatever the path says
            if controllers:  # the first version
                words = [_read(f"{top}{path}/cpu.cfs_{name}_us") for name in ("quota", "period")]
            else:
                words = _read(f"{top}{path}/cpu.max").split()
            if len(words) == 2 and all(word.isdigit() and int(word) for word in words):
                yield int(words[0]) / int(words[1])
            if not path.strip("/"):
                break
            path = os.path.dirname(path.rstrip("/")).rstrip("/")


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""
