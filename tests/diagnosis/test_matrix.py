"""The matrix of causes: each is named, with evidence that helps, alone, in noise, and by one of four ranks at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from .case import Case, Score, in_noise, judge, of_four_ranks
from .provoked import PROVOKED, Provoked, is_there, run
from .wordings import CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_cause_is_named_by_what_was_said(case: Case) -> None:
    made, found = judge(case)
    assert made is Score.RIGHT, f"{found.id}: {found}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_cause_is_named_among_noise(case: Case) -> None:
    made, found = judge(in_noise(case))
    assert made is Score.RIGHT, f"{found.id}: {found}"


@pytest.mark.parametrize("mark", ["[rank{}]: ", "[default{}]:", "[1,{}]<stderr>:"])
@pytest.mark.parametrize("case", [case for case in CASES if case.in_ranks], ids=lambda case: case.name)
def test_a_cause_is_named_by_one_of_four_ranks(case: Case, mark: str) -> None:
    made, found = judge(of_four_ranks(case, mark))
    assert made is Score.RIGHT, f"{found.id}: {found}"


@pytest.mark.parametrize("case", PROVOKED, ids=lambda case: case.name)
def test_a_cause_that_is_provoked_is_named(case: Provoked, tmp_path: Path) -> None:
    if not is_there(case.needs):
        pytest.skip(f"lab: no {case.needs} here to provoke it with")
    made, found = run(case, tmp_path)
    assert made is Score.RIGHT, f"{found.id}: {found}\n{(tmp_path / 'log.txt').read_text(errors='replace')[-2000:]}"


def test_no_name_is_used_twice() -> None:
    for names in ([case.name for case in CASES], [case.name for case in PROVOKED]):
        assert [name for name in names if names.count(name) > 1] == []
