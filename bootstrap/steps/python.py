"""The command's Python: the environment that was asked for, activated without a shell, and the code's requirements."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import UsageError
from ..job import Job
from ..launchers.plan import as_python
from .run import Run


def activate(run: Run, job: Job, environ: dict[str, str]) -> dict[str, str]:
    """``environ`` after ``--conda-env`` or ``--venv``, and with what ``--requirements`` installed.

    Raises :class:`UsageError` where there is no such environment, :class:`RequirementsFailed`, :class:`CannotStart`.
    """
    assert run.resolved is not None
    chosen = run.resolved.settings
    if chosen.conda_env and chosen.venv:
        raise UsageError("only one Python can be the command's", where="--conda-env and --venv", remedy="give one")
    prefix = None
    if chosen.conda_env or chosen.venv:
        from ..launchers import python_env  # most jobs need neither this nor the other

        if chosen.conda_env:
            activation = python_env.conda(chosen.conda_env, environ)
        else:
            activation = python_env.venv(os.path.join(job.work_dir, chosen.venv), environ)
        environ = python_env.apply(activation, environ, stop=run.signals.stop)
        prefix = activation.prefix
        run.console.info(f"the Python of {prefix}")
        run.record.update(python=str(prefix))
    return _with_requirements(run, job, environ, prefix) if chosen.requirements else environ


def _with_requirements(run: Run, job: Job, environ: dict[str, str], prefix: Path | None) -> dict[str, str]:
    from ..launchers import requirements

    file = requirements.find(_places(job))
    if file is None:
        run.console.warning(f"--requirements: there is none of {', '.join(requirements.FILE_NAMES)} beside the code")
        return environ
    python = as_python(job.command)
    installed = requirements.install(
        file,
        python.interpreter if python else "python3",
        environ,
        prefix=prefix,
        scratch=Path(job.run_dir),
        stop=run.signals.stop,
        log=run.console,
        mask=run.record.mask,
    )
    run.record.update(requirements={"file": str(file), "seconds": round(installed.seconds, 3)})
    return {**environ, **installed.variables}


def _places(job: Job) -> list[Path]:
    """Where the code's root may be: beside the program, in the fetched directory, where the command starts."""
    work = Path(job.work_dir)
    python = as_python(job.command)
    script = python.program[0] if python and not python.is_module else job.command[0]
    places = [(work / script).parent] if "/" in script or (work / script).exists() else []
    if job.code:
        places.append(Path(job.job_dir, Path(job.code.rstrip("/")).name))
    return [*places, work, Path(job.job_dir)]
