"""Each name that is made is read back as what it was made of, and no name is taken for one of another kind."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bootstrap.ground import log_names
from bootstrap.ground.log_names import AttemptDirectory, LogPart
from bootstrap.job import Cluster, Node, PlatformFacts

LOG = some.from_regex(r"[A-Za-z0-9 ._\-é]{1,12}(\.log|\.txt|\.attempt-7|\.tail-x)?", fullmatch=True)
NUMBER = some.integers(1, 10**6)
BYTES = some.integers(0, 10**17)


@given(LOG, NUMBER)
def test_what_is_set_aside_tells_of_which_attempt_it_is(name: str, attempt: int) -> None:
    assert log_names.attempt_of(log_names.of_attempt(name, attempt)) == (name, attempt)


@given(LOG, NUMBER, NUMBER)
def test_what_is_set_aside_twice_is_unwrapped_from_outside(name: str, first: int, second: int) -> None:
    once = log_names.of_attempt(name, first)
    assert log_names.attempt_of(log_names.of_attempt(once, second)) == (once, second)


@given(LOG, BYTES, NUMBER)
def test_a_segment_tells_where_it_begins_and_is_set_aside_as_its_log_is(log: str, offset: int, attempt: int) -> None:
    segment = log_names.tail(log, offset)
    assert log_names.tail_offset(log, segment) == offset
    aside = log_names.of_attempt(segment, attempt)
    assert log_names.tail_offset(log_names.of_attempt(log, attempt), aside) == offset
    assert log_names.attempt_of(aside) == (segment, attempt)
    assert log_names.tail_offset(log, log) is None and log_names.tail_offset(log + "x", segment) is None


@given(BYTES, BYTES)
def test_a_part_tells_its_range(start: int, end: int) -> None:
    part = LogPart(start, end)
    assert log_names.part_of(part.name) == part


@given(some.lists(some.integers(0, 10**16 - 1), min_size=2))
def test_parts_sort_by_name_as_they_do_by_their_range(ends: list[int]) -> None:
    parts = [LogPart(start, end) for start, end in pairwise(ends)]
    assert [part.name for part in sorted(parts)] == sorted(part.name for part in parts)


@given(LOG, some.integers(0, 5000), NUMBER, some.floats(0, 4e9), some.sampled_from([log_names.HEARTBEAT, "x/y", "1-2"]))
def test_an_attempts_directory_tells_whose_it_is(log: str, node: int, attempt: int, began: float, name: str) -> None:
    directory = AttemptDirectory.starting(log, node, attempt, began)
    assert log_names.directory_and_name(directory.path + name) == (directory, name)
    assert log_names.directory_and_name("node-3/" + directory.path + name) is not None


@given(some.integers(0, 5000), LOG)
def test_a_nodes_directory_tells_its_rank_and_node_0_has_none(rank: int, rest: str) -> None:
    found = log_names.node_and_rest(log_names.node_directory(rank) + rest)
    assert found == ((rank, rest) if rank else None)
    if rank:
        assert log_names.node_of_log(log_names.node_directory(rank) + "train.log") == rank


@given(LOG.filter(lambda name: name.strip(".")), NUMBER)
def test_names_beside_a_log_differ_from_it_and_from_each_other(log: str, number: int) -> None:
    made = [
        log,
        log_names.run_dir(log),
        log_names.lines(log),
        log_names.record(log),
        log_names.earlier(log, number),
        log_names.another(log, number),
        log_names.of_attempt(log, number),
        log_names.tail(log, number),
        AttemptDirectory.starting(log, 0, number, 0).path,
    ]
    assert len(set(made)) == len(made)


@given(some.text(max_size=30))
def test_no_text_is_refused_by_the_readers(text: str) -> None:
    for read in (log_names.attempt_of, log_names.node_and_rest, log_names.part_of, log_names.directory_and_name):
        read(text)
    log_names.tail_offset("a", text)
    assert log_names.node_of_log(text) >= 0


@pytest.mark.parametrize(
    ("name", "node"),
    [("dls-task-3.log", 3), ("bootstrap-worker-12.log", 12), ("job.log", 0), ("node-4/dls-task-1.log", 4)],
)
def test_the_platforms_names_tell_their_node(name: str, node: int) -> None:
    assert log_names.node_of_log(name) == node


def test_everything_beside_a_log_has_the_name_that_people_look_for() -> None:
    log = "/tmp/dls-task-0.log"
    assert log_names.run_dir(log) == "/tmp/dls-task-0.run"
    assert log_names.lines(log) == "/tmp/dls-task-0.jsonl"
    assert log_names.record(log) == "/tmp/dls-task-0.run.json"
    assert log_names.tail(log, 524288) == "/tmp/dls-task-0.log.tail-000000000524288"
    assert log_names.earlier(log, 1) == "/tmp/dls-task-0.earlier-1.log"
    assert log_names.another(log, 2) == "/tmp/dls-task-0-2.log"
    assert log_names.of_attempt(log, 3) == "/tmp/dls-task-0.attempt-3.log"
    assert log_names.of_attempt("dls-task-0.run.json", 3) == "dls-task-0.run.attempt-3.json"
    assert AttemptDirectory("a.log", 2, 3, "19700101T000000Z").path == "a.log.parts/node-2.attempt-3.19700101T000000Z/"
    assert (LogPart(0, 4096).name, LogPart(1, 4096).size) == ("0000000000000000-0000000000004096", 4095)


def test_a_part_is_the_same_however_often_it_was_written_again() -> None:
    assert LogPart(0, 9, merges=2) == LogPart(0, 9) != LogPart(0, 8)
    assert LogPart(0, 9) < LogPart(1, 2)


@pytest.mark.parametrize(("rank", "apart", "own"), [(0, "", ""), (0, "task-1/", "task-1/"), (2, "task-1/", "node-2/")])
def test_a_node_has_its_place_by_its_rank_before_what_sets_it_apart(rank: int, apart: str, own: str) -> None:
    cluster = Cluster(tuple(Node(number, "") for number in range(3)), rank)
    assert log_names.own_directory(PlatformFacts("local", "", cluster=cluster, apart=apart)) == own


@pytest.mark.parametrize("name", ["node-0/a.log", "node-01/a.log", "node-1", "xnode-1/a.log", "node--1/a.log"])
def test_what_is_no_nodes_directory_is_none(name: str) -> None:
    assert log_names.node_and_rest(name) is None


def test_nobody_else_spells_them() -> None:
    spelled = re.compile(r"\.tail-|\.attempt-\{|\.parts/|\"node-\{|f\"node-|heartbeat\.json\"|\.earlier-\{|\.jsonl\"")
    package = Path(log_names.__file__).parents[1]
    others = [path for path in package.rglob("*.py") if path.name != "log_names.py"]
    assert not [
        f"{path.relative_to(package)}:{number}"
        for path in others
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if spelled.search(line) and "simulate" not in path.name
    ]
