"""One sample after the other, at a pace that keeps their cost below :data:`SHARE` of a core."""

from __future__ import annotations

import threading
import time
from typing import Any

from .accelerators import Accelerators
from .family import CommandFamily
from .machine import MachineSampler
from .options import SamplingOptions
from .store import SCHEMA, SampleFile

SHARE = 0.001
"""Of a core, for our part; the helper for accelerators keeps to as much. What costs more comes more seldom."""

_LONGEST = 600.0  # seconds between two samples, whatever they cost


def sample(options: SamplingOptions, over: threading.Event) -> None:
    """Take samples until ``over``, and a last one then. A run shorter than one interval leaves no file."""
    machine, family = MachineSampler(options.disks), CommandFamily()
    accelerators = Accelerators(options.interval, options.search)
    try:
        with SampleFile(options.path) as file:
            first = _one(machine, family, accelerators)
            began, cost, next_at = time.monotonic(), time.thread_time(), time.monotonic() + options.interval
            while True:
                ended = over.wait(max(0.0, next_at - time.monotonic()))
                if ended and time.monotonic() - began < options.interval / 2:
                    return
                if first:
                    file.write({**_heading(options, machine), "devices_by": accelerators.source})
                    file.write(first)
                    first = {}
                file.write(_one(machine, family, accelerators))
                if ended:
                    return
                spent = time.thread_time()
                next_at += max(options.interval, min(_LONGEST, (spent - cost) / SHARE))
                next_at = max(next_at, time.monotonic())  # a machine that slept owes no samples
                cost = spent
    finally:
        accelerators.close()
        machine.close()


def _one(machine: MachineSampler, family: CommandFamily, accelerators: Accelerators) -> dict[str, Any]:
    devices = accelerators.newest()
    return {
        "t": round(time.time(), 1),
        **family.read(),
        **machine.read(),
        **({"devices": devices} if devices else {}),
    }


def _heading(options: SamplingOptions, machine: MachineSampler) -> dict[str, Any]:
    return {"samples": SCHEMA, "interval": options.interval, "interface": options.interface, **machine.limits()}
