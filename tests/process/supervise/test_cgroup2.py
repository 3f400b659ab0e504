"""Killed for memory under cgroup v2, by a real kernel: the whole job runs in a limited group, as a container has it."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import lab_or_skip
from tests.lab.sharing import ROOT
from tests.lab.uml import boot

MIB = 1 << 20
# In one go: a program that comes to its limit step by step may live for minutes on the file pages that are reclaimed.
HOG = "b = bytearray(300 << 20); print('never')"
WITH_A_WORKER = f"import subprocess, sys; sys.exit(bool(subprocess.run([sys.executable, '-c', {HOG!r}]).returncode))"

# The limit is the pod's, as Kubernetes may have it; the counters are the container's.
LIMITED = """
pod=/sys/fs/cgroup/pod
mkdir $pod && echo +memory >$pod/cgroup.subtree_control && echo 128M >$pod/memory.max && mkdir $pod/container
(echo 0 >$pod/container/cgroup.procs && exec {} sh ./inside)
"""
# A namespace of its own shows the group as the root of all, read-only.
PRIVATE = (
    "unshare --cgroup --mount sh -c 'umount /sys/fs/cgroup && mount -t cgroup2 -o ro none /sys/fs/cgroup && \"$@\"' -"
)
INSIDE = """
export PYTHONPATH={root} PYTHONDONTWRITEBYTECODE=1
{python} -m bootstrap run --run-dir=/run/job --job-dir=/run --log-file=/run/task.log -- {python} -c {code}
echo $? >exit
cp /run/job/run.json .
"""


def job(directory: Path, namespace: str, code: str) -> tuple[int, dict[str, Any]]:
    """A job of at most 128 MiB on that machine: its exit code and its record."""
    words = {"root": ROOT, "python": sys.executable, "code": code}
    (directory / "inside").write_text(INSIDE.format(**{name: shlex.quote(str(word)) for name, word in words.items()}))
    with lab_or_skip():
        output = boot(directory, LIMITED.format(PRIVATE if namespace == "private" else ""))
    assert "out-of-memory" in output
    return int((directory / "exit").read_text()), json.loads((directory / "run.json").read_text())


@pytest.mark.parametrize("namespace", ["host", "private"])
def test_a_command_killed_for_memory_is_proven_with_limit_and_peak(tmp_path: Path, namespace: str) -> None:
    code, record = job(tmp_path, namespace, HOG)
    struck = record["user"]["out_of_memory"]
    assert (code, record["user"]["asked_by"], record["reason_id"]) == (137, "kernel", "out-of-memory")
    assert struck["kills"] == 1
    assert "cgroup v2 memory.events" in struck["source"]
    if namespace == "host":  # what is above the container cannot be seen from a namespace of its own
        assert struck["limit"] == 128 * MIB
    assert 100 * MIB < struck["peak"] < 132 * MIB  # the kernel counts pages in batches


def test_a_worker_killed_for_memory_is_proven_while_its_command_ends_by_itself(tmp_path: Path) -> None:
    code, record = job(tmp_path, "private", WITH_A_WORKER)
    assert (code, record["user"]["status"], record["user"]["asked_by"]) == (1, 1, "kernel")
    assert record["user"]["out_of_memory"]["kills"] == 1
