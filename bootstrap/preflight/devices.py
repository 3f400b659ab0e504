"""The accelerators that are here, against the processes that this node is to run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from ..reporting.language import Words
from ..reporting.prose import counted
from ..values import dataclass
from .findings import Finding, failure, ok, warning

_TIMEOUT = 15.0  # seconds; a device that has fallen off the bus makes the tool hang


@dataclass(frozen=True, slots=True)
class Vendor:
    """``node``: what a device is called in /dev. ``ask``: the tool and how it lists them, one a line that matches
    ``one``. ``choose``: the variables by which a process sees only some.
    """

    name: str
    node: re.Pattern[str]
    ask: tuple[str, ...]
    one: re.Pattern[str]
    choose: tuple[str, ...]


# NVIDIA: man nvidia-smi, -L ("GPU 0: NAME (UUID: ...)"). Ascend: "npu-smi info -m" of CANN's documents has a line for
# each chip, "NPU ID, Chip ID, Chip Logic ID, Chip Name"; the management unit ("Mcu") has "-" for its logic ID.
VENDORS = (
    Vendor(
        "NVIDIA",
        re.compile(r"nvidia\d+"),
        ("nvidia-smi", "-L"),
        re.compile(r"^GPU \d+:", re.MULTILINE),
        ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"),
    ),
    Vendor(
        "Ascend",
        re.compile(r"davinci\d+"),
        ("npu-smi", "info", "-m"),
        re.compile(r"^\s*\d+\s+\d+\s+\d+\s+\S", re.MULTILINE),
        ("ASCEND_RT_VISIBLE_DEVICES", "ASCEND_VISIBLE_DEVICES"),
    ),
)


def check(slots: int, environ: Mapping[str, str], *, dev: str = "/dev") -> Sequence[Finding]:
    """``slots``: processes that this node is to run, one a device (0: nobody has said). ``environ``: the command's."""
    found: list[Finding] = []
    for vendor in VENDORS:
        nodes = _nodes(vendor, dev)
        tool = shutil.which(vendor.ask[0], path=environ.get("PATH", ""))
        if not nodes and not tool:
            continue
        found.append(_one(vendor, len(nodes), tool, slots, environ))
    if not found and slots > 1:
        what = Words(
            f"{counted(slots, 'process', 'processes')} asked for on this node, and no accelerator is here",
            f"要求本节点运行 {slots} 个进程，但没有加速卡",
        )
        hint = Words(
            "right for a job on CPUs; else ask the platform for devices", "CPU 作业可忽略；否则请向平台申请加速卡"
        )
        return [warning("devices", what, hint)]
    return found or [ok("devices", "no accelerator, and none was asked for", "没有加速卡，也未要求")]


def _nodes(vendor: Vendor, dev: str) -> list[str]:
    try:
        return [name for name in os.listdir(dev) if vendor.node.fullmatch(name)]
    except OSError:
        return []


def _one(vendor: Vendor, nodes: int, tool: str | None, slots: int, environ: Mapping[str, str]) -> Finding:
    count = nodes
    if tool:
        answer, why = _ask((tool, *vendor.ask[1:]), environ)
        if why:
            what = Words(f"{' '.join(vendor.ask)}: {why}", f"{' '.join(vendor.ask)} 失败：{why}")
            hint = Words("the driver or a device is unwell: run on another node", "驱动或设备异常：请换节点运行")
            return failure("devices", what, hint)
        count = len(vendor.one.findall(answer)) or nodes
    seen = _chosen(vendor, environ)
    if seen is not None:
        count = min(count, seen)
    told, chinese = counted(count, f"{vendor.name} device"), f"{count} 个 {vendor.name} 设备"
    processes = counted(slots, "process", "processes")
    if slots > count:
        hint = Words(
            "ask for as many devices as processes, or look at CUDA_VISIBLE_DEVICES and its kin",
            "使设备数与进程数一致，或检查 CUDA_VISIBLE_DEVICES 等变量",
        )
        return failure("devices", Words(f"{told} for {processes}", f"{chinese}，进程数为 {slots}"), hint)
    return ok("devices", f"{told} for {processes}" if slots else told, chinese)


def _chosen(vendor: Vendor, environ: Mapping[str, str]) -> int | None:
    """How many devices a variable lets processes see; None where none says so."""
    for name in vendor.choose:
        value = environ.get(name)
        if (
            value is None
            or value.strip() in ("all", "void")
            or (not value.strip() and name.endswith("VISIBLE_DEVICES"))
        ):
            continue
        return len([one for one in value.split(",") if one.strip() not in ("", "-1", "none", "NoDevFiles")])
    return None


def _ask(argv: Sequence[str], environ: Mapping[str, str]) -> tuple[str, str]:
    """What the tool says, and why it did not."""
    try:
        done = subprocess.run(
            argv, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return "", f"no answer within {_TIMEOUT:g} s"
    except OSError as error:
        return "", error.strerror or str(error)
    text = done.stdout.decode(errors="replace")
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip() or text.strip()).splitlines()[-1:]
        return text, f"exit code {done.returncode}{f', {last[0]}' if last else ''}"
    return text, ""
