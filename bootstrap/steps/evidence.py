"""What else tells of the command's end, beside its log: the list of files that :mod:`.deliver` delivers with it.

Each is bounded and masked, and only tried (:mod:`..shipping.evidence`). What a run leaves is added to
:func:`of_command`; what belongs to the run as a whole, to :func:`of_run`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..ground import log_names
from ..job import Job, StopRequest
from ..launchers.plan import RECORDINGS
from ..reporting.prose import counted
from ..results import Decided, Found, Link
from ..run import Run
from ..shipping.evidence import MOST, EvidenceFile, as_called, deliver, place_of
from ..storage.model.url import shown
from ..storage.schemes import parse
from ..values import asdict
from .explaining import bundled, samples

if TYPE_CHECKING:
    from ..diagnosis import Diagnosis

STALL_FILE = "stall.txt"
_SLACK = 1.0  # seconds by which a file system's clock may lag
_FIRST = MOST - 2  # files before the samples and the bundle, which are never among those that are too many
_MOST = 1024  # recordings of one node


def stacks(job: Job) -> str:
    """Where it is written down what the command's processes were doing before they were stopped."""
    return os.path.join(job.run_dir, STALL_FILE)


def stacks_will_be(run: Run, decided: Decided, link: Link) -> str:
    """Where a reader finds it after the end: beside the log, else on this machine; empty where nothing was written."""
    job = decided.job
    if not _is_of(run, stacks(job)):
        return ""
    if not job.log:
        return stacks(job)
    return shown(str(place_of(parse(job.log), job.log_file, STALL_FILE, link.named)))


def of_command(
    run: Run, decided: Decided, environ: Mapping[str, str], found: Diagnosis | None
) -> tuple[EvidenceFile, ...]:
    """The files that tell of the command's end. ``environ`` is what it was given."""
    files: dict[str, EvidenceFile] = {}
    for one in _of_command(run, decided, environ, found):
        name, number = one.name, 1
        while name in files:
            number += 1
            name = f"{number}.{one.name}"
        files[name] = EvidenceFile(one.path, name, one.whole)
    return tuple(files.values())


def _of_command(
    run: Run, decided: Decided, environ: Mapping[str, str], found: Diagnosis | None
) -> Iterator[EvidenceFile]:
    written = stacks(decided.job)
    if _is_of(run, written):
        yield EvidenceFile(Path(written), STALL_FILE)
    if found is not None:
        first = found.rank.rank if found.rank is not None else None
        for file in sorted(found.workers, key=lambda file: (file.rank != first, file.rank)):
            yield EvidenceFile(Path(file.path), f"rank-{file.rank}.{os.path.basename(file.path)}")
    for path in _recordings(run, environ):
        yield EvidenceFile(path, f"{path.name}.pickle", whole=True)


def _recordings(run: Run, environ: Mapping[str, str]) -> list[Path]:
    """What PyTorch's flight recorder has written down: ``PREFIX`` and the rank."""
    prefix = next((environ[name] for name in RECORDINGS if environ.get(name)), "")
    directory, start = os.path.split(prefix)
    try:
        with os.scandir(directory) as entries:
            names = [entry.name for entry in entries if re.fullmatch(re.escape(start) + r"\d{1,6}", entry.name)]
    except OSError:
        return []
    names.sort(key=lambda name: int(name[len(start) :]))
    return [Path(directory, name) for name in names[:_MOST] if _is_of(run, os.path.join(directory, name))]


def of_run(run: Run, found: Found, stop: StopRequest) -> list[EvidenceFile]:
    """All that is delivered beside the log, what matters most first."""
    files = list(found.seen.evidence) if found.seen is not None else []
    if found.decided is not None and _is_of(run, samples(found.decided.job)):
        files.insert(_FIRST, EvidenceFile(Path(samples(found.decided.job)), log_names.SAMPLES))
    return [*files[: _FIRST + 1], *bundled(run, found, files, stop), *files[_FIRST + 1 :]]


def step(run: Run, found: Found, stop: StopRequest) -> None:
    """Deliver it; told in the record, and in a line. Never fails."""
    decided, access, files = found.decided, found.access, of_run(run, found, stop)
    if decided is None or access is None or not files:
        return
    if not decided.job.log:
        run.record.update(evidence=[{"path": str(one.path), "to": None, "why": "there is no log URL"} for one in files])
        return
    target, put = parse(decided.job.log), found.link.put if found.link is not None else as_called
    told = deliver(access.stores, target, decided.job.log_file, files, put=put, mask=run.record.mask, stop=stop)
    run.record.update(
        evidence=[
            {name: value for name, value in asdict(one).items() if value} | {"path": str(one.path)} for one in told
        ]
    )
    for one in told:
        if one.why:
            run.console.warning(f"not delivered beside the log, still on disk: {one.path}: {one.why}")
    there = [one for one in told if one.to]
    if there and [one.path.name for one in there] != [log_names.SAMPLES]:  # those come with every run
        place = os.path.dirname(there[0].to)
        run.console.info(f"{counted(len(there), 'file')} that tell more of the end: {shown(place)}/")


def _is_of(run: Run, path: str) -> bool:
    """Whether it is there, and this run's: an earlier one may have left its own."""
    try:
        return os.lstat(path).st_mtime >= run.record.began - _SLACK
    except OSError:
        return False
