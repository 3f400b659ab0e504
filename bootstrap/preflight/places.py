"""Directories that must be written: probed by a file that is written and removed again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from ..errors import BootstrapError, NothingThere, PathUnusable
from ..job import Job
from ..reporting.language import Words
from ..storage.common.file_errors import existing, explain, space
from .findings import Finding, Level, of_error, ok, warning

_PROBE = 4096  # bytes: a full file system still gives names, and refuses the first block


def probe(directory: str) -> BootstrapError | None:
    """Why a file cannot be written in ``directory``, or in what exists above it; None if it can."""
    above = existing(directory)
    place = os.path.join(above, f".bootstrap-{os.urandom(8).hex()}.probe")
    try:
        file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            written = os.write(file, b"\0" * _PROBE)
            if written < _PROBE:
                os.write(file, b"\0" * (_PROBE - written))  # which says why
        finally:
            os.close(file)
            os.unlink(place)
    except OSError as error:
        found = explain(error, directory, "a file cannot be written here")
        return PathUnusable(found.what, where=directory, why=found.why) if isinstance(found, NothingThere) else found
    return None


def of_job(job: Job) -> dict[str, str]:
    """The directories that this job writes, each with what it is for."""
    wanted = {
        "the job directory": job.job_dir,
        "the work directory": job.work_dir,
        "the log's directory": os.path.dirname(job.log_file),
        "our own files (run dir)": job.run_dir,
    }
    wanted.update({f"output {output.name or output.directory}": output.directory for output in job.delivered_outputs})
    inputs = {f"input {item.name}": os.path.join(job.job_dir, item.directory) for item in job.inputs}
    return {path: what for what, path in reversed([*wanted.items(), *inputs.items()])}


def check(directories: Mapping[str, str]) -> Iterator[Finding]:
    """``directories`` by path, each with what it is for."""
    good: list[str] = []
    for directory, what in directories.items():
        error = probe(directory)
        if error is not None:
            yield of_error("directories", type(error)(f"{what} cannot be written", where=directory, why=error.why))
        else:
            good.append(existing(directory))
    if good:
        there = ", ".join(dict.fromkeys(good))
        yield ok("directories", f"{there} can be written; {space(good[0])}", f"{there} 可写")


def check_temporary(environ: Mapping[str, str]) -> Sequence[Finding]:
    """Where the command's libraries put temporary files: ``TMPDIR``, else /tmp."""
    named = environ.get("TMPDIR", "")
    directory = named or "/tmp"
    if named and not os.path.isdir(named):
        what = Words(f"TMPDIR={named} is no directory", f"TMPDIR={named} 不是目录")
        return [warning("tmpdir", what, Words("make it, or unset TMPDIR", "创建该目录，或取消设置 TMPDIR"))]
    error = probe(directory)
    if error is not None:
        found = of_error("tmpdir", error, Level.WARNING)
        hint = Words("set TMPDIR to a directory that can be written", "将 TMPDIR 设为可写的目录")
        return [warning("tmpdir", found.what, hint)]
    return [ok("tmpdir", f"temporary files: {directory}; {space(directory)}", f"临时文件：{directory}")]
