"""Why it ended: the evidence is chosen, then rules say what it means, whether to try again and whose it is.

From below: :mod:`.text` (the log's end as lines with ranks), :mod:`.workers` (the files of single processes, as the
same), :mod:`.blocks` (what belongs together in it), :mod:`.engines` (the rank that an engine names), :mod:`.rules` (one
table: what blocks mean), :mod:`.choice` (which block is the cause), :mod:`.explain` (the verdict). :mod:`.verdict` is
what comes out.
"""

from .engines import RankFailure
from .explain import Diagnosis, Facts, diagnose, explain
from .machine import Machine
from .text import Line, lines_of, read_end
from .verdict import Evidence, RetryAdvice, Verdict
from .workers import Places, WorkerFile
from .workers import find as find_workers

__all__ = [
    "Diagnosis", "Evidence", "Facts", "Line", "Machine", "Places", "RankFailure", "RetryAdvice", "Verdict",
    "WorkerFile",
    "diagnose", "explain", "find_workers", "lines_of", "read_end",
]  # fmt: skip
