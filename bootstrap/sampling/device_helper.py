"""A process of its own, started as ``device_helper.py SOURCE TOOL INTERVAL``: a line of JSON for each look at the
accelerators, until nobody reads it any more.

A line is a list with an object for each device: ``index``, ``use`` (percent), ``memory`` and ``memory_size`` (bytes),
``temperature`` (degrees Celsius), ``power`` (watts), ``errors`` (uncorrectable ECC errors since the driver was loaded),
``health`` (where the vendor has a word for it). What a device does not tell is left out.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

SHARE = 0.001
"""Of a core, this process and the tools that it starts: what costs more is done more seldom."""

_LONGEST = 600.0  # seconds between two looks
_DEADLINE = 20.0  # seconds for a vendor's tool
_MIB = 1 << 20

Device = dict[str, Any]

# nvidia-smi --help-query-gpu
_FIELDS = {
    "index": "index",
    "utilization.gpu": "use",
    "memory.used": "memory",
    "memory.total": "memory_size",
    "temperature.gpu": "temperature",
    "power.draw": "power",
    "ecc.errors.uncorrected.volatile.total": "errors",
}


def main(argv: list[str]) -> int:
    """Look, tell, sleep. Ends when a look fails, or with who reads."""
    source, tool, interval = argv[0], argv[1], float(argv[2])
    ask = _SOURCES[source](tool)
    used = _cpu()
    while True:
        line = json.dumps(ask(), separators=(",", ":")) + "\n"
        try:
            os.write(1, line.encode())
        except OSError:
            return 0
        now = _cpu()
        time.sleep(max(interval, min(_LONGEST, (now - used) / SHARE)))
        used = now


def _cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _asking(argv: list[str], read: Callable[[str], list[Device]]) -> Callable[[], list[Device]]:
    def ask() -> list[Device]:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_DEADLINE, check=False)
        found = read(done.stdout.decode(errors="replace"))
        if not found:
            raise SystemExit(1)
        return found

    return ask


# --- NVIDIA ----------------------------------------------------------------------------------------------------------


def nvml(_tool: str) -> Callable[[], list[Device]]:
    """By NVIDIA's library: the cheapest way. Raises what the package ``nvidia-ml-py`` raises."""
    pynvml: Any = importlib.import_module("pynvml")

    pynvml.nvmlInit()
    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]

    def told(ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except pynvml.NVMLError as error:
            if error.value == pynvml.NVML_ERROR_NOT_SUPPORTED:
                return None
            raise

    def one(index: int, handle: Any) -> Device:
        try:
            use = told(lambda: pynvml.nvmlDeviceGetUtilizationRates(handle))
            memory = told(lambda: pynvml.nvmlDeviceGetMemoryInfo(handle))
            temperature = told(lambda: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))
            power = told(lambda: pynvml.nvmlDeviceGetPowerUsage(handle))
            errors = told(
                lambda: pynvml.nvmlDeviceGetTotalEccErrors(
                    handle, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC
                )
            )
        except pynvml.NVMLError as error:  # "GPU is lost": the others go on
            return {"index": index, "health": str(error)}
        found = {
            "index": index,
            "use": use.gpu if use is not None else None,
            "memory": memory.used if memory is not None else None,
            "memory_size": memory.total if memory is not None else None,
            "temperature": temperature,
            "power": power / 1000 if power is not None else None,
            "errors": errors,
        }
        return {key: value for key, value in found.items() if value is not None}

    return lambda: [one(index, handle) for index, handle in enumerate(handles)]


def _nvidia(tool: str) -> list[str]:
    return [tool, f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader,nounits"]


def nvidia_smi(text: str) -> list[Device]:
    """A line a device, its values divided by commas, sizes in MiB; ``[N/A]`` and its kin are no numbers."""
    found = []
    for line in text.splitlines():
        values = dict(zip(_FIELDS.values(), (word.strip() for word in line.split(",")), strict=False))
        if not values.get("index", "").isdigit():
            continue
        device = {name: number for name, word in values.items() if (number := _number(word)) is not None}
        for name in ("memory", "memory_size"):
            if name in device:
                device[name] *= _MIB
        found.append(device)
    return found


# --- Ascend ----------------------------------------------------------------------------------------------------------

# The table of `npu-smi info`: two lines a chip, with
#   | NPU  Name   | Health | Power(W)   Temp(C)  Hugepages-Usage(page) |
#   | Chip Device | Bus-Id | AICore(%)  Memory-Usage(MB)  HBM-Usage(MB) |
_FIRST = re.compile(r"^\|\s*(\d+)\s+(\S+)\s*\|\s*(\S+)\s*\|\s*(\S+)\s+(\S+)")
_SECOND = re.compile(
    r"^\|\s*(\d+)(?:\s+(\d+|-))?\s*\|\s*(\S+)\s*\|\s*(\S+)\s+(\d+)\s*/\s*(\d+)(?:\s+(\d+)\s*/\s*(\d+))?"
)


def npu_smi(text: str) -> list[Device]:
    """The chips of ``npu-smi info``, numbered in its order; of two kinds of memory the one on the package (HBM)."""
    found: list[Device] = []
    head: re.Match[str] | None = None
    for line in text.splitlines():
        second = _SECOND.match(line) if head is not None else None
        if head is None or second is None:
            head = _FIRST.match(line)
            continue
        numbers = {"power": head[4], "temperature": head[5], "use": second[4]}
        device: Device = {"index": len(found), "health": head[3]}
        device.update((name, number) for name, word in numbers.items() if (number := _number(word)) is not None)
        used, size = (second[7], second[8]) if second[8] and int(second[8]) else (second[5], second[6])
        device.update(memory=int(used) * _MIB, memory_size=int(size) * _MIB)
        found.append(device)
        head = None
    return found


def _number(word: str) -> int | float | None:
    try:
        number = float(word)
    except ValueError:
        return None
    if number != number or number in (float("inf"), float("-inf")):  # no JSON
        return None
    return int(number) if number == int(number) else number


_SOURCES: dict[str, Callable[[str], Callable[[], list[Device]]]] = {
    "nvml": nvml,
    "nvidia-smi": lambda tool: _asking(_nvidia(tool), nvidia_smi),
    "npu-smi": lambda tool: _asking([tool, "info"], npu_smi),
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
