"""The command's Python: the environment that was asked for, activated without a shell, and the code's requirements."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ...errors import UsageError
from ...ground.argv import as_python
from ...job import Job, Log, StopRequest


class Activated(NamedTuple):
    """The environment for the command, the environment's ``prefix`` if one was asked for, and the requirements file
    that was installed, with the seconds that took.
    """

    environ: dict[str, str]
    prefix: Path | None = None
    requirements: Path | None = None
    seconds: float = 0.0


def activate(
    job: Job,
    environ: dict[str, str],
    *,
    conda_env: str,
    venv: str,
    with_requirements: bool,
    stop: StopRequest,
    log: Log,
    mask: Callable[[str], str],
) -> Activated:
    """``environ`` after ``--conda-env`` or ``--venv``, and with what ``--requirements`` installed.

    Raises :class:`UsageError` where there is no such environment, :class:`RequirementsFailed`, :class:`CannotStart`.
    """
    if conda_env and venv:
        raise UsageError("only one Python can be the command's", where="--conda-env and --venv", remedy="give one")
    prefix = None
    if conda_env or venv:
        from . import environments  # most jobs need neither this nor the other

        if conda_env:
            activation = environments.conda(conda_env, environ)
        else:
            activation = environments.venv(os.path.join(job.work_dir, venv), environ)
        environ = environments.apply(activation, environ, stop=stop)
        prefix = activation.prefix
        log.info(f"the Python of {prefix}")
    if not with_requirements:
        return Activated(environ, prefix)
    from . import requirements

    file = requirements.find(places_of(job))
    if file is None:
        log.warning(f"--requirements: there is none of {', '.join(requirements.FILE_NAMES)} beside the code")
        return Activated(environ, prefix)
    python = as_python(job.command)
    installed = requirements.install(
        file,
        python.interpreter if python else "python3",
        environ,
        prefix=prefix,
        scratch=Path(job.run_dir),
        stop=stop,
        log=log,
        mask=mask,
    )
    return Activated({**environ, **installed.variables}, prefix, file, installed.seconds)


def places_of(job: Job) -> list[Path]:
    """Where the code's root may be: beside the program, in the fetched directory, where the command starts."""
    work = Path(job.work_dir)
    python = as_python(job.command)
    script = python.program[0] if python and not python.is_module else job.command[0]
    places = [(work / script).parent] if "/" in script or (work / script).exists() else []
    if job.code:
        places.append(Path(job.job_dir, Path(job.code.rstrip("/")).name))
    return [*places, work, Path(job.job_dir)]
