"""What frameworks print, in their own words and shapes, for causes that this machine cannot provoke."""

from dataclasses import replace

from ..case import Case
from . import (
    collectives,
    devices,
    more,
    others,
    python,
    reported_logs,
    reported_machine,
    reported_network,
    reported_program,
    reported_shapes,
    stores,
)

_PARTS = (devices, collectives, python, stores, others, more)
REPORTED: list[Case] = [
    replace(case, name=f"reported: {case.name}")
    for part in (reported_logs, reported_machine, reported_network, reported_program, reported_shapes)
    for case in part.CASES
]
CASES: list[Case] = [*(case for part in _PARTS for case in part.CASES), *REPORTED]
