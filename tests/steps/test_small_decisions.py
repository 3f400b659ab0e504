"""What the steps decide by themselves, over values: empty outputs, what is read, what is bundled, who starts again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bootstrap.credentials.hardening import Hardening
from bootstrap.diagnosis import RetryAdvice
from bootstrap.errors import CommandNotFound, StoreUnavailable
from bootstrap.job import AskedBy, Ending
from bootstrap.process.supervise.oom_score import OomScore
from bootstrap.results import Decided, Found, Link, Seen
from bootstrap.run import Run
from bootstrap.shipping.evidence import MOST, EvidenceFile
from bootstrap.steps import deliver, evidence, explaining, launch, preflight, unlock
from tests.steps.test_decide import FAILURE, SUCCESS, WHY, decided, found, new_run, stopped_run

NOBODY = Link(None, None)
TRACEBACK = b'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n    x\nKeyError: 1\n'


def placed(tmp_path: Path, *, nodes: int = 1, **options: Any) -> Decided:
    made = decided(nodes=nodes, **options)
    log = tmp_path / "job.log"
    return replace(made, job=replace(made.job, run_dir=str(tmp_path), log_file=str(log), work_dir=str(tmp_path)))


# --- outputs with nothing in them ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "nodes", "required", "meaning"),
    [
        (SUCCESS, 1, False, "note"),
        (SUCCESS, 1, True, "failure"),
        (SUCCESS, 2, True, "fine"),  # this is the second, and the first writes the results
        (FAILURE, 1, True, "fine"),
    ],
)
def test_an_empty_output_is_worth_a_word_of_the_first_node_of_a_success(
    ending: Ending, nodes: int, required: bool, meaning: str
) -> None:
    job = decided(nodes=nodes, require_outputs=required)
    assert deliver.empty_is(job, Seen(ending, None, "direct")) == meaning


# --- whether a success left a traceback, and whether a failure is tried again ----------------------------------------


@pytest.mark.parametrize(
    ("log", "start", "unwritten", "told"),
    [
        (b"fine\n", 0, b"", False),
        (b"fine\n" + TRACEBACK, 0, b"", True),
        (TRACEBACK + b"fine\n", len(TRACEBACK), b"", False),  # an earlier life's
        (TRACEBACK + b"x" * 100_000, 0, b"", False),  # far from the end
        (b"fine\n", 0, TRACEBACK, True),  # which the disk did not take
        (TRACEBACK[:20], 0, TRACEBACK[20:], True),
        (None, 0, TRACEBACK, True),
        (None, 0, b"", False),
    ],
    ids=["fine", "its own", "an earlier life's", "far away", "unwritten", "half", "no log, unwritten", "no log"],
)
def test_a_success_is_explained_where_its_last_words_are_a_traceback(
    log: bytes | None, start: int, unwritten: bytes, told: bool, tmp_path: Path
) -> None:
    run, job = new_run(), placed(tmp_path)
    if log is not None:
        Path(job.job.log_file).write_bytes(log)
    if unwritten:
        run.unwritten.add(unwritten, "No space left on device")
    why = launch.why(run, job, NOBODY, replace(SUCCESS, log_start=start), {})
    assert (why is not None) == told
    if why is not None:
        assert "KeyError" in str(why.verdict.also_seen)
        assert launch.why(run, job, NOBODY, SUCCESS, {}, follows=True) is None, "the evidence is on node 0"


@pytest.mark.parametrize(
    ("text", "ending", "again"),
    [
        ("no luck\n", FAILURE, True),
        ("ModuleNotFoundError: No module named 'x'\n", FAILURE, False),
        ("no luck\n", replace(FAILURE, status=127), False),
        ("no luck\n", replace(FAILURE, asked_by=AskedBy.PLATFORM), False),
        ("", SUCCESS, False),
    ],
)
def test_what_another_life_cannot_cure_is_not_tried_again(
    text: str, ending: Ending, again: bool, tmp_path: Path
) -> None:
    run, job = new_run(), placed(tmp_path)
    Path(job.job.log_file).write_text(
        f'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n    x\n{text}'
    )
    assert launch._may_pass(run, job, NOBODY, {}, (), ending) == again
    found = launch.why(run, job, NOBODY, ending, {})
    hopeless = found is not None and found.verdict.retry is RetryAdvice.NO
    assert not (again and hopeless)


def test_the_record_has_how_the_command_ended_with_its_times() -> None:
    run = new_run()
    launch._tell_log(run, decided(), Seen(replace(SUCCESS, attempts=3, notes=("a note",)), None, "direct"))
    told = json.loads(run.record.text())
    assert (told["user"]["seconds"], told["user"]["attempts"], told["user"]["notes"]) == (12.0, 3, ["a note"])
    assert told["user"]["started"] < told["user"]["ended"] and told["diagnosis"] == launch._NOTHING_WRONG


# --- what lies beside the log ----------------------------------------------------------------------------------------


def files(count: int) -> tuple[EvidenceFile, ...]:
    return tuple(EvidenceFile(Path(f"/w/{number}"), str(number)) for number in range(count))


@pytest.mark.parametrize("count", [0, 3, MOST - 2, MOST + 20])
def test_samples_and_bundle_are_among_those_that_are_not_too_many(count: int, tmp_path: Path) -> None:
    job, run = placed(tmp_path, bundle="always"), new_run()
    (tmp_path / "samples.jsonl").touch()
    seen = Seen(FAILURE, WHY, "direct", evidence=files(count))
    names = [one.name for one in evidence.of_run(run, Found(job, None, None, None, seen), run.until(60.0))]
    before = min(count, MOST - 2)
    assert names[:before] == [str(number) for number in range(before)]
    assert names[before : before + 2] == ["samples.jsonl", "bundle.tgz"]
    assert names[before + 2 :] == [str(number) for number in range(before, count)]


@pytest.mark.parametrize(
    ("bundle", "run", "ending", "made"),
    [
        ("always", new_run(), SUCCESS, True),
        ("off", new_run(), FAILURE, False),
        ("on-failure", new_run(), FAILURE, True),
        ("on-failure", new_run(), SUCCESS, False),
        ("on-failure", new_run(), replace(FAILURE, asked_by=AskedBy.PLATFORM), False),
        ("on-failure", new_run(), replace(FAILURE, asked_by=AskedBy.USER), False),
        ("on-failure", new_run(), replace(FAILURE, asked_by=AskedBy.PEER), True),  # it has a part of it
        ("on-failure", new_run(), replace(FAILURE, asked_by=AskedBy.STALL), True),
        ("on-failure", new_run("fetch", StoreUnavailable("away")), None, True),
        ("on-failure", stopped_run(AskedBy.PLATFORM), None, False),
        ("on-failure", new_run(), None, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Run) else str(value)[:20],
)
def test_a_bundle_is_made_for_who_has_something_to_explain(
    bundle: str, run: Run, ending: Ending | None, made: bool, tmp_path: Path
) -> None:
    job = placed(tmp_path, bundle=bundle)
    bundled = explaining.bundled(run, found(job, ending, WHY), [], run.until(60.0))
    assert [one.name for one in bundled] == ["bundle.tgz"] * made


# --- checks before the start ------------------------------------------------------------------------------------------


def checked(tmp_path: Path, how: str, *command: str) -> Run:
    run, job = new_run(), placed(tmp_path, preflight=how)
    job = replace(job, job=replace(job.job, command=command, job_dir=str(tmp_path)))
    access = unlock.open_stores(run, job, {}, Hardening((0, 0), dumpable_off=False), OomScore())
    preflight.step(run, job, access)
    return run


@pytest.mark.parametrize("how", ["off", "quick", "full"])
def test_what_is_checked_in_full_is_in_the_record_and_nothing_else_is(how: str, tmp_path: Path) -> None:
    record = json.loads(checked(tmp_path, how, "no-such" if how != "full" else "/bin/true").record.text())
    found = {one["id"]: one["level"] for one in record.get("preflight", [])}
    assert found.get("command") == ("ok" if how == "full" else None)


def test_a_failure_ends_the_run_as_its_step_would_have(tmp_path: Path) -> None:
    with pytest.raises(CommandNotFound):
        checked(tmp_path, "full", "no-such-program")
