"""No platform: a laptop, ``docker run``, any container that sets none of the variables we know. One node."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..job import SINGLE_NODE, Cluster, PlatformFacts
from .reading import interface_asked, log_file_of, slots_per_node

NAME = "local"


def recognise(environ: Mapping[str, str], root: Path) -> str:
    """Always: this is the last line of the table."""
    return "no platform's variables are set"


def read(environ: Mapping[str, str], root: Path, reason: str) -> PlatformFacts:
    """A single node; nothing to fetch or to deliver unless an option says so."""
    slots, _ = slots_per_node(environ, root)
    cluster = Cluster(SINGLE_NODE.nodes, slots=slots)
    return PlatformFacts(
        platform=NAME,
        reason=reason,
        cluster=cluster,
        defaults={**interface_asked(environ), **log_file_of(cluster, environ)},
    )
