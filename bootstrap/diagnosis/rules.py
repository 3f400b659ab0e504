"""From facts (how the command ended, what its log ended with) to a reason in words.

A rule looks at evidence and names it; it never guesses: exit code 137 alone is not called "out of memory", since
anybody may send KILL. The first rule that fits wins, kernel's proof before words in a log. Sources: the ModelArts
FAQ on exit codes 137, 139 and 247 and on common training failures, where each of these cost somebody a day.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass

from ..job import AskedBy, Ending

TAIL = 64 * 1024
"""Bytes of the log's end that rules look at."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules may look at. ``tail`` is the end of the log, decoded with replacement characters."""

    ending: Ending
    tail: str = ""
    grace: float = 0.0


@dataclass(frozen=True, slots=True)
class Reason:
    """``id`` is stable; ``evidence`` quotes what was seen; ``remedy`` may be empty when nothing is wrong."""

    id: str
    text: str
    evidence: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        return ". ".join(
            part
            for part in (self.text, f"Seen: {self.evidence.rstrip('.')}" if self.evidence else "", self.remedy)
            if part
        )


def explain(facts: Facts) -> Reason:
    """The reason for ``facts.ending``; there always is one."""
    for rule in (_success, _asked_to_stop, _out_of_memory, *_BY_SIGNAL, *_BY_LOG):
        reason = rule(facts)
        if reason is not None:
            return reason
    return Reason("command-failed", f"the command ended by itself with {facts.ending}", _last_line(facts.tail))


def _success(facts: Facts) -> Reason | None:
    return Reason("success", "the command succeeded") if facts.ending.succeeded else None


def _asked_to_stop(facts: Facts) -> Reason | None:
    who = {
        AskedBy.USER: "somebody interrupted it",
        AskedBy.PLATFORM: "the platform asked it to stop",
        AskedBy.TIMEOUT: "its time limit was reached",
        AskedBy.STALL: "it had stalled",
        AskedBy.PEER: "another node failed",
    }.get(facts.ending.asked_by)
    if who is None:
        return None
    killed = facts.ending.signal == signal.SIGKILL
    how = f"and did not end within its share of the {facts.grace:g} s of grace" if killed else f"({facts.ending})"
    remedy = "Handle SIGTERM in the command, or give more --grace" if killed else ""
    return Reason(
        f"stopped-by-{facts.ending.asked_by.value}", f"the command was stopped because {who} {how}", "", remedy
    )


def _out_of_memory(facts: Facts) -> Reason | None:
    proof = facts.ending.out_of_memory
    if proof is None or proof.kills == 0:
        return None

    def size(value: int | None) -> str:
        return "unknown" if value is None else f"{value / 2**20:.0f} MiB"

    return Reason(
        "out-of-memory",
        f"the kernel killed processes of the job for lack of memory ({facts.ending})",
        f"{proof.kills} OOM kill(s) in {proof.source}, limit {size(proof.limit)}, peak {size(proof.peak)}",
        "Choose a flavour with more memory, or use less: smaller batches, fewer data-loader workers",
    )


def _signal_rule(number: signal.Signals, id: str, text: str, remedy: str) -> Callable[[Facts], Reason | None]:
    def rule(facts: Facts) -> Reason | None:
        # A shell or launcher between us and the program turns its death by signal into a status of 128 + n.
        if facts.ending.signal != number and facts.ending.status != 128 + number:
            return None
        return Reason(id, f"{text} ({facts.ending})", _last_line(facts.tail), remedy)

    return rule


_BY_SIGNAL = (
    _signal_rule(
        signal.SIGKILL,
        "killed-from-outside",
        "something killed the command, and the container's memory counters show no OOM kill",
        "Look at the platform's events: a node-level OOM, an eviction, somebody's kill -9",
    ),
    _signal_rule(
        signal.SIGSEGV,
        "segmentation-fault",
        "the command crashed in native code",
        "Often two packages that do not fit together: compare CUDA, driver and framework with a run that worked",
    ),
    _signal_rule(
        signal.SIGBUS,
        "bus-error",
        "the command touched memory that could not be provided",
        "Often a full /dev/shm: give the container more shared memory, or use fewer data-loader workers",
    ),
    _signal_rule(
        signal.SIGILL,
        "illegal-instruction",
        "the command used an instruction that this CPU does not have",
        "Install a build for this CPU's architecture",
    ),
    _signal_rule(signal.SIGABRT, "aborted", "the command aborted itself", "The lines above its end say why"),
)


def _log_rule(pattern: str, id: str, text: str, remedy: str) -> Callable[[Facts], Reason | None]:
    def rule(facts: Facts) -> Reason | None:
        matches = list(re.finditer(pattern, facts.tail))  # compiled here, not at every start
        if not matches:
            return None
        found = matches[-1]  # the last one is nearest to the end
        start = facts.tail.rfind("\n", 0, found.start()) + 1
        end = facts.tail.find("\n", found.end())
        line = facts.tail[start : end if end >= 0 else None].strip()[:300]
        return Reason(id, f"{text} ({facts.ending})", line, remedy)

    return rule


_BY_LOG = (
    _log_rule(
        r"No space left on device|Disk quota exceeded",
        "disk-full",
        "a disk was full",
        "Write to a larger disk (/cache on ModelArts), delete what is not needed, set TMPDIR",
    ),
    _log_rule(
        r"CUDA out of memory|CUDA_ERROR_OUT_OF_MEMORY|torch\.(cuda\.)?OutOfMemoryError|NPU out of memory",
        "device-out-of-memory",
        "an accelerator's memory was full",
        "Use smaller batches, gradient accumulation or checkpointing",
    ),
    _log_rule(
        r"[Cc]an(?:'t|not) fork|fork: (?:retry: )?Resource temporarily unavailable"
        r"|can't start new thread|(?:[Tt]hread|pthread_create)\b.*: Resource temporarily unavailable",
        "processes-used-up",
        "no more processes or threads could be started",
        "Look at the limits (pids of the container, ulimit -u); use fewer data-loader workers, set OMP_NUM_THREADS",
    ),
    _log_rule(
        r"ModuleNotFoundError: No module named|ImportError: cannot import",
        "module-missing",
        "a Python module could not be imported",
        "Install it in the image; the interpreter may also be another one than you think (which python)",
    ),
    _log_rule(
        r"unrecognized arguments: .*",
        "arguments-unknown",
        "the command does not know an argument it was given",
        "The bootstrap adds none: compare the job's parameters (--data_url, --train_url) with the script",
    ),
    _log_rule(
        r"Temporary failure in name resolution|Name or service not known",
        "name-unresolved",
        "a host name could not be resolved",
        "Check the name; in Kubernetes a peer's name exists only once its pod is ready",
    ),
    _log_rule(
        r"Network is unreachable|Failed to establish a new connection",
        "network-unreachable",
        "the network could not be reached",
        "Training nodes have no internet as a rule: use the platform's mirror (MA_PIP_URL for pip)",
    ),
    _log_rule(
        r"\.sh: Permission denied|Permission denied: '[^']*'|: Permission denied$",
        "permission-denied",
        "a file could not be used by this user",
        "Compare the uid with the file's owner and mode",
    ),
    _log_rule(
        r"\[Errno 2\] No such file or directory: '(?:obs|s3)://[^']*'|'(?:obs|s3):/[^']*'",
        "url-used-as-path",
        "an object store's URL was used where a local path is needed",
        "Have the data fetched (--input NAME=URL) and use the local path",
    ),
)


def _last_line(tail: str) -> str:
    lines = tail.rstrip().rsplit("\n", 1)
    return lines[-1].strip()[:300]
