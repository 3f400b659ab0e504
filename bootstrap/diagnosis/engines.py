"""Which rank failed first on this node, from what the engine printed: its own exit code is not always the rank's.

torchrun tells the rank, its exit code and, of scripts whose ``main`` is decorated with ``@record``, the traceback,
which it has from the rank's error file. Without ``@record`` the traceback is among the output, where PyTorch puts
``[rank3]:`` in front of each of its lines. Paddle, DeepSpeed, MPI, MindSpore, Slurm and our own
:mod:`bootstrap.launchers.per_device` tell it in a line or two.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from ..values import dataclass, field
from .blocks import Block, Form, find
from .text import HEADER, Line, lines_of


@dataclass(frozen=True, slots=True)
class RankFailure:
    """The first failing rank as the engine reports it. ``exit_code`` is negative for a signal; ``at`` is when the
    engine noticed (epoch, 0 if it does not say), which tells the first of several nodes better than its own end does.
    """

    rank: int
    exit_code: int
    error_file: str = ""
    traceback: str = ""
    at: float = 0.0
    place: int = field(default=0, compare=False)
    """The line behind the report."""


_ROOT_CAUSE = re.compile(r"^Root Cause \(first observed failure\):\s*$", re.MULTILINE)
_FIELD = re.compile(r"^ {2}(time|host|rank|exitcode|error_file|traceback) *: (.*)$")
# Paddle and DeepSpeed tell which process of the node it was, the others the rank.
_ONE_LINE = tuple(
    re.compile(text, re.MULTILINE)
    for text in (
        r"^rank (?P<rank>\d+) failed first, with (?P<code>-?\d+); ending the others",
        r"^LAUNCH ERROR (?P<at>[-\d]+ [:\d,]+) Container failed !!!\n"
        r"Container rank (?P<process>\d+) status failed cmd .* code (?P<code>-?\d+) log ",
        r"^\[(?P<at>[-\d]+ [:\d,]+)\] .*'--local_rank=(?P<process>\d+)'.*\] exits with return code = (?P<code>-?\d+)",
        r"^ *Process name: \[.*,(?P<rank>\d+)\]\n *Exit code: +(?P<code>-?\d+)",
        r"^\w+ noticed that process rank (?P<rank>\d+) with PID \d+ on node \S+ exited on signal (?P<signal>\d+)",
        r"^srun: error: \S+: task (?P<rank>\d+): Exited with exit code (?P<code>\d+)",
        r"^(?:torch\.multiprocessing\.spawn\.)?ProcessExitedException: process (?P<process>\d+) terminated with "
        r"(?:exit code (?P<code>\d+)|signal (?P<name>SIG\w+))",
    )
)
_NEAR = 80  # lines before a report within which a traceback belongs to it
_NAMES = {"SIGKILL": 9, "SIGSEGV": 11, "SIGABRT": 6, "SIGBUS": 7, "SIGTERM": 15, "SIGILL": 4, "SIGFPE": 8}
# torchrun's own lines, in the format of Google's glog: the others are told to end, then the first failure is named
_NOTICED = re.compile(
    r"^[WE](\d\d)(\d\d) (\d\d):(\d\d):(\d\d)(\.\d+) .*multiprocessing/api\.py:\d+\] (Sending process|failed \()",
    re.MULTILINE,
)


def root_cause(lines: Sequence[Line], first_rank: int = 0) -> RankFailure | None:
    """The last report of a first failure in an engine's output; None when there is none, or only a part of it.

    ``first_rank`` is the rank of this node's first process.
    """
    text = "\n".join(line.text for line in lines)
    reports = list(_ROOT_CAUSE.finditer(text))
    if not reports:
        return _from_one_line(text, lines, first_rank)
    told: dict[str, str] = {}
    name = ""
    for line in text[reports[-1].end() :].splitlines():
        if line.startswith("====="):
            break
        if match := _FIELD.match(line):
            name = match[1]
            told[name] = match[2].strip()
        elif name == "traceback":
            told[name] += f"\n{line.removeprefix('  ')}"
    ranks = re.match(r"(\d+) \(local_rank: (\d+)\)", told.get("rank", ""))
    code = re.match(r"-?\d+", told.get("exitcode", ""))
    if ranks is None or code is None:
        return None
    error_file = told.get("error_file", "")
    traceback = told.get("traceback", "").rstrip()
    if not traceback.startswith(HEADER):  # there is no error file
        traceback = last_traceback([line for line in lines if line.rank == int(ranks[1])])
    return RankFailure(
        rank=int(ranks[1]),
        exit_code=int(code[0]),
        error_file="" if error_file == "<N/A>" else error_file,
        traceback=traceback,
        at=_noticed(text[: reports[-1].start()]),
        place=text.count("\n", 0, reports[-1].end()) + 1,
    )


def as_block(failure: RankFailure) -> Block | None:
    """The traceback that an engine shows in its own report, as a block of the rank's."""
    found = [block for block in find(lines_of(failure.traceback, failure.rank)) if block.form is Form.TRACEBACK]
    return found[-1] if found else None


def _from_one_line(text: str, lines: Sequence[Line], first_rank: int) -> RankFailure | None:
    reports = [report for pattern in _ONE_LINE for report in pattern.finditer(text)]
    if not reports:
        return None
    last = max(reports, key=lambda report: report.start())
    told = last.groupdict()
    rank = int(told["rank"]) if "rank" in told else first_rank + int(told["process"])
    if told.get("name"):
        code = -_NAMES.get(told["name"], 0) or 1
    else:
        code = -int(told["signal"]) if told.get("signal") else int(told["code"])
    place = text.count("\n", 0, last.start())
    until = text.count("\n", 0, last.end()) + 1
    # the rank's own mark; Paddle shows the end of the process's log behind its report
    traceback = (
        last_traceback([line for line in lines if line.rank == rank])
        or last_traceback(lines[until:])
        or last_traceback(lines[max(0, place - _NEAR) : place])
    )
    return RankFailure(rank, code, traceback=traceback, at=_moment(told.get("at") or ""), place=until)


def _moment(text: str) -> float:
    """The epoch of a time as Python's logging writes it; 0 where there is none."""
    whole, _, milliseconds = text.partition(",")
    try:
        return time.mktime(time.strptime(whole, "%Y-%m-%d %H:%M:%S")) + int(milliseconds) / 1000
    except ValueError:
        return 0.0


def last_traceback(lines: Sequence[Line]) -> str:
    """The last of Python's tracebacks among ``lines``; empty if there is none."""
    starts = [number for number, line in enumerate(lines) if line.text == HEADER]
    if not starts:
        return ""
    found = [HEADER]
    for line in lines[starts[-1] + 1 :]:
        found.append(line.text)
        if not line.text.startswith(" "):  # the exception itself ends it
            break
    return "\n".join(found)


def _noticed(text: str) -> float:
    """When the last failure was noticed: the first of the lines that go with it. The lines do not tell the year."""
    at = began = 0.0
    for month, day, hour, minute, second, fraction, what in _NOTICED.findall(text):
        words = f"{time.localtime().tm_year} {month} {day} {hour} {minute} {second}"
        try:
            moment = time.mktime(time.strptime(words, "%Y %m %d %H %M %S")) + float(fraction)
        except ValueError:
            continue
        began = began or moment
        if what.startswith("failed"):
            at, began = began, 0.0
    return at
