"""The platform's wish to have names asked for over TCP, which holds for us and our tools as it does for the command."""

from __future__ import annotations

import os
import shutil
import subprocess

from .run import Run

_OLD_TOOL, _PATIENCE = "dls-dns-fixer", 5.0  # seconds


def over_tcp(run: Run) -> None:
    """Called before anything asks for a name. The C library reads the wish from the process's own environment, in each
    thread when that first asks. ModelArts v1's own tool is run where an image still has it; its failure costs nothing.
    """
    assert run.job is not None
    options = run.job.facts.environ.get("RES_OPTIONS")
    if not options:
        return
    os.environ["RES_OPTIONS"] = options
    tool = shutil.which(_OLD_TOOL)
    if tool is None:
        return
    try:
        done = subprocess.run([tool], stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        run.console.warning(f"{tool} did not work, and is not needed: {error}")
    else:
        run.console.info(f"{tool} ended with {done.returncode}")
