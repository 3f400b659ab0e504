"""No platform: a laptop, ``docker run``, any container that sets none of the variables we know. One node."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from ..job import SINGLE_NODE, Cluster, PlatformFacts, Sourced
from .reading import interface_asked, log_file_of, slots_per_node

NAME = "local"


def recognise(environ: Mapping[str, str], root: Path) -> str:
    """Always: this is the last line of the table."""
    return "none of the platforms' variables is set"


def read(environ: Mapping[str, str], root: Path, reason: str) -> PlatformFacts:
    """A single node; nothing to fetch or to deliver unless an option says so.

    Each run has a directory of its own for log and record: nothing tells whether two on one machine are one job's.
    """
    slots, _ = slots_per_node(environ, root)
    cluster = Cluster(SINGLE_NODE.nodes, slots=slots)
    log_file = log_file_of(cluster, environ)["log_file"]
    directory, name = os.path.split(log_file.value)
    own = time.strftime(f"bootstrap-%Y%m%dT%H%M%S-{os.getpid()}")
    return PlatformFacts(
        platform=NAME,
        reason=reason,
        cluster=cluster,
        defaults={
            **interface_asked(environ),
            "log_file": Sourced(os.path.join(directory, own, name), log_file.source),
            **_grace(environ, root),
        },
    )


def _grace(environ: Mapping[str, str], root: Path) -> dict[str, Sourced]:
    """``docker stop`` and ``podman stop`` send KILL 10 s after TERM, unless they are told otherwise (``--time``; their
    documentation); a kubelet gives 30 s, which is our own default.
    """
    in_container = (root / ".dockerenv").exists() or (root / "run/.containerenv").exists()
    if not in_container or "KUBERNETES_SERVICE_HOST" in environ:
        return {}
    return {"grace": Sourced("10", "docker stop's default; with docker stop --time N, say --grace N")}
