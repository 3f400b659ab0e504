"""How a log and everything beside it is called: every name is made and read here, side by side, and nowhere else.

On the machine, for the log file ``dls-task-0.log``::

    dls-task-0.log                            the log
    dls-task-0.log.tail-000000000524288       beyond its limit: the newest bytes, from this offset of the output on
    dls-task-0.run/                           the run dir: run.json, and what else is ours
    dls-task-0.jsonl                          our messages
    dls-task-0.earlier-1.log                  what an earlier run left there, never delivered perhaps

In the store, where a listing alone tells what belongs together and in what order::

    node-2/                                   below the log or an output: what node 2 delivers there
    dls-task-0.log                            the whole log, after a clean end
    dls-task-0.run.json, dls-task-0.jsonl     the run record, our messages
    dls-task-0.report.html                    a page that shows the whole run
    dls-task-0.evidence/stall.txt             what else tells of a failure: stacks, the logs of single processes
    dls-task-0.attempt-1.log                  (and .run.attempt-1.json) those of an earlier attempt
    dls-task-0.log.parts/node-0.attempt-1.20261122T013000Z-0c19f3e2/     while it runs: what one attempt has sent
        0000000000000000-0000000000004096     bytes of the output, from and to (not included)
        heartbeat.json                        its last sign of life
        run.json, samples.jsonl               the run record and the machine's samples, as they were a little earlier
    dls-task-0.log.parts/turn                 in a directory: for a moment, while somebody changes names there

The node and the moment of the start keep two nodes and two attempts apart, even when the second one could not see
what the first had left. Texts only: nothing is looked up.
"""

from __future__ import annotations

import os
import re
import time

from ..job import PlatformFacts
from ..values import dataclass, field
from .patterns import pattern

HEARTBEAT = "heartbeat.json"
RECORD = "run.json"
"""The run record, in a run's own directory."""
SAMPLES = "samples.jsonl"
"""The machine's samples, in a run's own directory and among the evidence."""
LIVE = (HEARTBEAT, RECORD, SAMPLES)
"""What is in an attempt's directory beside its parts."""
TURN = "turn"
PROBE = "probe"
"""An object that is made and removed at once, to learn what the store can do."""

_PARTS = ".parts/"
_TAIL = ".tail-"
_TAIL_DIGITS = 15
_RANGE = pattern(r"([0-9]{16,})-([0-9]{16,})")
_DIRECTORY = pattern(r"node-([0-9]+)\.attempt-([0-9]+)\.([0-9]{8}T[0-9]{6}Z(?:-[0-9a-f]+)?)")
_ATTEMPT = pattern(r"(.*)\.attempt-([0-9]+)(\.[^./]*)?", re.DOTALL)
_NODE = pattern(r"node-([1-9][0-9]*)/(.*)", re.DOTALL)
_TASK = pattern(r"(?:task|^bootstrap-[^.]+)-(\d+)\.log")  # dls-task-0.log, bootstrap-worker-0.log


# --- beside the log file -------------------------------------------------------------------------------------------


def tail(log: str, offset: int) -> str:
    """The segment of ``log`` that begins at ``offset`` of the output."""
    return f"{log}{_TAIL}{offset:0{_TAIL_DIGITS}d}"


def tail_offset(log: str, name: str) -> int | None:
    """Where the segment ``name`` of ``log`` begins; None if it is none."""
    digits = name.removeprefix(log + _TAIL) if name.startswith(log + _TAIL) else ""
    return int(digits) if len(digits) >= _TAIL_DIGITS and digits.isascii() and digits.isdecimal() else None


def run_dir(log: str) -> str:
    return _stem(log) + ".run"


def lines(log: str) -> str:
    return _stem(log) + ".jsonl"


def record(log: str) -> str:
    """The name under which ``run.json`` is delivered."""
    return _stem(log) + ".run.json"


def report(log: str) -> str:
    """The page that shows the whole run, on this machine and in the store."""
    return _stem(log) + ".report.html"


def evidence(log: str, name: str = "") -> str:
    """What else is delivered beside the log, for who has to find out why it ended; without a name, where it all is."""
    return f"{_stem(log)}.evidence/{name}"


def earlier(log: str, number: int) -> str:
    """Where what an earlier run has left under ``log`` is kept on this machine."""
    return _before_suffix(log, f".earlier-{number}")


