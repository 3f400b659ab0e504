"""Whose failure was the first: by when it happened, not by when it was heard."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from bootstrap.diagnosis import Diagnosis, RankFailure, RetryAdvice, Verdict
from bootstrap.diagnosis.verdict import Confidence, Fault, Kind
from bootstrap.job import AskedBy, Cluster, Ending, Node
from bootstrap.peers import first_failure
from bootstrap.peers.session import NodeFailure
from bootstrap.reporting.language import Words

NOW = 1_700_000_000.0


def told(rank: int, heard: float, **facts: object) -> NodeFailure:
    return NodeFailure(rank, f"worker-{rank}", False, {"exit_code": 1, **facts}, NOW + heard)


def lost(rank: int, heard: float) -> NodeFailure:
    return NodeFailure(rank, f"worker-{rank}", True, {}, NOW + heard)


@pytest.mark.parametrize(
    "news, first, at",
    [
        ([told(1, 1.0, at=NOW + 0.9), told(2, 2.0, at=NOW + 0.1)], 2, 0.1),  # the earlier one is heard later
        ([told(1, 1.0, at=NOW + 0.1), told(2, 2.0, at=NOW + 0.9)], 1, 0.1),
        ([told(1, 3.0), told(2, 2.0)], 2, 2.0),  # nobody says when: the one that was heard first
        ([lost(1, 0.5), told(2, 2.0, at=NOW + 0.1)], 2, 0.1),  # one that is gone failed when that was noticed, at most
        ([lost(1, 0.5), told(2, 2.0, at=NOW + 0.7)], 1, 0.5),
        ([told(3, 5.0, at=NOW + 1), told(1, 5.0, at=NOW + 1), told(2, 4.0, at=NOW + 1)], 3, 1.0),  # at once: as told
    ],
)
def test_the_earliest_failure_is_the_first_whenever_it_is_heard(news: list[NodeFailure], first: int, at: float) -> None:
    found = first_failure.of(news)
    assert found is not None
    assert found["node"] == first
    assert datetime.fromisoformat(found["at"]).timestamp() == pytest.approx(NOW + at)


def test_no_news_is_no_failure() -> None:
    assert first_failure.of([]) is None


# --- what a node tells of its own command --------------------------------------------------------------------------

FOUR_OF_TWO = Cluster(tuple(Node(rank, f"worker-{rank}") for rank in range(4)), 1, 2)
ENDED = Ending(1, ended=NOW + 3)
VERDICT = Verdict("value-error", Kind.PROGRAM, RetryAdvice.NO, Fault.YOURS, Confidence.SAID, Words("a wrong value", ""))
WHY = Diagnosis(VERDICT)
SAID = RankFailure(5, -9, "/tmp/error.json", "Traceback\nValueError: told", NOW + 1)


def of_command(
    ending: Ending = ENDED,
    found: Diagnosis | None = WHY,
    cluster: Cluster = FOUR_OF_TWO,
    launcher: str = "direct",
    follows: bool = False,
) -> dict[str, object]:
    return first_failure.of_command(ending, found, cluster=cluster, launcher=launcher, follows=follows)


def test_a_node_that_did_not_fail_by_itself_has_nothing_to_tell() -> None:
    by_peer = replace(ENDED, asked_by=AskedBy.PEER)
    assert of_command(found=None) == {}
    assert of_command(replace(ENDED, status=0)) == {}
    assert of_command(follows=True) == {}
    assert of_command(by_peer) == {}
    assert of_command(by_peer, Diagnosis(VERDICT, SAID))["rank"] == 5  # its own rank had failed by then
    assert of_command(replace(ENDED, asked_by=AskedBy.PLATFORM))["exit_code"] == 1


def test_when_a_rank_failed_counts_and_not_when_its_node_ended() -> None:
    assert of_command()["at"] == NOW + 3
    assert of_command(found=Diagnosis(VERDICT, SAID))["at"] == NOW + 1
    assert of_command(found=Diagnosis(VERDICT, replace(SAID, at=0.0)))["at"] == NOW + 3


def test_the_ranks_own_words_are_told() -> None:
    facts = of_command(found=Diagnosis(VERDICT, SAID, "Traceback\nOSError: of another rank"))
    assert (facts["rank"], facts["rank_exit_code"], facts["exit_code"]) == (5, -9, 1)
    assert (facts["error_file"], facts["traceback"]) == ("/tmp/error.json", "Traceback\nValueError: told")
    silent = of_command(found=Diagnosis(VERDICT, RankFailure(5, -9), "Traceback\nOSError: of another rank"))
    assert "error_file" not in silent and "traceback" not in silent


def test_a_node_that_runs_all_ranks_tells_whose_each_is_and_the_others_only_of_themselves() -> None:
    def place(rank: int, launcher: str, cluster: Cluster = FOUR_OF_TWO) -> tuple[object, object]:
        facts = of_command(found=Diagnosis(VERDICT, replace(SAID, rank=rank)), launcher=launcher, cluster=cluster)
        return facts.get("node"), facts.get("host")

    assert [place(rank, "mpi")[0] for rank in (0, 1, 2, 5, 7)] == [0, 0, 1, 2, 3]
    assert place(5, "mpi") == (2, "worker-2")
    assert place(8, "mpi") == (None, None)  # more ranks than places
    assert place(3, "mpi", replace(FOUR_OF_TWO, slots=0)) == (3, "worker-3")
    assert place(5, "torchrun") == (None, None)


@pytest.mark.parametrize(
    ("slots", "launcher", "rank"),
    [(0, "direct", 1), (1, "torchrun", 1), (2, "direct", None), (1, "mpi", None), (1, "ray", None)],
)
def test_with_one_process_a_node_the_node_is_the_rank(slots: int, launcher: str, rank: int | None) -> None:
    cluster = replace(FOUR_OF_TWO, slots=slots)
    assert of_command(cluster=cluster, launcher=launcher).get("rank") == rank
    if rank is not None:
        assert of_command(cluster=cluster, launcher=launcher)["rank_exit_code"] == 1
        killed = replace(ENDED, status=None, signal=9)
        facts = of_command(killed, cluster=cluster, launcher=launcher)
        assert (facts["rank_exit_code"], facts["exit_code"]) == (-9, 137)


def test_of_a_long_traceback_its_end_is_told() -> None:
    long = "\n".join(f"line {number}" for number in range(2000)) + "\nValueError: the end"
    for facts in (
        of_command(found=Diagnosis(VERDICT, None, long)),
        of_command(found=Diagnosis(VERDICT, replace(SAID, traceback=long))),
    ):
        assert facts["traceback"] == long[-4000:]


# --- what is made of it ----------------------------------------------------------------------------------------------


def test_what_a_node_said_is_kept_beside_who_it_was() -> None:
    found = first_failure.of(
        [NodeFailure(2, "worker-2", False, {"at": NOW + 0.5, "rank": 5, "traceback": "x", "zone": "b"})]
    )
    assert found is not None
    assert {name: found[name] for name in found if name != "at"} == {
        "node": 2, "host": "worker-2", "lost": False, "rank": 5, "traceback": "x", "zone": "b",
    }  # fmt: skip


def test_a_rank_of_another_node_is_told_with_its_own_place() -> None:
    found = first_failure.of([told(0, 1.0, node=2, host="worker-2")])
    assert found is not None and (found["node"], found["host"]) == (2, "worker-2")


def test_alone_it_is_this_node_at_the_moment_it_tells() -> None:
    found = first_failure.alone(FOUR_OF_TWO, {"at": NOW + 3, "exit_code": 1})
    assert (found["node"], found["lost"], found["exit_code"]) == (1, False, 1)
    assert datetime.fromisoformat(found["at"]).timestamp() == pytest.approx(NOW + 3)
    assert "at" in first_failure.alone(FOUR_OF_TWO, {"step": "fetch"})


@pytest.mark.parametrize(
    ("facts", "end"),
    [
        ({"lost": True}, "node 2 (worker-2), which is gone without a word"),
        ({"step": "fetch", "why": "no data"}, "node 2 (worker-2), in its step fetch: no data"),
        ({"step": "fetch"}, "node 2 (worker-2), in its step fetch: it did not say why"),
        ({"exit_code": 3}, "node 2 (worker-2), with exit code 3"),
        ({"exit_code": 1, "rank": 5, "rank_exit_code": -9}, "rank 5 on node 2 (worker-2), with signal 9"),
        ({"exit_code": 1, "rank": 0, "rank_exit_code": 0}, "rank 0 on node 2 (worker-2), with exit code 0"),
        (
            {"exit_code": 1, "traceback": "T\n  File x\nValueError: a\n"},
            "node 2 (worker-2), with exit code 1: ValueError: a",
        ),
        ({"traceback": "ValueError: a"}, "node 2 (worker-2): ValueError: a"),
        ({}, "node 2 (worker-2)"),
    ],
)
def test_one_sentence_says_who_and_how(facts: dict[str, object], end: str) -> None:
    assert (
        first_failure.words({"node": 2, "host": "worker-2", "lost": False, **facts}) == f"The first to fail was {end}"
    )
