"""Beside the log, for whoever must explain the end: the samples, the bundle of a failure, the page of the whole run.

Nothing here may fail a job, or keep it: what goes wrong is a line on the console.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ..ground import log_names
from ..ground.json_text import load_json
from ..ground.safe_files import replace_own
from ..job import AskedBy, Job, StopRequest
from ..reporting.language import Words
from ..results import Decided, Found
from ..run import Run
from ..shipping.evidence import EvidenceFile

if TYPE_CHECKING:
    from ..bundle.pack import FileEnd

_BUNDLE = "bundle.tgz"
_MANIFESTS = 20.0  # seconds for the manifests of what was delivered, which the page shows
_END, _FILE = 1 << 20, 512 << 10  # bytes of the log's end and of another file's, in the bundle


def samples(job: Job) -> str:
    """Where they are on this machine."""
    return os.path.join(job.run_dir, log_names.SAMPLES)


def page(job: Job) -> Path:
    """Where the page is: beside the log, under the name that it has in the store."""
    return Path(log_names.report(job.log_file))


# --- the bundle ------------------------------------------------------------------------------------------------------


def bundled(run: Run, found: Found, evidence: list[EvidenceFile], stop: StopRequest) -> list[EvidenceFile]:
    """The bundle, made now, where one is wanted."""
    decided = found.decided
    if decided is None or not _wanted(run, found, decided):
        return []
    path = Path(decided.job.run_dir, _BUNDLE)
    try:
        from ..bundle.pack import GivenText, pack
        from ..bundle.state import state

        record = GivenText(log_names.RECORD, Words("the run record", "运行记录"), run.record.text())
        search = decided.asked.environ.get("PATH", "")
        items: list[GivenText | FileEnd] = [record, *_files(decided, evidence), *state(search, stop)]
        replace_own(path, pack(items, run.record.mask, decided.language))
    except Exception as error:  # noqa: BLE001  whatever it is, the job's end goes on
        run.console.warning(f"the failure bundle could not be made: {error}")
        return []
    return [EvidenceFile(path, _BUNDLE, whole=True)]


def _wanted(run: Run, found: Found, decided: Decided) -> bool:
    """Somebody who stopped a job needs no explanation; a node that ended with another's failure has a part of it."""
    if decided.settings.bundle != "on-failure":
        return decided.settings.bundle == "always"
    if run.stopped_in:
        return False
    if found.seen is None:
        return run.failure is not None
    ending = found.seen.ending
    return not ending.succeeded and ending.asked_by not in (AskedBy.USER, AskedBy.PLATFORM)


def _files(decided: Decided, evidence: list[EvidenceFile]) -> list[FileEnd]:
    from ..bundle.pack import FileEnd

    job = decided.job
    found = [FileEnd("log.txt", Words("the end of the log", "日志末尾"), job.log_file, _END)]
    if decided.settings.stderr_file:
        stderr = os.path.abspath(decided.settings.stderr_file)
        found.append(FileEnd("stderr.txt", Words("the end of stderr", "stderr 末尾"), stderr, _END))
    found.append(
        FileEnd(
            log_names.lines("messages.log"),
            Words("our own messages", "引导程序的消息"),
            log_names.lines(job.log_file),
            _FILE,
        )
    )
    words = Words("what else tells of the end", "与结束有关的其他文件")
    found += [
        FileEnd(one.name, words, str(one.path), _FILE)
        for one in evidence
        if not one.whole and one.name != log_names.SAMPLES
    ]
    if os.path.exists(samples(job)):
        found.append(FileEnd(log_names.SAMPLES, Words("samples of the machine", "机器采样"), samples(job), _END))
    return found


# --- the page --------------------------------------------------------------------------------------------------------


def reported(run: Run, found: Found) -> list[Path]:
    """The page of the run as it stands, where one is wanted: of this node, for the others are not at their end yet."""
    decided = found.decided
    if decided is None or not decided.settings.report:
        return []
    path = page(decided.job)
    try:
        from ..report.gather import of_run
        from ..report.model import RunReport
        from ..report.outputs import delivered
        from ..report.page import html

        job, mask = decided.job, run.record.mask
        node = of_run(load_json(run.record.text()), job.log_file, samples(job), mask)
        time_is_up = threading.Event()
        timer = threading.Timer(_MANIFESTS, time_is_up.set)
        timer.daemon = True
        timer.start()
        outputs = delivered(found.access.stores, [node], time_is_up, mask) if found.access is not None else ()
        timer.cancel()
        source = job.log or job.log_file
        replace_own(path, html(RunReport(mask(source), (node,), outputs), decided.language).encode())
    except Exception as error:  # noqa: BLE001  whatever it is, the job's end goes on
        run.console.warning(f"the report could not be made: {error}")
        return []
    return [path]
