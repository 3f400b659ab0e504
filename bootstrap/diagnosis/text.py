"""The end of a log as a person sees it: lines, each with the rank that wrote it.

What is thrown away before anybody looks: everything that a carriage return has overwritten, control sequences, the
bytes of earlier lives. The window is counted in what is left, so that a progress bar cannot push a traceback out of
it. What is read is bounded at both ends: :data:`WINDOW` bytes of text, out of at most :data:`READ` bytes of the file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from ..ground.safe_files import open_named
from ..values import dataclass
from .structured import said_by

WINDOW = 256 << 10
"""Bytes of text, cleaned, that are looked at."""
READ = 4 << 20
"""Bytes of the log's end that are read for them, at most."""
_PIECE = 512 << 10
LONGEST_LINE = 4000
"""Characters of one line that are looked at; a longer one is cut in its middle, with a mark."""

HEADER = "Traceback (most recent call last):"
CUT = " [...] "


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its rank's mark; ``rank`` is None where it has none. ``file`` and ``number`` tell where it
    stands, for a line of another file than the log.
    """

    text: str
    rank: int | None = None
    file: str = ""
    number: int | None = None


# CSI, OSC and two-character escapes; then what else is no text
_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
_CONTROLS = bytes({*range(32), 127} - {*b"\t\n\r"})
_OVERWRITTEN = re.compile(rb".*\r(?=[^:'])")  # a quote or colon behind it: a file name of DOS, not a new state
# A rank's mark at the front of a line. Each has the rank in its last group.
_MARKS = re.compile(
    r"(?:\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,]?\d*(?:Z|[+-]\d\d:?\d\d)?\s(?=\[|Traceback|  |\w+(?:\.\w+)*(?:Error|"
    r"Exception)\b))"
    r"|\[rank(?P<torch>\d+)\]:[ ]?"  # PyTorch's excepthook and logs
    r"|\[(?:rank|Rank|RANK)[ :]+(?P<lightning>\d+)\][ ]?"
    r"|\[[A-Za-z][A-Za-z_-]*?(?P<tee>\d+)\]:"  # torchrun --tee: the role and the rank
    r"|(?:\w{3} \w{3} +\d+ [\d:]+ \d+)?\[(?:[\w.@-]+@)?\d+,(?P<mpi>\d+)\]<(?:stdout|stderr|std\w+)>: ?"  # --tag-output
    r"|\S*\bworker_(?P<msrun>\d+)\.log[:-]\d+[:-]"  # msrun shows what it found in its workers' files, as grep does
    r"|\S*\bworkerlog\.(?P<paddle>\d+)[:-](?:\d+[:-])?\s?"
    r"|\((?:[\w.]+(?:\(.*?\))? )?pid=(?:\d+)(?:, ip=[\d.]+)?\) ?"  # Ray, which names processes
)
_LEARNT = re.compile(rf"^(?P<mark>\S.{{0,80}}?[:>|\])] ?){re.escape(HEADER)}$")


def read_end(path: str, start: int = 0, behind: bytes = b"") -> list[Line]:
    """The last lines of the file that come after its byte ``start``, and ``behind`` them what its disk did not take.

    A file that cannot be read has none.
    """
    try:
        with open(open_named(path, os.O_RDONLY), "rb") as file:
            return lines_of(end_of(file, start, behind=behind))
    except OSError:
        return lines_of(clean(behind)[-WINDOW:].decode(errors="replace")) if behind else []


def end_of(file: BinaryIO, start: int = 0, window: int = WINDOW, most: int = READ, behind: bytes = b"") -> str:
    """The last ``window`` bytes of clean text after the byte ``start``, with what is ``behind`` the file, of at most
    ``most`` bytes that are read.
    """
    end = os.fstat(file.fileno()).st_size
    first = max(0, min(start, end), end - most)
    raw, cleaned = behind, clean(behind)
    at = end
    while at > first and len(cleaned) < window:
        size = min(max(_PIECE, len(raw)), at - first)  # twice as much each time: the work stays linear
        at -= size
        file.seek(at)
        raw = file.read(size) + raw
        cleaned = clean(raw)
    if at > start:  # the first line is the rest of one
        cleaned = cleaned.partition(b"\n")[2] or cleaned
    if len(cleaned) > window:
        cleaned = cleaned[-window:].partition(b"\n")[2]
    return cleaned.decode(errors="replace")


def clean(data: bytes) -> bytes:
    """``data`` without control sequences and without what a carriage return has overwritten."""
    if b"\x1b" in data:
        data = _ESCAPES.sub(b"", data)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
        data = b"\n".join([_last_state(line) if b"\r" in line else line for line in data.split(b"\n")])
    return data.translate(None, _CONTROLS)


def _last_state(line: bytes) -> bytes:
    found = _OVERWRITTEN.match(line)
    return (line[found.end() :] if found else line).replace(b"\r", b"\\r")


def lines_of(text: str, rank: int | None = None) -> list[Line]:
    """Lines with their ranks, for text that is clean. ``rank`` is whose text it is, where that is known. An error of a
    structured log is the lines that are in it.

    Launchers that put a host's name in front of each line (pdsh, srun -l) are recognised by what stands in front of
    the header of a traceback.
    """
    lines = text.split("\n")
    learnt = _learn(lines)
    found = []
    for text in lines:
        line = _line(text, rank, learnt)
        said = said_by(text if text.startswith("{") else line.text)  # whole: a traceback in it is long
        found += [Line(each, line.rank) for each in said] or [line]
    return found


def _learn(lines: Iterable[str]) -> list[re.Pattern[str]]:
    """Marks of the form of those in front of a header, with other numbers as well: the others' lines have them, too. A
    mark with one short number has the rank in it.
    """
    marks: dict[str, re.Pattern[str]] = {}
    for line in lines:
        if line.endswith(HEADER) and len(line) > len(HEADER) and (found := _LEARNT.match(line)):
            mark = found["mark"]
            if not _MARKS.match(mark) and "%|" not in mark:
                form = re.sub(r"\d+", r"\\d+", re.escape(mark.rstrip()))
                if len(re.findall(r"\d{1,5}", mark)) == 1:
                    form = form.replace(r"\d+", r"(\d+)")
                marks.setdefault(form, re.compile(form + (r"(?: |$)" if mark.endswith(" ") else "")))
    return list(marks.values())


def _line(text: str, rank: int | None, learnt: Sequence[re.Pattern[str]]) -> Line:
    if len(text) > LONGEST_LINE:
        text = text[: LONGEST_LINE // 2] + CUT + text[-LONGEST_LINE // 2 :]
    for mark in learnt:
        if of_mark := mark.match(text):
            text, rank = text[of_mark.end() :], int(of_mark[1]) if mark.groups else rank
            break
    for _ in range(3):  # torchrun's mark in front of PyTorch's
        if not text or text[0] not in "[(0123456789/.abcdefghijklmnopqrstuvwxyzMTWFS":
            break
        found = _MARKS.match(text)
        if found is None:
            break
        text = text[found.end() :]
        if found.lastgroup:
            rank = int(found[found.lastgroup])
    return Line(text.rstrip(), rank)
