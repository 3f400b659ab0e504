"""The container lab is kept from run to run, and must not grow for ever nor leave anything mounted.

Several workers and several suites live in it at once, so nobody may clean up under another's feet: everybody holds a
shared lock on one file, and who can have the lock alone finds the house empty. That is who leaves last, and who comes
first after a run that was killed. flock is dropped by the kernel, however a process ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from tests.lab.containers import Engine

KEPT = 7 * 86400
"""Seconds that an image is kept although no recipe has asked for it."""
LARGEST = 6 * 10**9
"""Bytes on disk of all images; beyond it the ones go that nobody has asked for the longest."""


@contextlib.contextmanager
def living_in(engine: Engine) -> Iterator[None]:
    """For as long as containers and images are used; the house is tidied before and after if nobody else is in."""
    with (engine.directory / "inhabitants.lock").open("w") as lock:
        _tidy_if_alone(engine, lock)
        fcntl.flock(lock, fcntl.LOCK_SH)
        try:
            yield
        finally:
            _tidy_if_alone(engine, lock)


def _tidy_if_alone(engine: Engine, lock: IO[str]) -> None:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        tidy(engine)


def tidy(engine: Engine) -> None:
    """Removes containers, mounts and scratch files, and what no name in use needs. For who is alone in the house."""
    left = engine.podman("ps", "--all", "--external", "--quiet").stdout.split()
    if left:
        engine.podman("rm", "--force", "--time", "0", *left, check=False)
    engine.podman("image", "unmount", "--all", "--force", check=False)
    for path in engine.scratch.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    for fetched in (*engine.directory.glob("wheels-*"), *engine.directory.glob("aarch64-*")):
        if _age(fetched) > KEPT:
            shutil.rmtree(fetched)
    _prune(engine)
    for name in sorted(_names(engine), key=lambda name: _age(mark(engine, name)), reverse=True):
        if _age(mark(engine, name)) <= KEPT and _on_disk(engine.directory / "graph") <= LARGEST:
            break
        engine.podman("untag", name)
        mark(engine, name).unlink()
        _prune(engine)


def mark(engine: Engine, name: str) -> Path:
    """The file whose time says when the image was last asked for."""
    tagged = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
    return engine.directory / "used" / quote(tagged, safe="")


def _names(engine: Engine) -> list[str]:
    shown = engine.podman("images", "--noheading", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    names = [name for name in shown if "<none>" not in name]
    for name in names:
        if not mark(engine, name).exists():
            mark(engine, name).touch()
    return names


def _prune(engine: Engine) -> None:
    """Layers that neither a name nor a layer above them needs: mostly of builds that a newer one has replaced."""
    engine.podman("image", "prune", "--force")


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def _on_disk(directory: Path) -> int:
    size = 0
    for parent, _, files in os.walk(directory):
        size += sum(os.lstat(os.path.join(parent, name)).st_blocks * 512 for name in files)
    return size
