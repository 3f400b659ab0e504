"""A mount whose every operation takes a millisecond or two, as NFS' and FUSE's do: ``slow_mount.c``, built and mounted.

It needs root or ``fusermount3``, a C compiler and libfuse 3 (``apt-get install gcc pkg-config libfuse3-dev fuse3``).
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path


class NoMount(Exception):
    """There can be none here. Its text says why."""


@contextlib.contextmanager
def slow_mount(directory: Path, *, milliseconds: float) -> Iterator[Path]:
    """Where ``directory / "behind"`` is seen. Raises :class:`NoMount`."""
    behind, front, program = directory / "behind", directory / "mount", directory / "slow_mount"
    for place in (behind, front):
        place.mkdir(parents=True, exist_ok=True)
    try:
        flags = shlex.split(_told(["pkg-config", "--cflags", "--libs", "fuse3"]))
        _told(["cc", "-O2", "-o", program, Path(__file__).with_suffix(".c"), *flags])
        _told([program, behind, round(milliseconds * 1000), front])
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoMount(f"{error}: {getattr(error, 'stderr', '') or ''}".strip(": \n")) from error
    try:
        yield front
    finally:
        _told(["fusermount3", "-u", front])
        while os.path.ismount(front):
            time.sleep(0.05)


def _told(argv: list[object]) -> str:
    words = [str(word) for word in argv]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout
