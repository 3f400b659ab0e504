"""What is to be sampled, where to, how often."""

from __future__ import annotations

from typing import NamedTuple


class SamplingOptions(NamedTuple):
    """``path``: the file for the samples; ``interval``: seconds between two. ``disks``: directories whose room matters;
    ``interface``: the one between the nodes, or "". ``search``: where vendors' tools are looked for (a ``PATH``).
    """

    path: str
    interval: float
    disks: tuple[str, ...] = ()
    interface: str = ""
    search: str = ""
