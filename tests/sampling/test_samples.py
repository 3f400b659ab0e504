"""Samples of a real command: what they say, how often they come, how much room they take."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bootstrap.ground.machine import cores
from bootstrap.sampling import machine, sampler
from bootstrap.sampling.family import CommandFamily
from bootstrap.sampling.machine import MachineSampler
from bootstrap.sampling.options import SamplingOptions
from bootstrap.sampling.store import SampleFile
from tests.e2e.job import Container
from tests.lab.waiting import until

BUSY = """
import subprocess, sys, time
spin = "import time; end = time.time() + 60; x = bytearray(64 << 20)\\nwhile time.time() < end: pass"
child = subprocess.Popen([sys.executable, "-c", spin])
time.sleep({seconds})
child.kill()
child.wait()
"""


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path / "container")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_leaves_samples_of_its_command(container: Container) -> None:
    done = container.run("--sample-interval", "0.3", "--", sys.executable, "-c", BUSY.format(seconds=3))
    assert done.code == 0, done.stderr
    (path,) = container.home.parent.rglob("samples.jsonl")
    heading, *samples = lines(path)
    assert heading["samples"] == 1
    assert heading["interval"] == 0.3
    assert heading["cores"] > 0
    assert heading["memory_limit"] > 64 << 20
    assert len(samples) >= 3
    assert samples[-1]["cpu_s"] - samples[0]["cpu_s"] > 0.2  # the grandchild's, which was killed, too
    assert all(one["cpu_s"] <= two["cpu_s"] for one, two in pairwise(samples))
    assert max(one["processes"] for one in samples) == 2
    assert max(one["rss"] for one in samples) > 64 << 20
    assert all(one["memory"] > 0 and one["shm"][1] >= 0 for one in samples)
    assert all(one["t"] <= two["t"] for one, two in pairwise(samples))


@pytest.mark.parametrize("interval", ["0", "10"])
def test_a_short_run_or_one_without_samples_leaves_none(container: Container, interval: str) -> None:
    done = container.run("--sample-interval", interval, "--", sys.executable, "-c", "import time; time.sleep(1.5)")
    assert done.code == 0, done.stderr
    assert list(container.home.parent.rglob("samples*")) == []


def test_a_second_attempt_in_one_container_has_samples_of_its_own(container: Container) -> None:
    for _ in range(2):
        done = container.run("--sample-interval", "0.2", "--", sys.executable, "-c", "import time; time.sleep(2)")
        assert done.code == 0, done.stderr
    names = sorted(path.name for path in container.home.parent.rglob("samples*"))
    assert names == ["samples.attempt-1.jsonl", "samples.jsonl"]


# --- what is read ---------------------------------------------------------------------------------------------------


def test_the_time_of_processes_that_have_ended_counts() -> None:
    family = CommandFamily()
    before = family.read()
    burner = "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass"
    command = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burner!r}])\ninput()"],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert command.stdin is not None
        until(lambda: family.read()["cpu_s"] - before["cpu_s"] > 0.5, "the child's time")
        until(lambda: family.read()["processes"] == before["processes"] + 1)  # the command, and the child no more
    finally:
        command.communicate(b"\n", timeout=60)
    assert family.read()["cpu_s"] - before["cpu_s"] > 0.5


def test_our_own_helpers_are_no_processes_of_the_command() -> None:
    before = CommandFamily().read()["processes"]
    with subprocess.Popen(["sleep", "60"]) as helper:
        assert CommandFamily().read()["processes"] == before
        helper.kill()


def test_limits_and_counters_of_a_cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory laid out as cgroup v2 does it: its own kernel is in tests/lab/uml.py, where a minute is too long."""
    from bootstrap.process.supervise.cgroup import MemoryCgroup

    files = {
        "memory.max": "1073741824\n",
        "memory.current": "900000000\n",
        "memory.stat": "anon 1\nfile 2\ninactive_file 400000000\n",
        "cpu.stat": "usage_usec 2500000\nuser_usec 1\n",
        "io.stat": "8:0 rbytes=100 wbytes=20 rios=1 wios=1\n8:16 rbytes=11 wbytes=3 rios=1 wios=1\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(machine, "find", lambda: MemoryCgroup(str(tmp_path), str(tmp_path), 2))
    read = MachineSampler([str(tmp_path), str(tmp_path)])
    try:
        sample, limits = read.read(), read.limits()
        (tmp_path / "memory.current").write_text("1000000000\n")
        later = read.read()
    finally:
        read.close()
    assert sample["memory"] == 500000000
    assert later["memory"] == 600000000  # the same open file
    assert sample["container_cpu_s"] == 2.5
    assert sample["io"] == [111, 23]
    assert list(sample["disks"]) == [str(tmp_path)]
    assert limits["memory_limit"] == 1 << 30
    assert limits["memory_by"] == "cgroup"
    assert limits["cores"] == round(cores.usable(), 2)


def test_interfaces_and_disks() -> None:
    text = (
        b"Inter-|   Receive                                                |  Transmit\n"
        b" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls\n"
        b"    lo: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n"
        b"  eth0:2426728527 1 0 0 0 0 0 0 2612906 1 0 0 0 0 0 0\n"
        b"  ifb0: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
    )
    assert machine._interfaces(text) == {"eth0": [2426728527, 2612906]}
    stats = (
        b" 259 0 nvme0n1 1 0 100 0 1 0 50 0 0 0 0\n"
        b" 259 1 nvme0n1p1 1 0 90 0 1 0 40 0 0 0 0\n"
        b"   8 0 sda 1 0 10 0 1 0 5 0 0 0 0\n"
        b"   7 0 loop0 1 0 999 0 1 0 999 0 0 0 0\n"
    )
    assert machine._whole_disks(stats) == [110 * 512, 55 * 512]


# --- the file, the pace ---------------------------------------------------------------------------------------------


def test_the_file_has_a_bound_and_keeps_the_newest_whole(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    with SampleFile(str(path), most=20_000) as file:
        file.write({"samples": 1})
        for number in range(5000):
            file.write({"t": number, "cpu_s": number / 2})
    assert path.stat().st_size <= 20_000
    heading, *samples = lines(path)
    assert heading == {"samples": 1}
    times = [one["t"] for one in samples]
    assert times == sorted(times)
    assert times[0] == 0  # the beginning is there, in less detail
    assert times[-200:] == list(range(4800, 5000))


def test_a_place_that_takes_nothing_is_no_failure(tmp_path: Path) -> None:
    with SampleFile(str(tmp_path / "no" / "such" / "directory")) as file:
        file.write({"t": 1})


def test_what_costs_more_comes_more_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine where a sample is expensive the pace gives way, not the command."""
    over = threading.Event()
    monkeypatch.setattr(sampler, "SHARE", 1e-7)
    options = SamplingOptions(str(tmp_path / "samples.jsonl"), 0.05, search=str(tmp_path))
    thread = threading.Thread(target=sampler.sample, args=(options, over))
    thread.start()
    over.wait(2.0)
    over.set()
    thread.join(30)
    assert not thread.is_alive()
    heading, *samples = lines(tmp_path / "samples.jsonl")
    assert heading["samples"] == 1
    assert len(samples) == 3  # the first two, and the last
