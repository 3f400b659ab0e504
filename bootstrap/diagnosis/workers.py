"""The files of single processes: Paddle, msrun and torchrun (``--redirects``, ``--log-dir``) write the output of their
ranks beside the log that we read, which then holds a name and an exit code only.

They are found by what the output names and in the directories where an engine writes them, and their ends are read as
if they stood in front of the log. Only names that engines give are taken, of regular files of our own, inside the job's
own directories, changed since the command began; so many of them, and so much of each.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence

from ..ground.json_text import load_json
from ..ground.safe_files import open_own, read_own
from ..values import dataclass, replace
from .text import Line, end_of, lines_of

MOST = 64  # files
WINDOW = 64 << 10  # bytes of one that are looked at
READ = 1 << 20  # bytes of one that are read for them
_COUNTED = 8 << 20  # bytes of a file whose lines are counted
_DEPTH = 5  # torchrun: RUN_ID/attempt_0/3/stderr.log
_ENTRIES = 4000
_SLACK = 1.0  # seconds by which a file system's clock may lag


@dataclass(frozen=True, slots=True)
class WorkerFile:
    """The output of the process ``rank``, or its error as torchrun's ``@record`` writes it down (JSON)."""

    path: str
    rank: int
    changed: float

    @property
    def is_error_file(self) -> bool:
        return self.path.endswith(".json")


# How engines call them: the process's number on its node, or its rank in the job.
_OF_NODE = re.compile(r"(?:^|/)(?:workerlog\.(\d{1,5})|attempt_\d+/(\d{1,5})/(?:(?:stdout|stderr)\.log|error\.json))$")
_OF_JOB = re.compile(r"(?:^|/)(?:worker_(\d{1,5})\.log|[^/]*_rank(\d{1,5})\.log|rank\.(\d{1,5})/(?:stdout|stderr))$")
_NAMED = re.compile(
    r"[\w./~+@=:-]*(?:workerlog\.\d{1,5}|worker_\d{1,5}\.log|attempt_\d+/\d{1,5}/(?:(?:stdout|stderr)\.log|error\.json))\b"
)
_OPTION = re.compile(r"^--?(?:log[-_]dir|enable_each_rank_log|output-filename)(?:=(.+))?$")
_VARIABLES = ("PET_LOG_DIR", "PADDLE_LOG_DIR")
_USUAL = ("log", "msrun_log")  # below the working directory: Paddle's, and MindSpore's examples'


@dataclass(frozen=True, slots=True)
class Places:
    """Where to look. ``inside`` are the job's directories; ``of_engines`` those in which an engine puts such files."""

    work_dir: str
    inside: tuple[str, ...]
    of_engines: tuple[str, ...] = ()

    @classmethod
    def of(cls, work_dir: str, inside: Iterable[str], words: Sequence[str], environ: dict[str, str]) -> Places:
        """``words`` are the command's; a directory that they name for this is the job's own."""
        named = [environ[name] for name in _VARIABLES if environ.get(name)]
        for place, word in enumerate(words):
            if found := _OPTION.match(word):
                named.append(found[1] or (words[place + 1] if place + 1 < len(words) else ""))
        chosen = tuple(os.path.join(work_dir, name) for name in (*named, *_USUAL) if name)
        return cls(work_dir, (work_dir, *(one for one in (*inside, *chosen) if one)), (*chosen, *inside))


def find(lines: Iterable[Line], places: Places, *, since: float, first_rank: int = 0) -> list[WorkerFile]:
    """The files of this life of the command, which began at ``since`` (epoch); who wrote last comes first, since who
    failed first wrote no more. ``first_rank`` is the rank of this node's first process.
    """
    inside = [os.path.realpath(directory) for directory in places.inside]
    found: dict[str, WorkerFile] = {}
    for path in (*_named(lines, places.work_dir), *_there(places)):
        rank = _rank(path, first_rank)
        real = os.path.realpath(path)
        if rank is None or real in found or not any(real.startswith(f"{one.rstrip('/')}/") for one in inside):
            continue
        try:
            about = os.lstat(real)
        except OSError:
            continue
        if about.st_size and about.st_mtime >= since - _SLACK:
            found[real] = WorkerFile(real, rank, about.st_mtime)
        if len(found) == MOST:
            break
    return sorted(found.values(), key=lambda one: (-one.changed, -one.rank, one.path.endswith("stderr.log"), one.path))


def read(files: Iterable[WorkerFile]) -> list[Line]:
    """Their ends, one behind the other, each line with its rank and where it stands."""
    return [line for file in files for line in _lines(file)]


def _named(lines: Iterable[Line], work_dir: str) -> Iterator[str]:
    seen = set()
    for line in lines:
        if "log" in line.text or "error.json" in line.text:
            seen.update(_NAMED.findall(line.text))
    for name in sorted(seen):
        path = os.path.join(work_dir, name)
        yield path
        if name.endswith("error.json"):  # torchrun tells this one alone; the output lies beside it
            yield from (os.path.join(os.path.dirname(path), beside) for beside in ("stdout.log", "stderr.log"))


def _there(places: Places) -> Iterator[str]:
    budget = [_ENTRIES]
    for directory in dict.fromkeys(places.of_engines):
        yield from _below(directory, _DEPTH, budget)
    yield from _below(places.work_dir, 0, budget)


def _below(directory: str, depth: int, budget: list[int]) -> Iterator[str]:
    try:
        with os.scandir(directory) as entries:
            found = sorted((entry for entry in entries), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in found:
        budget[0] -= 1
        if budget[0] < 0:
            return
        if depth and entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path, depth - 1, budget)
        elif _OF_NODE.search(entry.path) or _OF_JOB.search(entry.path):
            yield entry.path


def _rank(path: str, first_rank: int) -> int | None:
    for pattern, first in ((_OF_NODE, first_rank), (_OF_JOB, 0)):
        if found := pattern.search(path):
            return first + int(next(number for number in found.groups() if number is not None))
    return None


def _lines(file: WorkerFile) -> list[Line]:
    try:
        if file.is_error_file:
            return [replace(line, file=file.path) for line in lines_of(_recorded(file.path), file.rank)]
        with open(open_own(file.path, os.O_RDONLY), "rb") as content:
            text = end_of(content, window=WINDOW, most=READ)
            last = 0
            if os.fstat(content.fileno()).st_size <= _COUNTED:
                content.seek(0)
                last = 1 + sum(piece.count(b"\n") for piece in iter(lambda: content.read(1 << 20), b""))
    except (OSError, ValueError):
        return []
    lines = lines_of(text, file.rank)
    first = last - len(lines) + 1
    return [replace(line, file=file.path, number=first + place if last else None) for place, line in enumerate(lines)]


def _recorded(path: str) -> str:
    """What ``@record`` of torch.distributed.elastic wrote down: a message, and with it the traceback as a rule."""
    told = load_json(read_own(path, READ))
    message = told.get("message") if isinstance(told, dict) else None
    if isinstance(message, dict):
        more = message.get("extraInfo")
        stack = more.get("py_callstack") if isinstance(more, dict) else None
        return str(stack or message.get("message") or "")
    return str(message or "")
