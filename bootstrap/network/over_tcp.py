"""The platform's wish to have names asked for over TCP, which holds for us and our tools as it does for the command."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..job import Log

_OLD_TOOL, _LONGEST = "dls-dns-fixer", 5.0  # seconds


def ask_over_tcp(platform_environ: Mapping[str, str], log: Log) -> None:
    """Called before anything asks for a name. The C library reads the wish from the process's own environment, in each
    thread when that first asks. ModelArts v1's own tool is run where an image still has it; its failure costs nothing.

    ``platform_environ`` is what the platform's contract adds for the command (``PlatformFacts.environ``).
    """
    options = platform_environ.get("RES_OPTIONS")
    if not options:
        return
    import shutil  # these two on ModelArts v1 only
    import subprocess

    os.environ["RES_OPTIONS"] = options
    tool = shutil.which(_OLD_TOOL)
    if tool is None:
        return
    try:
        done = subprocess.run([tool], stdin=subprocess.DEVNULL, capture_output=True, timeout=_LONGEST, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning(f"{tool} did not work, and is not needed: {error}")
    else:
        log.info(f"{tool} ended with {done.returncode}")
