"""What the helper says of accelerators: by NVIDIA's bindings over a library of ours, and by tools that answer or hang.

No machine of the lab has a device: the library and the tools are stand-ins, the bindings and the processes are real.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from bootstrap.sampling import accelerators, device_helper
from bootstrap.sampling.accelerators import Accelerators
from tests.lab.waiting import until

NPU_SMI = """\
+------------------------------------------------------------------------------------------------+
| npu-smi 23.0.rc3                 Version: 23.0.rc3                                             |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     910B3               | OK            | 92.0        44                0    / 0             |
| 0                         | 0000:C1:00.0  | 37          0    / 0          3381 / 65536         |
+===========================+===============+====================================================+
| 1     910B3               | Alarm         | -           45                0    / 0             |
| 0                         | 0000:01:00.0  | 0           0    / 0          3332 / 65536         |
+===========================+===============+====================================================+
+---------------------------+---------------+----------------------------------------------------+
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
+===========================+===============+====================================================+
| 0       0                 | 2410          | python                   | 3361                    |
+===========================+===============+====================================================+
"""
OLD_NPU_SMI = """\
| NPU     Name                  | Health          | Power(W)     Temp(C)           Hugepages-Usage(page) |
| Chip    Device                | Bus-Id          | AICore(%)    Memory-Usage(MB)  HBM-Usage(MB)         |
| 7       910A                  | OK              | 73.5         41                0    / 0              |
| 0       7                     | 0000:3D:00.0    | 91           1905 / 15137      31   / 32768          |
"""


def tool(directory: Path, name: str, body: str) -> str:
    """A program of this name; returns a ``PATH`` with it."""
    program = directory / name
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return f"{directory}:{os.defpath}"


def said(asked: Accelerators) -> list[dict[str, Any]]:
    """What comes, once something comes."""
    return until(asked.newest, "a word of the helper")


@pytest.fixture(scope="module")
def nvml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("pynvml")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("lab: no C compiler for the library that stands in for NVIDIA's")
    directory = tmp_path_factory.mktemp("nvml")
    source = Path(__file__).with_name("nvml_stub.c")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", directory / "libnvidia-ml.so.1", source], check=True, timeout=60
    )
    (directory / "nvidia0").touch()
    return directory


def test_nvidias_bindings_are_asked_in_a_process_of_their_own(nvml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(nvml))
    asked = Accelerators(0.1, str(nvml), dev=str(nvml))
    try:
        assert asked.source == "nvml"
        well, lost, third = said(asked)
    finally:
        asked.close()
    assert well == {
        "index": 0,
        "use": 97,
        "memory": 64 << 30,
        "memory_size": 80 << 30,
        "temperature": 71,
        "power": 350.5,
        "errors": 2,
    }
    assert lost == {"index": 1, "health": "GPU is lost"}  # and the others are told all the same
    assert third["use"] == 97
    assert "errors" not in third


def test_nvidia_smi_where_the_bindings_are_not(tmp_path: Path) -> None:
    path = tool(
        tmp_path,
        "nvidia-smi",
        "echo '0, 55, 1024, 81920, 60, 211.30, 0'\necho '1, [N/A], 5, 81920, 33, [Not Supported], [N/A]'",
    )
    asked = Accelerators(0.1, path, dev=str(tmp_path))
    try:
        assert asked.source == "nvidia-smi"
        first, second = said(asked)
    finally:
        asked.close()
    assert first["use"] == 55
    assert first["memory"] == 1 << 30
    assert first["errors"] == 0
    assert second == {"index": 1, "memory": 5 << 20, "memory_size": 80 << 30, "temperature": 33}


@pytest.mark.parametrize(
    ("text", "index", "expected"),
    [
        (NPU_SMI, 0, {"index": 0, "health": "OK", "power": 92, "temperature": 44, "use": 37, "memory": 3381 << 20}),
        (NPU_SMI, 1, {"index": 1, "health": "Alarm", "temperature": 45, "use": 0, "memory": 3332 << 20}),
        (OLD_NPU_SMI, 0, {"index": 0, "health": "OK", "use": 91, "memory": 31 << 20, "memory_size": 32768 << 20}),
    ],
)
def test_npu_smi(text: str, index: int, expected: dict[str, object]) -> None:
    found = device_helper.npu_smi(text)
    assert len(found) == (2 if text is NPU_SMI else 1)
    assert expected.items() <= found[index].items()


def test_npu_smi_is_asked_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "table").write_text(NPU_SMI)
    path = tool(tmp_path, "npu-smi", f'test "$*" = info && cat {tmp_path}/table')
    asked = Accelerators(0.1, path, dev=str(tmp_path))
    try:
        assert [one["use"] for one in said(asked)] == [37, 0]
    finally:
        asked.close()


def test_a_tool_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that has fallen off the bus: each helper is ended, and then nobody is asked any more."""
    path = tool(tmp_path, "nvidia-smi", f"echo $$ >>{tmp_path}/started\nexec sleep 300")
    monkeypatch.setattr(accelerators, "_SILENT", 0.0)
    asked = Accelerators(0.2, path, dev=str(tmp_path), silent=0.0)
    began = time.monotonic()
    seen: list[object] = []
    try:
        until(lambda: seen.extend(asked.newest()) or asked._child is None, "the end of all tries")
    finally:
        asked.close()
    assert seen == []
    assert time.monotonic() - began >= 3 * 0.6
    assert asked.newest() == []


def test_a_helper_that_ends_has_two_more_tries(tmp_path: Path) -> None:
    path = tool(tmp_path, "nvidia-smi", f"echo x >>{tmp_path}/started\nexit 9")
    asked = Accelerators(0.1, path, dev=str(tmp_path))
    try:
        until(lambda: asked.newest() or asked._child is None, "the end of all tries")
    finally:
        asked.close()
    assert (tmp_path / "started").read_text() == "x\n" * 3


def test_where_there_is_no_device_nothing_is_started(tmp_path: Path) -> None:
    asked = Accelerators(0.1, str(tmp_path), dev=str(tmp_path))
    assert asked.source == ""
    assert asked.newest() == []


def test_our_keys_are_not_given_to_a_drivers_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_SECRET_ACCESS_KEY", "lab-secret-of-nobody")
    path = tool(tmp_path, "nvidia-smi", f"env >{tmp_path}/seen\necho 0, 1, 1, 1, 1, 1, 1")
    asked = Accelerators(0.1, path, dev=str(tmp_path))
    try:
        said(asked)
    finally:
        asked.close()
    assert "lab-secret-of-nobody" not in (tmp_path / "seen").read_text()
