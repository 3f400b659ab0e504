"""Engines tell in their own ways which rank failed first."""

from __future__ import annotations

from datetime import datetime

import pytest

from bootstrap.diagnosis.engines import RankFailure, root_cause
from bootstrap.diagnosis.text import lines_of
from bootstrap.launchers.per_device import failed_first

REPORT = """[W] noise
============================================================
train.py FAILED
------------------------------------------------------------
Failures:
[1]:
  time      : 2026-11-22_00:00:01
  host      : node-1
  rank      : 3 (local_rank: 1)
  exitcode  : -15 (pid: 12)
  error_file: <N/A>
  traceback : Signal 15 (SIGTERM) received by PID 12
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  time      : 2026-11-22_00:00:00
  host      : node-0
  rank      : 2 (local_rank: 0)
  exitcode  : 3 (pid: 11)
  error_file: /tmp/x/error.json
  traceback : Traceback (most recent call last):
    File "train.py", line 3, in main
      raise ValueError("loss is nan")
  ValueError: loss is nan

============================================================
"""


def test_the_first_failing_rank_is_read_from_torchruns_report() -> None:
    found = root_cause(lines_of(REPORT))
    assert found is not None
    assert (found.rank, found.exit_code) == (2, 3)
    assert found.error_file == "/tmp/x/error.json"
    assert found.traceback.rstrip().endswith("ValueError: loss is nan")


def test_a_report_without_a_traceback_or_no_report_is_no_trouble() -> None:
    plain = REPORT.split("  error_file: /tmp")[0] + "  error_file: <N/A>\n  traceback : To enable traceback see: x\n"
    assert root_cause(lines_of(plain)) == RankFailure(2, 3)
    assert root_cause(lines_of("nothing of the sort")) is None
    assert root_cause(lines_of("Root Cause (first observed failure):\n[0]:\n  rank      : cut")) is None


RAISED = "Traceback (most recent call last):\n  File 'train.py', line 7, in <module>\nValueError: no\n"
AT = datetime(2026, 11, 22, 3, 44, 41, 916_000).timestamp()


@pytest.mark.parametrize(
    ("report", "at"),
    [
        (
            "LAUNCH ERROR 2026-11-22 03:44:41,916 Container failed !!!\n"
            "Container rank 1 status failed cmd ['python', '-u', 'train.py'] code -9 log log/workerlog.1\n" + RAISED,
            AT,
        ),
        (
            "".join(f"[rank17]: {line}" for line in RAISED.splitlines(keepends=True))
            + "[rank16]: Traceback (most recent call last):\n[rank16]: OSError: connection lost\n"
            "[2026-11-22 03:44:41,916] [ERROR] [launch.py:259:sigkill_handler] "
            "['python', '-u', 'train.py', '--local_rank=1', '--lr'] exits with return code = -9\n",
            AT,
        ),
        (RAISED + "rank 17 failed first, with -9; ending the others\n", 0),
        (RAISED + f"{'-' * 74}\n\n  Process name: [[29179,1],17]\n  Exit code:    -9\n{'-' * 74}\n", 0),
        (RAISED + "mpirun noticed that process rank 17 with PID 0 on node b exited on signal 9 (Killed).\n", 0),
    ],
    ids=["paddle", "deepspeed", "ascend", "mpirun", "mpirun, a signal"],
)
def test_the_first_failing_rank_is_read_from_one_line_of_other_engines(report: str, at: float) -> None:
    found = root_cause(lines_of(f"epoch 1\n{report}"), first_rank=16)
    assert found == RankFailure(17, -9, traceback=RAISED.rstrip(), at=pytest.approx(at))


def test_our_own_line_for_ascend_is_read_as_it_is_written() -> None:
    assert root_cause(lines_of(failed_first(3, -9))) == RankFailure(3, -9)
