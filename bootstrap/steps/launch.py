"""Step 5, launch: the command in its environment, supervised, its bytes on stdout and in the log file."""

from __future__ import annotations

import os
import signal
from contextlib import nullcontext
from dataclasses import asdict

from ..credentials.handover import for_command
from ..job import Ending, Job
from ..process.budget import Budget
from ..process.command import Resolved, resolve, without_redirections
from ..process.environment import child_environment
from ..process.restarts import supervise_with_restarts
from ..process.supervisor import Launch
from ..record import utc
from ..settings import knobs, variable
from . import cluster, engine, python
from .identify import INSIDE
from .run import Run


def step(run: Run) -> None:
    """Make the environment, have the launcher plan, wait for the others where that is wished, and run it."""
    assert run.job is not None
    job = run.job
    environ = python.activate(run, job, command_environment(run, job))
    plan = engine.make_plan(run, job, environ)
    environ = engine.environment(run, job, plan, environ)
    cluster.write_addresses(run)
    engine.write_files(plan)
    command = None if plan.follows_node_0 else _found(run, job, plan.command, environ, engine.program_of(job, plan))
    cluster.gather(run)
    if run.signals.stop.is_set():
        return
    with engine.beside(run, plan, environ, job.work_dir) as process:
        if command is None:
            run.ending = engine.follow(run, process)
        else:
            run.console.info(f"{' '.join(without_redirections(plan.command)[0])} in {job.work_dir}")
            run.ending = _supervised(run, job, command, environ)
            cluster.tell(run)  # the others leave the engine while what is beside the command still answers
    run.record.update(user=_told(run.ending))
    for note in run.ending.notes:
        run.console.warning(note)


def _found(run: Run, job: Job, command: tuple[str, ...], environ: dict[str, str], program: tuple[str, ...]) -> Resolved:
    """The command as it will be executed; ``program`` must be there as well, since a launcher would find out late."""
    assert run.resolved is not None
    if program:
        resolve(program, cwd=job.work_dir, environ=environ, job_dir=job.job_dir)
    chosen = run.resolved.settings
    buffered = chosen.line_buffered and not chosen.pty  # on a terminal every program writes line by line by itself
    found = resolve(command, cwd=job.work_dir, environ=environ, job_dir=job.job_dir, line_buffered=buffered)
    for warning in found.warnings:
        run.console.warning(warning)
    return found


def _supervised(run: Run, job: Job, command: Resolved, environ: dict[str, str]) -> Ending:
    assert run.resolved is not None
    chosen = run.resolved.settings
    return supervise_with_restarts(
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
            starting=run.hardening.as_before_for_children if run.hardening else nullcontext,
            score=run.score,
        ),
        run.signals,
        run.console,
        max_restarts=chosen.max_restarts,
    )


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

    Nothing that the user or the platform has set is overwritten. What a launcher adds comes later.
    """
    assert run.resolved is not None
    add, remove = for_command(run.environ, run.resolved.settings.pass_credentials, run.decrypted)
    for name, value in job.facts.environ.items():
        add.setdefault(name, value)
    if job.output_dir:
        add["BOOTSTRAP_OUTPUT_DIR"] = job.output_dir
    add[INSIDE] = job.run_dir
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
