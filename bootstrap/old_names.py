"""The boot scripts that images have always had, over this package: their names, and where they are."""

from __future__ import annotations

from pathlib import Path

NAMES = (
    "run_train.sh",
    "run_bootstrap.sh",  # what all the others stand on
    "utils.sh",
    "modelarts-downloader.py",
    "dls-downloader.py",
    "ip_mapper.py",
    "get_cluster_ib_ip.py",
)


def directory() -> Path | None:
    """Where the scripts are: in the installed package, in a clone, or in the runtime (/opt/bootstrap/scripts)."""
    package = Path(__file__).resolve().parent
    prefix = package.parents[3] if len(package.parents) > 3 else package  # PREFIX/lib/python3.x/site-packages/bootstrap
    for place in (package / "scripts", package.parent / "scripts", prefix / "scripts"):
        if all((place / name).is_file() for name in NAMES):
            return place
    return None
