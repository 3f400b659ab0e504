"""Step 4, fetch: code and inputs into the job directory, verified."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TextIO

from ..errors import NothingThere, PathUnusable
from ..job import Job, Log, StopRequest
from ..settings import Settings
from ..storage.open import Stores
from ..storage.transfer import Report, fetch
from ..storage.url import parse, shown
from .run import Run


def step(run: Run) -> None:
    assert run.job is not None and run.resolved is not None and run.stores is not None
    job, stop = run.job, run.signals.stop
    make_directories(job)
    reports = {}
    if job.code:
        with run.fetching_code():
            reports["code"] = report = fetch_code(
                job, run.resolved.settings, run.stores, run.console.terminal, stop, run.console
            )
            if not report.files and not report.skipped:
                raise NothingThere("the code directory is empty", where=f"{job.code_source} = {shown(job.code)}")
    else:
        run.console.info("no code URL: nothing to fetch")
    reports.update(fetch_inputs(job, run.resolved.settings, run.stores, run.console.terminal, stop, run.console))
    run.record.update(fetched={name: summary(report) for name, report in reports.items()})


def summary(report: Report) -> dict[str, object]:
    """What of a report goes into the record."""
    return {
        "files": report.files,
        "bytes": report.bytes,
        "skipped": report.skipped,
        "seconds": round(report.seconds, 3),
        "failed": [list(item) for item in report.failed],
    }


def make_directories(job: Job) -> None:
    """The job dir, the work dir and the outputs' directories. Raises :class:`PathUnusable`."""
    for path in (job.job_dir, job.work_dir, *(output.directory for output in job.delivered_outputs)):
        try:
            os.makedirs(path, exist_ok=True)
        except OSError as error:
            raise PathUnusable(
                "a directory of the job cannot be made",
                where=path,
                why=f"{error.strerror} as uid {os.getuid()}",
                remedy="choose another with --job-dir, --work-dir or --output, or mount it writable for this uid",
            ) from error


def fetch_code(
    job: Job, chosen: Settings, stores: Stores, terminal: TextIO | None, stop: StopRequest, log: Log
) -> Report:
    """The code into the job dir, below its own last directory name unless asked for otherwise."""
    return fetch(
        stores,
        parse(job.code),
        Path(job.job_dir),
        direct=chosen.code_direct,
        unpack=chosen.unpack,
        links=chosen.links,
        nodes=job.cluster.size,
        terminal=terminal,
        stop=stop,
        log=log,
    )


def fetch_inputs(
    job: Job, chosen: Settings, stores: Stores, terminal: TextIO | None, stop: StopRequest, log: Log
) -> list[tuple[str, Report]]:
    """Each input straight into its directory, under no further name."""
    reports = []
    for item in job.inputs:
        directory = Path(job.job_dir, item.directory)
        report = fetch(
            stores,
            parse(item.url),
            directory,
            direct=True,
            unpack=False,
            links=chosen.links,
            nodes=job.cluster.size,
            terminal=terminal,
            stop=stop,
            log=log,
        )
        reports.append((item.name, report))
    return reports
