"""The OOM killer's counters: every layout that the kernel offers, and a real kill where a cgroup may be made."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.process.supervise import cgroup
from bootstrap.process.supervise.cgroup import MemoryCgroup
from tests.process.conftest import Start

MIB = 1 << 20


def layout(tmp_path: Path, groups: str, mounts: list[str], files: dict[str, str]) -> MemoryCgroup | None:
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / "cgroup").write_text(groups)
    (tmp_path / "mountinfo").write_text("".join(line.format(top=tmp_path) + "\n" for line in mounts))
    return cgroup.find(str(tmp_path / "cgroup"), str(tmp_path / "mountinfo"))


V2 = "30 23 0:26 / {top}/fs rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1 = "35 31 0:32 {root} {{top}}/fs/memory rw,relatime - cgroup cgroup rw,memory"


def test_version_2_with_a_namespace_of_its_own(tmp_path: Path) -> None:
    found = layout(
        tmp_path,
        "0::/\n",
        [V2],
        {
            "fs/memory.events": "low 0\nhigh 0\nmax 3\noom 2\noom_kill 2\n",
            "fs/memory.max": "1048576\n",
            "fs/memory.peak": "1000\n",
        },
    )
    assert found is not None
    assert (found.version, found.kills(), found.limit(), found.peak()) == (2, 2, MIB, 1000)


def test_version_2_in_the_hosts_namespace_takes_the_lowest_limit_above(tmp_path: Path) -> None:
    files = {
        "fs/pod/c1/memory.events": "oom_kill 0\n",
        "fs/pod/c1/memory.max": "max\n",
        "fs/pod/memory.max": "2097152\n",
    }
    found = layout(tmp_path, "0::/pod/c1\n", [V2], files)
    assert found is not None
    assert (found.kills(), found.limit(), found.peak()) == (0, 2 * MIB, None)


def test_names_may_have_colons_and_blanks(tmp_path: Path) -> None:
    """The kernel writes a blank in a place's name as ``\\040``."""
    files = {"a place/kubepods:pod:1/memory.events": "oom_kill 3\n"}
    found = layout(tmp_path, "0::/kubepods:pod:1\n", [V2.replace("/fs", "/a\\040place")], files)
    assert found is not None and found.kills() == 3


@pytest.mark.parametrize(("root", "path"), [("/docker/abc", "/docker/abc"), ("/", "/"), ("/elsewhere", "/docker/abc")])
def test_version_1_as_a_container_sees_it(tmp_path: Path, root: str, path: str) -> None:
    files = {
        "fs/memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n",
        "fs/memory/memory.stat": "cache 1\nhierarchical_memory_limit 1048576\n",
        "fs/memory/memory.max_usage_in_bytes": "77\n",
    }
    found = layout(tmp_path, f"5:cpu,cpuacct:/x\n4:memory:{path}\n", [V1.format(root=root)], files)
    assert found is not None
    assert (found.version, found.kills(), found.limit(), found.peak()) == (1, 5, MIB, 77)


def test_the_hybrid_layout_has_memory_in_version_1(tmp_path: Path) -> None:
    mounts = ["41 31 0:38 / {top}/fs/unified rw - cgroup2 cgroup2 rw", V1.format(root="/")]
    found = layout(tmp_path, "4:memory:/job\n0::/job\n", mounts, {"fs/memory/job/memory.oom_control": "oom_kill 1\n"})
    assert found is not None
    assert (found.version, found.kills()) == (1, 1)


def test_a_host_without_memory_cgroups_is_no_error(tmp_path: Path) -> None:
    assert layout(tmp_path, "0::/\n", [V2], {}) is None
    assert cgroup.find("/nowhere/cgroup", "/nowhere/mountinfo") is None


def test_no_limit_is_none(tmp_path: Path) -> None:
    files = {
        "fs/memory/memory.oom_control": "oom_kill 0\n",
        "fs/memory/memory.stat": "hierarchical_memory_limit 9223372036854771712\n",
    }
    found = layout(tmp_path, "4:memory:/\n", [V1.format(root="/")], files)
    assert found is not None
    assert found.limit() is None


def test_only_what_struck_since_counts(tmp_path: Path) -> None:
    found = layout(tmp_path, "0::/\n", [V2], {"fs/memory.events": "oom_kill 4\n"})
    assert found is not None
    assert found.struck_since(4) is None
    assert found.struck_since(None) is None
    struck = found.struck_since(1)
    assert struck is not None
    assert struck.kills == 3
    assert "memory.events" in struck.source


@pytest.fixture
def limited() -> Iterator[Path]:
    """A real memory cgroup of 64 MiB below ours."""
    ours = cgroup.find()
    if ours is None:
        pytest.skip("no memory cgroup is mounted")
    group = Path(ours.directory) / f"bootstrap-test-{os.getpid()}"
    limit = "memory.limit_in_bytes" if ours.version == 1 else "memory.max"
    try:
        group.mkdir()
        (group / limit).write_text(str(64 * MIB))
    except OSError as error:
        pytest.skip(f"no memory cgroup can be made: {error}")
    yield group
    group.rmdir()


# a machine may have told the kernel to prefer other victims; none is preferred to this one
HOG = (
    "open('/proc/self/oom_score_adj', 'w').write('1000'); b = [bytearray(1 << 20) for _ in range(200)]; print('never')"
)


def test_a_real_oom_kill_is_proven_with_limit_and_peak(boot: Start, limited: Path) -> None:
    run = boot(sys.executable, "-c", HOG, wrap=["sh", "-c", f'echo $$ >{limited}/cgroup.procs && exec "$@"', "sh"])
    assert run.wait() == 137
    report = run.report()
    assert (report["asked_by"], report["kills"], report["limit"]) == ("kernel", 1, 64 * MIB)
    assert 60 * MIB < report["peak"] <= 64 * MIB


def test_a_worker_that_is_killed_for_memory_is_proven_by_the_counter_alone(boot: Start, limited: Path) -> None:
    """The command itself survives its worker and ends with an ordinary status."""
    script = f"import subprocess, sys; sys.exit(bool(subprocess.run([sys.executable, '-c', {HOG!r}]).returncode))"
    run = boot(sys.executable, "-c", script, wrap=["sh", "-c", f'echo $$ >{limited}/cgroup.procs && exec "$@"', "sh"])
    assert run.wait() == 1
    assert (run.report()["asked_by"], run.report()["kills"]) == ("kernel", 1)


def test_a_kill_from_somebody_else_is_not_called_out_of_memory(boot: Start) -> None:
    run = boot("sh", "-c", "kill -KILL $$")
    assert run.wait() == 137
    assert (run.report()["asked_by"], run.report()["kills"]) == ("unknown", 0)
