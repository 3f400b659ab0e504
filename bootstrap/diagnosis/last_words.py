"""The last lines that say something, where nothing else does: without rulers, farewells, warnings and progress."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .text import HEADER, Line

_NOISE = re.compile(
    r"^\W*$"  # rulers
    r"|^\s*(?:wandb:(?: |$)|swanlab: |mlflow|View run |Synced \d|🏃|🧪|comet_ml|COMET |neptune)"
    r"|^\s*(?:warnings\.warn\(|\S+\.py:\d+: \w*Warning: |\w*Warning: |.*\bresource_tracker\b)"
    r"|^\s*\S*:?\s*\d+%\|"  # tqdm
    r"|^\s*(?:\[?\d{4}-\d\d-\d\d[^\]]*\]? *)?(?:\[|- |\| )?(?:INFO|DEBUG|TRACE)\b"
    r"|^[IW]\d{4} [\d:.]+ "
    r"|^\[[IW]\d{4} |^\[W\d* |^\[I\d* "
    r"|^\s*(?:Sending process \d+|Closing process|Killing subprocess|Root Cause|Failures:|<NO_OTHER_FAILURES>)"
    r"|^ {2}(?:time|host|rank|exitcode|error_file|traceback) *: "
    r"|^\[\d+\]:$|^Exception ignored in|^(?:Setting|Set) OMP_NUM_THREADS|.*destroy_process_group\(\) was not called"
    r"|^\s*(?:File \"|\^+$|~*\^+~*$)|^To enable traceback see:|^LAUNCH INFO|^make(?:\[\d+\])?: (?:Leaving|Entering)"
    r"|^\+ |^(?:Current thread|Thread) 0x|^Extension modules:|^\S+ FAILED$"
    r"|^(?:bye|goodbye|done|exiting|shutting down|cleaning up|cleanup|finished cleanup|closing)\b.{0,30}$",
    re.IGNORECASE,
)
_ERROR = re.compile(
    r"(?:error|errno|\bfatal\b|\bfail(?:s|ed|ure)?\b|cannot\b|\bcan't\b|could not|couldn't|unable to|exception|"
    r"abort|denied|^Killed|(?:was|been|got) killed|killed by"
    r"|not found|no such|refused|\bpanic|critical|invalid|missing|unexpected|does not|doesn't|not enough|exceeded|"
    r"in use|\bnan\b|time[sd] out"
    r"|traceback|out of memory|can not|rejected|corrupt|not supported|unsupported|\bOOM|expired|unreachable|"
    r"[Ee]rror code"
    r"|command not found|\w[a-z]NotFound\b|^curl: \(\d+\)|错误|失败|异常|无法|不存在)",
    re.IGNORECASE,
)
_SURVIVED = re.compile(
    r"(?:\bretry|\bretri|trying again|caught|recover|ignor|skipp|continu|falling back|fallback|attempt \d|handled|"
    r"warning\b|(?<!NCCL )\bwarn\b|NCCL WARN NET/Plugin"
    r"|\b(?:INFO|DEBUG)\b|will try|(?<![.\w])(?:sample|example)s?\b(?!\.)|e\.g\.|for instance|0 errors|no "
    r"errors?\b|error rate|errors: 0|"
    r"error=0)",
    re.IGNORECASE,
)

_DEALT_WITH = re.compile(r"(?i:\bretry|\bretri|trying again|\bcaught\b|\bignor|skipp|(?<!NCCL )\bwarn(?:ing)?\b)")


def is_noise(text: str) -> bool:
    return not text.strip() or bool(_NOISE.match(text))


def speaks_of_an_error(text: str) -> bool:
    """Whether a line by itself says that something went wrong, and not that it was overcome."""
    return bool(_ERROR.search(text)) and not _SURVIVED.search(text) and not text.endswith(HEADER)


def was_overcome(before: str, behind: str) -> bool:
    """Whether the lines around an error say that the program dealt with it."""
    return bool(_DEALT_WITH.search(before) or _SURVIVED.search(behind))


def quoted(text: str, start: int) -> bool:
    """Whether the place ``start`` in a line is inside quotation marks: something that is cited, not said."""
    before = text[:start]
    return before.count('"') % 2 == 1 or len(re.findall(r"(?:^|[\s(\[{=:,])'", before)) > len(
        re.findall(r"\S'(?:\W|$)", before)
    )


def meaningful(lines: Sequence[Line], most: int, rank: int | None = None) -> list[tuple[int, Line]]:
    """The last lines that are no noise, at most ``most``, with their places, in order. With ``rank``: of those that are
    marked as its own, if there are any.
    """
    if rank is not None and not any(line.rank == rank for line in lines):
        rank = None
    found: list[tuple[int, Line]] = []
    for place in range(len(lines) - 1, -1, -1):
        if (rank is None or lines[place].rank == rank) and not is_noise(lines[place].text):
            found.append((place, lines[place]))
            if len(found) == most:
                break
    return found[::-1]


def last_error(lines: Sequence[Line], within: int = 30, rank: int | None = None) -> Line | None:
    """The last line that speaks of an error, near the end."""
    for _, line in reversed(meaningful(lines, within, rank)):
        found = _ERROR.search(line.text)
        if found and speaks_of_an_error(line.text) and not quoted(line.text, found.start()):
            return line
    return None