def another(log: str, number: int) -> str:
    """The log of a further run that goes on at the same time: ``dls-task-0-2.log``."""
    return _before_suffix(log, f"-{number}")


def parts(log: str) -> str:
    """The directory of what is sent of ``log`` while it runs, with its slash."""
    return log + _PARTS


# --- nodes and attempts --------------------------------------------------------------------------------------------


def node_directory(rank: int) -> str:
    """The part of a common directory that node ``rank`` has, relative to it; node 0 has the directory itself."""
    return f"node-{rank}/" if rank else ""


def own_directory(facts: PlatformFacts) -> str:
    """The part of a common directory that this node has: by its rank, or by what sets it apart where it has none."""
    return node_directory(facts.cluster.node_rank) or facts.apart


def node_and_rest(name: str) -> tuple[int, str] | None:
    """Whose ``name``, relative to a common directory, is, and its rest; None if it is in no node's directory."""
    found = _NODE.fullmatch(name)
    return (int(found[1]), found[2]) if found else None


def node_of_log(name: str) -> int:
    """The node that the name of a delivered log tells of: by its directory, or by the number the platform gave it."""
    inside = node_and_rest(name)
    found = _TASK.search(name)
    return inside[0] if inside else int(found[1]) if found else 0


def of_attempt(name: str, attempt: int) -> str:
    """``dls-task-0.log`` of attempt 1 as ``dls-task-0.attempt-1.log``; a segment's as its log's."""
    whole, segment = _without_tail(name)
    return _before_suffix(whole, f".attempt-{attempt}") + segment


def attempt_of(name: str) -> tuple[str, int] | None:
    """What :func:`of_attempt` has made ``name`` of; None if it has not."""
    whole, segment = _without_tail(name)
    found = _ATTEMPT.fullmatch(whole)
    return (f"{found[1]}{found[3] or ''}{segment}", int(found[2])) if found else None


# --- what is sent while it runs ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class LogPart:
    """Bytes ``start`` to ``end`` (not included) of the output; ``merges`` is how often they were written before."""

    start: int
    end: int
    merges: int = field(default=0, compare=False)

    @property
    def size(self) -> int:
        return self.end - self.start

    @property
    def name(self) -> str:
        return f"{self.start:016d}-{self.end:016d}"


def part_of(name: str) -> LogPart | None:
    """The part that ``name`` is the name of; None if it is something else."""
    found = _RANGE.fullmatch(name)
    return LogPart(int(found[1]), int(found[2])) if found else None


def moment(seconds: float, mark: str = "") -> str:
    """A moment (seconds of the epoch) in UTC, to the second, and behind it the thousandths and a ``mark`` of
    hexadecimal digits, if any: two attempts of one second differ by that, and everybody puts them in the same order.
    """
    text = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))
    return f"{text}-{int(seconds % 1 * 1000):03x}{mark}" if mark else text


@dataclass(frozen=True, slots=True)
class AttemptDirectory:
    """Where one attempt's parts go. ``log`` is relative to the log directory, ``began`` as :func:`moment` has it."""

    log: str
    node: int
    attempt: int
    began: str

    @classmethod
    def starting(cls, log: str, node: int, attempt: int, began: float) -> AttemptDirectory:
        """``began`` in seconds of the epoch."""
        return cls(log, node, attempt, moment(began))

    @property
    def path(self) -> str:
        return f"{self.log}{_PARTS}node-{self.node}.attempt-{self.attempt}.{self.began}/"


def directory_and_name(key: str) -> tuple[AttemptDirectory, str] | None:
    """What ``key``, relative to the log directory, is in, and its name there; None if it is of no attempt's."""
    log, divider, rest = key.partition(_PARTS)
    whose, slash, name = rest.partition("/")
    who = _DIRECTORY.fullmatch(whose)
    if not (divider and slash and who):
        return None
    return AttemptDirectory(log, int(who[1]), int(who[2]), who[3]), name


def _without_tail(name: str) -> tuple[str, str]:
    whole, mark, offset = name.rpartition(_TAIL)
    return (whole, mark + offset) if tail_offset(whole, name) is not None else (name, "")


def _stem(log: str) -> str:
    return os.path.splitext(log)[0]


def _before_suffix(name: str, addition: str) -> str:
    stem, suffix = os.path.splitext(name)
    if _ATTEMPT.fullmatch(suffix):  # "run.attempt-1" has no suffix
        stem, suffix = name, ""
    return f"{stem}{addition}{suffix}"
