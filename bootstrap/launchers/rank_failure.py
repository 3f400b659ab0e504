"""Which rank failed first on this node, from what the engine printed: its own exit code is not always the rank's.

torchrun tells the rank, its exit code and, of scripts whose ``main`` is decorated with ``@record``, the traceback,
which it has from the rank's error file. Without ``@record`` the traceback is among the output, where PyTorch puts
``[rank3]:`` in front of each of its lines. Paddle, DeepSpeed, Open MPI and our own :mod:`.per_device` tell it in a line
or two.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass


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


_ROOT_CAUSE = re.compile(r"^Root Cause \(first observed failure\):\s*$", re.MULTILINE)
_FIELD = re.compile(r"^ {2}(time|host|rank|exitcode|error_file|traceback) *: (.*)$")
# Paddle and DeepSpeed tell which process of the node it was, Open MPI and ours for Ascend the rank.
_ONE_LINE = tuple(
    re.compile(text, re.MULTILINE)
    for text in (
        r"^rank (?P<rank>\d+) failed first, with (?P<code>-?\d+); ending the others",
        r"^LAUNCH ERROR (?P<at>[-\d]+ [:\d,]+) Container failed !!!\n"
        r"Container rank (?P<process>\d+) status failed cmd .* code (?P<code>-?\d+) log ",
        r"^\[(?P<at>[-\d]+ [:\d,]+)\] .*'--local_rank=(?P<process>\d+)'.*\] exits with return code = (?P<code>-?\d+)",
        r"^ *Process name: \[.*,(?P<rank>\d+)\]\n *Exit code: +(?P<code>-?\d+)",
        r"^\w+ noticed that process rank (?P<rank>\d+) with PID \d+ on node \S+ exited on signal (?P<signal>\d+)",
    )
)
# torchrun's own lines, in the format of Google's glog: the others are told to end, then the first failure is named
_NOTICED = re.compile(
    r"^[WE](\d\d)(\d\d) (\d\d):(\d\d):(\d\d)(\.\d+) .*multiprocessing/api\.py:\d+\] (Sending process|failed \()",
    re.MULTILINE,
)
_TRACEBACK = "Traceback (most recent call last):"


def failed_first(rank: int, exit_code: int) -> str:
    """The line in which :mod:`.per_device` tells of the first failing rank."""
    return f"rank {rank} failed first, with {exit_code}; ending the others"


def root_cause(log_tail: str, first_rank: int = 0) -> RankFailure | None:
    """The last report of a first failure in an engine's output; None when there is none, or only a part of it.

    ``first_rank`` is the rank of this node's first process.
    """
    blocks = list(_ROOT_CAUSE.finditer(log_tail))
    if not blocks:
        return _from_one_line(log_tail, first_rank)
    told: dict[str, str] = {}
    name = ""
    for line in log_tail[blocks[-1].end() :].splitlines():
        if line.startswith("====="):
            break
        if match := _FIELD.match(line):
            name = match[1]
            told[name] = match[2].strip()
        elif name == "traceback":
            told[name] += f"\n{line}"
    ranks = re.match(r"(\d+) \(local_rank: (\d+)\)", told.get("rank", ""))
    code = re.match(r"-?\d+", told.get("exitcode", ""))
    if ranks is None or code is None:
        return None
    error_file = told.get("error_file", "")
    traceback = told.get("traceback", "").rstrip()
    if traceback.startswith("To enable traceback"):  # there is no error file
        traceback = last_traceback(log_tail[: blocks[-1].start()], f"[rank{ranks[1]}]: ")
    return RankFailure(
        rank=int(ranks[1]),
        exit_code=int(code[0]),
        error_file="" if error_file == "<N/A>" else error_file,
        traceback=traceback,
        at=_noticed(log_tail[: blocks[-1].start()]),
    )


def _from_one_line(log_tail: str, first_rank: int) -> RankFailure | None:
    reports = [report for pattern in _ONE_LINE for report in pattern.finditer(log_tail)]
    if not reports:
        return None
    last = max(reports, key=lambda report: report.start())
    told = last.groupdict()
    rank = int(told["rank"]) if "rank" in told else first_rank + int(told["process"])
    code = -int(told["signal"]) if "signal" in told else int(told["code"])
    before, after = log_tail[: last.start()], log_tail[last.end() :]
    # PyTorch's own mark of the rank; Paddle shows the end of the process's log behind its report
    traceback = last_traceback(before, f"[rank{rank}]: ") or last_traceback(after) or last_traceback(before)
    return RankFailure(rank, code, traceback=traceback, at=_moment(told.get("at") or ""))


def _moment(text: str) -> float:
    """The epoch of a time as Python's logging writes it; 0 where there is none."""
    whole, _, milliseconds = text.partition(",")
    try:
        return time.mktime(time.strptime(whole, "%Y-%m-%d %H:%M:%S")) + int(milliseconds) / 1000
    except ValueError:
        return 0.0


def last_traceback(text: str, prefix: str = "") -> str:
    """The last of Python's tracebacks in ``text``, of the lines that begin with ``prefix``; empty if there is none."""
    lines = [line[len(prefix) :] for line in text.splitlines() if line.startswith(prefix)]
    starts = [number for number, line in enumerate(lines) if line == _TRACEBACK]
    if not starts:
        return ""
    found = lines[starts[-1] : starts[-1] + 1]
    for line in lines[starts[-1] + 1 :]:
        found.append(line)
        if not line.startswith(" "):  # the exception itself ends it
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
