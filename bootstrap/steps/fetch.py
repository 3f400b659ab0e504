"""Step 4, fetch: code and inputs into the job directory, verified."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..assemble import INSIDE
from ..errors import NothingThere, PathUnusable, PermissionDenied
from ..ground.argv import named_in
from ..job import Job, Log, StopRequest
from ..process.supervise import earlier
from ..process.supervise.leftovers import named
from ..results import Access, Decided, Link
from ..run import Run, bringing_code
from ..storage.common.units import readable
from ..storage.model.url import shown
from ..storage.schemes import parse

if TYPE_CHECKING:
    from ..outputs.session import Session
    from ..storage.common.retry import Retry
    from ..storage.look_ahead import LookAhead
    from ..storage.model.share import Share
    from ..storage.model.store import Store
    from ..storage.open import Stores
    from ..storage.report import Report


def look_ahead(run: Run, decided: Decided, access: Access) -> LookAhead | None:
    """A look at what the code is, begun while the other stores are asked: it costs as many answers as they do. Of
    several nodes one lists for all, later. What goes wrong with it is the fetch's to tell.
    """
    job, stop = decided.job, run.signals.stop
    if job.cluster.size > 1 or not job.code or not parse(job.code).is_remote:
        return None
    from ..storage.common.progress import Progress  # with what the fetch itself will need, too
    from ..storage.common.retry import Retry
    from ..storage.look_ahead import LookAhead

    source, say = parse(job.code), Progress(run.console, "fetching").trouble

    def opening() -> tuple[Store, Retry]:
        store = access.stores.open(source)
        return store, Retry(store.retry_window, stop, say=say)

    return LookAhead(opening, source)


def step(
    run: Run, decided: Decided, access: Access, link: Link, share: Share | None = None, look: LookAhead | None = None
) -> None:
    """Code, inputs and, beside them, what an earlier attempt has left to go on from. ``share``: other nodes fetch the
    same. ``look``: at the code, if one was begun.
    """
    end_earlier(decided.job, run.console)
    make_directories(decided.job)
    if link.outputs is None:
        fetch_all(run, decided, access, None, share, look)
        return
    from ..storage.common.workers import in_parallel  # which a job without outputs need not load

    outputs = link.outputs
    code = partial(fetch_all, run, decided, access, outputs, share, look)
    tasks = (code, partial(outputs.restore, run.signals.stop))
    width = 1 if outputs.expect_fetch(decided.job) else 2
    for done in in_parallel(tasks, lambda task: task(), width=width, beat=lambda: None):
        done.value()
    if outputs.resumed:
        run.record.update(resumed=[one.told() for one in outputs.resumed])


def fetch_all(
    run: Run,
    decided: Decided,
    access: Access,
    outputs: Session | None,
    share: Share | None = None,
    look: LookAhead | None = None,
) -> None:
    """The code into the job dir, below its own last directory name, or directly where that is asked for or meant; each
    input straight into its directory, under no further name.
    """
    job, chosen, stop, log = decided.job, decided.settings, run.signals.stop, run.console

    def bring(url: str, *below: str, direct: bool, unpack: bool, look: LookAhead | None = None) -> Report:
        from ..storage.transfer import fetch  # which a job that brings its code in the image need not load

        return fetch(
            access.stores,
            parse(url),
            Path(job.job_dir, *below),
            direct=direct,
            unpack=unpack,
            links=chosen.links,
            nodes=job.cluster.size,
            share=share,
            look=look,
            terminal=log.terminal,
            stop=stop,
            log=log,
        )

    reports = {}
    if job.code:
        with bringing_code():
            direct = meant_directly(decided, access.stores, stop, log)
            reports["code"] = report = bring(job.code, direct=direct, unpack=chosen.unpack, look=look)
            if not report.files and not report.skipped:
                raise NothingThere("the code directory is empty", where=f"{job.code_source} = {shown(job.code)}")
    else:
        log.info("no code URL: nothing to fetch")
    for item in job.inputs:
        if outputs is None or not outputs.has(item, job.job_dir):
            reports[item.name] = bring(item.url, item.directory, direct=True, unpack=False)
    run.record.update(fetched={name: summary(report) for name, report in reports.items()})
    if share is not None and share.pulled:
        log.info(f"{readable(share.pulled)} of it came from the other nodes")
        run.record.update(shared={"nodes": share.nodes, "from_nodes": share.pulled})


def end_earlier(job: Job, log: Log) -> None:
    """What a run that was killed has left at work here must not write beside what we are about to start."""
    left = earlier.left_over(job.work_dir, job.run_dir, INSIDE)
    if not left:
        return
    log.warning(f"an earlier run was killed and has left processes at work here; they are ended: {named(left)}")
    if killed := earlier.end(left):
        log.warning(f"of these had to be killed: {named(killed)}")


def summary(report: Report) -> dict[str, object]:
    """What of a report goes into the record."""
    return {
        "files": report.files,
        "bytes": report.bytes,
        "skipped": report.skipped,
        "seconds": round(report.seconds, 3),
        "failed": [list(item) for item in report.failed],
        **({"left_out": [list(item) for item in report.left_out]} if report.left_out else {}),
        **({"verified": dict(report.verified)} if report.verified else {}),
        **({"revision": report.revision} if report.revision else {}),
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


def meant_directly(decided: Decided, stores: Stores, stop: StopRequest, log: Log) -> bool:
    """Whether the code's content goes into the job dir itself, and not into a directory of the code's own name.

    As the setting says; where nobody has set it, the command decides: a guide for ModelArts v1 has people run
    ``/home/work/user-job-dir/run.sh`` with the code at ``.../pd/``, and means that directory's content. It costs one
    look at the store, for commands that name a file elsewhere than where it would be otherwise.
    """
    job, chosen = decided.job, decided.settings
    wanted = named_in(job.command, job.job_dir)
    if chosen.code_direct or decided.resolved.sources["code_direct"] != "default" or not wanted:
        return chosen.code_direct
    code = parse(job.code if parse(job.code).is_remote else os.path.abspath(parse(job.code).path)).as_directory()
    name = os.path.basename(code.path.rstrip("/"))
    if wanted.split("/")[0] == name:
        return False
    from ..storage.common.progress import Progress  # with what the fetch itself will need, too
    from ..storage.common.retry import Retry

    store = stores.open(code)
    retry = Retry(store.retry_window, stop, say=Progress(log, "looking at the code").trouble)
    try:
        found = retry(partial(store.stat, code.child(wanted).path))
    except PermissionDenied:  # the fetch itself will say what may not be done
        return False
    if found is None:
        return False
    log.warning(
        f"the code goes into {job.job_dir} itself, where the command looks for {wanted}, and not into {name}/ below it "
        f"(say --no-code-direct to have it there, --code-direct to be asked no more)"
    )
    return True
