"""One case of the matrix: what a job printed, how it ended, and what must be concluded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from bootstrap.diagnosis import Facts, Machine, Verdict, explain, lines_of
from bootstrap.job import Ending

GENERIC = frozenset({"command-failed", "ended-silently", "python-exception", "aborted", "killed-from-outside"})


class Score(str, Enum):
    RIGHT = "right"
    USELESS = "right, evidence useless"
    GENERIC = "generic"
    WRONG = "wrong"


@dataclass(frozen=True)
class Case:
    """``id`` is the cause, ``seen`` a part of the evidence that must be quoted. ``text`` is all that was printed."""

    name: str
    id: str
    text: str
    seen: str = ""
    status: int | None = 1
    signal: int | None = None
    rank: int | None = None
    in_ranks: bool = True

    @property
    def ending(self) -> Ending:
        return Ending(None if self.signal else self.status, self.signal)


def judge(case: Case, machine: Machine | None = None) -> tuple[Score, Verdict]:
    found = explain(Facts(case.ending, lines_of(case.text), machine or Machine("/nowhere")))
    return score(case, found), found


def score(case: Case, found: Verdict) -> Score:
    if found.id != case.id:
        return Score.GENERIC if found.id in GENERIC else Score.WRONG
    quoted = " ".join(str(one) for one in found.evidence)
    if case.seen not in quoted or (case.rank is not None and {one.rank for one in found.evidence} != {case.rank}):
        return Score.USELESS
    return Score.RIGHT


# --- the same in other company ----------------------------------------------------------------------------------------

BEFORE = """\
[2026-11-29 09:12:01,114] [INFO] [real_accelerator.py:203:get_accelerator] Setting ds_accelerator to cuda (auto detect)
/opt/conda/lib/python3.10/site-packages/torch/cuda/__init__.py:61: FutureWarning: The pynvml package is deprecated.
  import pynvml  # type: ignore[import]
ECC: enabled
2026-11-29 09:12:04 WARNING retrying the download of shard 3 (attempt 2 of 5): Connection reset by peer
Traceback (most recent call last):
  File "/job/data.py", line 31, in fetch
    answer = get(url)
ConnectionResetError: [Errno 104] Connection reset by peer
retrying in 2 s
NVRM: Xid (PCI:0000:3b:00): 13, pid=4711, name=python, Graphics SM Warp Exception on (GPC 0, TPC 1, SM 0): Out Of Range Address
sample 17: "cp: error writing 'x': No space left on device" -> label 3
epoch 1: loss 2.3026  lr 0.10000
"""
BEFORE += "".join(f"step {n}: loss {2.3 - n / 100:.4f} 412 samples/s\n" for n in range(100))
BEFORE += "\r".join(f" {n}%|{'#' * (n // 10):<10}| {n}/100 [00:{n // 2:02d}<00:10, 2.0it/s]" for n in range(100)) + "\n"
BEHIND = """\
wandb:
wandb: Run history:
wandb:  loss █▇▆▅▄▃▂▁
wandb: 🚀 View run eager-forest-7 at: https://wandb.ai/team/project/runs/1a2b3c
wandb: Find logs at: ./wandb/run-20261129_091201-1a2b3c/logs
/usr/lib/python3.10/multiprocessing/resource_tracker.py:224: UserWarning: resource_tracker: There appear to be 12 leaked \
semaphore objects to clean up at shutdown
  warnings.warn('resource_tracker: There appear to be %d '
=============================================
"""


def in_noise(case: Case) -> Case:
    return replace(case, name=f"{case.name}, in noise", text=f"{BEFORE}{case.text.rstrip()}\n{BEHIND}")


def of_four_ranks(case: Case, mark: str = "[rank{}]: ", failing: int = 2) -> Case:
    """Four ranks print at once: one the case, the others that they lost it; then torchrun tells of it."""
    other = (
        "Traceback (most recent call last):\n"
        '  File "/job/train.py", line 88, in <module>\n'
        "    dist.all_reduce(loss)\n"
        '  File "/opt/conda/lib/python3.10/site-packages/torch/distributed/distributed_c10d.py", line 2501, in all_reduce\n'
        "    work.wait()\n"
        "RuntimeError: [../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [10.0.0.7]:4711\n"
    )
    own = case.text.rstrip().split("\n")
    streams = [own if rank == failing else other.rstrip().split("\n") for rank in range(4)]
    lines = []
    for row in range(max(len(stream) for stream in streams)):
        lines += [mark.format(rank) + stream[row] for rank, stream in enumerate(streams) if row < len(stream)]
    code = -case.signal if case.signal else case.status
    told = (
        f"Signal {case.signal} (X) received by PID 77"
        if case.signal
        else "To enable traceback see: https://pytorch.org"
    )
    table = TABLE.format(failing, code, told)
    text = BEFORE + "\n".join(lines) + "\n" + table
    return replace(case, name=f"{case.name}, of four ranks", text=text, status=1, signal=None, rank=failing)


TABLE = """\
W1129 10:00:01.123000 140 torch/distributed/elastic/multiprocessing/api.py:897] Sending process 141 closing signal SIGTERM
E1129 10:00:01.456000 140 torch/distributed/elastic/multiprocessing/api.py:869] failed (exitcode: {1}) local_rank: {0} (pid: 143) of binary: /opt/conda/bin/python
Traceback (most recent call last):
  File "/opt/conda/bin/torchrun", line 8, in <module>
    sys.exit(main())
  File "/opt/conda/lib/python3.10/site-packages/torch/distributed/elastic/multiprocessing/errors/__init__.py", line 355, in wrapper
    return f(*args, **kwargs)
  File "/opt/conda/lib/python3.10/site-packages/torch/distributed/launcher/api.py", line 264, in launch_agent
    raise ChildFailedError(
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
train.py FAILED
------------------------------------------------------------
Failures:
  <NO_OTHER_FAILURES>
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  time      : 2026-11-29_10:00:01
  host      : worker-0
  rank      : {0} (local_rank: {0})
  exitcode  : {1} (pid: 143)
  error_file: <N/A>
  traceback : {2}
============================================================
"""
