"""The address files of ModelArts v1's ``get_cluster_ib_ip.py``, for scripts that still read them.

``.cluster_ib_ips`` has every node's address on the chosen interface, with its port where the platform lists one, in
the order of ranks and separated by commas, the way ``BATCH_WORKER_HOSTS`` is written; ``.local_ib_ip`` has this node's
own. The old script's own separator is not known (it printed what ``ip_mapper.py`` said).
"""

from __future__ import annotations

from pathlib import Path

from ..errors import PathUnusable
from ..ground.safe_files import replace_own
from ..job import Cluster


def write_address_files(directory: Path, cluster: Cluster) -> tuple[Path, Path]:
    """Write both files into ``directory``; every node's address must be known. Raises :class:`PathUnusable`."""
    entries = []
    for node in cluster.nodes:
        host = node.address or node.host
        entries.append(host if node.port is None else f"[{host}]:{node.port}" if ":" in host else f"{host}:{node.port}")
    files = (directory / ".cluster_ib_ips", ",".join(entries)), (directory / ".local_ib_ip", cluster.me.address or "")
    for path, text in files:
        try:
            replace_own(path, text.encode())
        except OSError as error:
            raise PathUnusable("an address file cannot be written", where=str(path), why=str(error.strerror)) from error
    return files[0][0], files[1][0]
