"""Step 5, launch: the command in its environment, supervised, its bytes on stdout and in the log file."""

from __future__ import annotations

import os
import signal
from dataclasses import asdict

from ..credentials.handover import for_command
from ..job import Ending, Job
from ..launchers import direct
from ..process.budget import Budget
from ..process.command import resolve
from ..process.environment import child_environment
from ..process.restarts import supervise_with_restarts
from ..process.supervisor import Launch
from ..record import utc
from ..settings import PREFIX, knobs, variable
from .identify import INSIDE
from .run import Run


def step(run: Run) -> None:
    assert run.job is not None and run.resolved is not None
    job, chosen = run.job, run.resolved.settings
    environ = command_environment(run, job)
    command = resolve(
        job.command, cwd=job.work_dir, environ=environ, job_dir=job.job_dir, line_buffered=chosen.line_buffered
    )
    for warning in command.warnings:
        run.console.warning(warning)
    run.console.info(f"{' '.join(job.command)} in {job.work_dir}")
    run.ending = supervise_with_restarts(
        Launch(
            command.argv,
            environ,
            job.work_dir,
            executable=command.executable,
            log_path=job.log_file,
            stderr_path=os.path.abspath(chosen.stderr_file) if chosen.stderr_file else None,
            pty=chosen.pty,
            stop_signal=signal.Signals[f"SIG{chosen.stop_signal}"],
            budget=Budget(chosen.grace),
            timeout=chosen.timeout or None,
            stall_timeout=chosen.stall_timeout or None,
            stall_path=os.path.join(job.run_dir, "stall.txt"),
            log_limit=chosen.log_limit or None,
            compact=chosen.compact_log,
            notice_path=os.path.join(job.run_dir, "stop.json"),
            secrets=run.secrets,
        ),
        run.signals,
        run.console,
        max_restarts=chosen.max_restarts,
    )
    run.record.update(user=_told(run.ending))
    for note in run.ending.notes:
        run.console.warning(note)


def _told(ending: Ending) -> dict[str, object]:
    """How the command ended, for the record."""
    return {
        "status": ending.status,
        "signal": ending.signal,
        "exit_code": ending.exit_code,
        "asked_by": ending.asked_by.value,
        "out_of_memory": asdict(ending.out_of_memory) if ending.out_of_memory else None,
        "started": utc(ending.started),
        "ended": utc(ending.ended),
        "seconds": round(ending.ended - ending.started, 3),
        "attempts": ending.attempts,
        "notes": list(ending.notes),
    }


def command_environment(run: Run, job: Job) -> dict[str, str]:
    """What the command sees: the container's environment, without strangers' and our own variables, with ours for it.

    Nothing that the user or the platform has set is overwritten. What was added is said, with the reason.
    """
    assert run.resolved is not None
    interface = run.interface
    add, remove = for_command(run.environ, run.resolved.settings.pass_credentials, run.decrypted)
    for name, value in job.facts.environ.items():
        add.setdefault(name, value)
    variables = direct.environment(
        job.cluster,
        run.environ,
        interface=interface.name if interface and not interface.loopback else "",
        address=interface.address if interface else "",
    )
    add.update({variable.name: variable.value for variable in variables})
    if job.output_dir:
        add["BOOTSTRAP_OUTPUT_DIR"] = job.output_dir
    add[INSIDE] = job.run_dir
    for text in direct.advice(job.cluster, run.environ):
        run.console.warning(text)
    said = ", ".join(f"{variable.name}={variable.value}" for variable in variables if not _is_ours(variable.name))
    if said and job.cluster.size > 1:
        run.console.info(f"set for the command: {said}")
    run.record.update(set_for_command={variable.name: f"{variable.value} ({variable.why})" for variable in variables})
    return child_environment(
        run.environ,
        job_dir=job.job_dir,
        work_dir=job.work_dir,
        remove=[*job.facts.remove, *remove, *_our_settings(run)],
        add=add,
    )


def _our_settings(run: Run) -> list[str]:
    """A command that is itself a bootstrap must not fetch our code and deliver our outputs once more."""
    return [variable(name) for name, _, _ in knobs() if variable(name) in run.environ]


def _is_ours(name: str) -> bool:
    return name.startswith(PREFIX)
