"""Which files tell more of an end than the log: in which order, by which names, and that they are this run's."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from bootstrap.diagnosis import Diagnosis, RankFailure, WorkerFile
from bootstrap.launchers.plan import RECORDINGS
from bootstrap.results import Decided
from bootstrap.steps import evidence
from tests.steps.test_decide import WHY, decided, new_run


def placed(tmp_path: Path) -> Decided:
    made = decided()
    return replace(made, job=replace(made.job, run_dir=str(tmp_path)))


def named(tmp_path: Path, found: Diagnosis | None, **environ: str) -> list[str]:
    return [one.name for one in evidence.of_command(new_run(), placed(tmp_path), environ, found)]


def worker(rank: int, path: str) -> WorkerFile:
    return WorkerFile(path, rank, 0.0)


def test_the_stacks_come_first_then_the_rank_that_failed_and_the_others_in_their_order(tmp_path: Path) -> None:
    (tmp_path / evidence.STALL_FILE).touch()
    workers = tuple(worker(rank, f"/w/{rank}/stderr.log") for rank in (10, 2, 5))
    found = replace(WHY, rank=RankFailure(5, 1), workers=workers)
    ranks = [f"rank-{rank}.stderr.log" for rank in (5, 2, 10)]
    assert named(tmp_path, found) == [evidence.STALL_FILE, *ranks]
    assert named(tmp_path, replace(found, rank=None))[1:] == [f"rank-{rank}.stderr.log" for rank in (2, 5, 10)]


def test_files_of_one_name_are_numbered(tmp_path: Path) -> None:
    lives = replace(WHY, workers=tuple(worker(1, f"/w/attempt_{life}/1/stderr.log") for life in range(3)))
    assert named(tmp_path, lives) == ["rank-1.stderr.log", "2.rank-1.stderr.log", "3.rank-1.stderr.log"]


def test_recordings_are_in_the_order_of_their_ranks_and_an_earlier_runs_are_not_among_them(tmp_path: Path) -> None:
    for name in ("trace_10", "trace_2", "trace_0", "trace_x", "trace_1.old", "other_1", "trace_1"):
        (tmp_path / name).touch()
    os.utime(tmp_path / "trace_1", (1, 1))
    environ = {RECORDINGS[1]: f"{tmp_path}/trace_", RECORDINGS[0]: ""}
    assert named(tmp_path, None, **environ) == ["trace_0.pickle", "trace_2.pickle", "trace_10.pickle"]
    first = {**environ, RECORDINGS[0]: f"{tmp_path}/other_"}
    assert named(tmp_path, None, **first) == ["other_1.pickle"], "the first of the two names counts"
    assert named(tmp_path, None, **{RECORDINGS[0]: f"{tmp_path}/absent/trace_"}) == []
