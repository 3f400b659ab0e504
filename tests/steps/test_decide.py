"""One exit code out of two results: which of the things that went wrong it is, where there are several."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from typing import Any

import pytest

from bootstrap.diagnosis import Diagnosis, Evidence, RetryAdvice, Verdict
from bootstrap.diagnosis.verdict import Confidence, Fault, Kind
from bootstrap.errors import BootstrapError, CredentialsExpired, NothingThere, PeersMissing, StoreUnavailable
from bootstrap.job import AskedBy, Cluster, Ending, Job, Node, Output, PlatformFacts
from bootstrap.outputs.delivery import Delivery, Undelivered
from bootstrap.process.stop.signals import Signals
from bootstrap.reporting.language import Words
from bootstrap.results import Asked, Decided, Found, Seen
from bootstrap.run import CodeUnavailable, Run
from bootstrap.settings import resolve
from bootstrap.steps.conclude import Outcome, decide, own_code, own_facts, settle
from bootstrap.storage.report import Report
from bootstrap.storage.schemes import parse
from bootstrap.variables import read

WHOLE, PART = Report("/j/out", files=1), Report("/j/out", failed=(("a", "gone"),))
OUT, MORE = Output("/j/out", "s3://bucket/out/", "--output"), Output("/j/more", "s3://bucket/more/", "--output")
SYNCED = Output("/j/synced", "s3://bucket/synced/", "MA_OUTPUTS", by_platform=True)
SUCCESS, FAILURE = Ending(0, started=10.0, ended=22.0), Ending(7, ended=22.0)
ASKED_BY_PEER = replace(FAILURE, status=None, signal=signal.SIGTERM, asked_by=AskedBy.PEER)
WHY = Diagnosis(
    Verdict("value-error", Kind.PROGRAM, RetryAdvice.NO, Fault.YOURS, Confidence.SAID, Words("a wrong value", "值错误"))
)
TRACE = replace(WHY, verdict=replace(WHY.verdict, id="success", also_seen=(Evidence("ValueError: lost"),)))
LOST = {"node": 2, "host": "worker-2", "lost": True}
TOLD = {"node": 2, "host": "worker-2", "lost": False, "rank": 5, "rank_exit_code": 3}


def decided(*outputs: Output, nodes: int = 1, slots: int = 1, **options: Any) -> Decided:
    cluster = Cluster(tuple(Node(rank, f"worker-{rank}") for rank in range(nodes)), nodes - 1, slots)
    job = Job(PlatformFacts("local", "", cluster=cluster), ("train",), "/j", "/j", "/j.run", "/j.log", outputs=outputs)
    return Decided(Asked(options, ("train",), {}, read({})), resolve(options, {}, {}), job)


def found(what: Decided | None, ending: Ending | None = None, why: Diagnosis | None = None, **seen: Any) -> Found:
    return Found(what, None, None, None, None if ending is None else Seen(ending, why, "direct", **seen))


def new_run(step: str = "", error: Exception | None = None) -> Run:
    run = Run(Signals())
    if error is not None:
        run.failed(step, error)
    return run


def stopped_run(by: AskedBy, number: int | None = None) -> Run:
    run = new_run()
    run.signals.asked_by, run.signals.first, run.signals.why = by, number, "somebody wanted it"
    run.stopped("fetch")
    return run


def delivery(output: Output, report: Report | None = WHOLE, error: BootstrapError | None = None) -> Delivery:
    left = (Undelivered("a", 1, "gone", False),) if report is PART else ()
    return Delivery(output, parse(output.url), report, error, left)


def code_and_id(outcome: Outcome) -> tuple[int, str]:
    return outcome.exit_code, outcome.id


# --- after the command -----------------------------------------------------------------------------------------------


def test_the_commands_failure_wins_over_ours_and_over_what_is_undelivered() -> None:
    run = new_run("deliver", StoreUnavailable("the store is away"))
    job = decided(OUT, code_failure_exit="99", require_outputs=True)
    assert code_and_id(decide(run, found(job, FAILURE, WHY), [])) == (7, "value-error")


def test_our_failure_behind_a_success_wins_over_what_is_undelivered() -> None:
    run = new_run("deliver", NothingThere("no place"))
    outcome = decide(run, found(decided(OUT), SUCCESS), [delivery(OUT, None, StoreUnavailable("away"))])
    assert code_and_id(outcome) == (NothingThere.code, NothingThere.id)
    assert outcome.reason.startswith("the command succeeded, but deliver failed: no place")
    assert outcome.words == "the command succeeded, but deliver failed, as said above"


def test_what_is_undelivered_wins_over_what_was_cut_short() -> None:
    ending = replace(SUCCESS, cut_short=("saver (pid 7)",))
    assert code_and_id(decide(new_run(), found(decided(OUT), ending), [])) == (206, "outputs-undelivered")
    assert code_and_id(decide(new_run(), found(decided(OUT), ending), [delivery(OUT)])) == (120, "processes-cut-short")


def test_processes_that_were_cut_short_cost_outputs_only() -> None:
    ending = replace(SUCCESS, cut_short=("saver (pid 7)", "writer (pid 8)"))
    assert code_and_id(decide(new_run(), found(decided(), ending), [])) == (0, "success")
    allowed = decided(OUT, allow_undelivered=True)
    assert code_and_id(decide(new_run(), found(allowed, ending), [delivery(OUT)])) == (0, "success")
    told = decide(new_run(), found(decided(OUT, MORE), ending), [delivery(OUT), delivery(MORE)]).reason
    assert "/j/out, /j/more" in told and "saver (pid 7), writer (pid 8)" in told


@pytest.mark.parametrize("deliveries", [[], [delivery(OUT, PART)], [delivery(OUT, None, StoreUnavailable("away"))]])
def test_undelivered_outputs_fail_a_success_unless_they_may(deliveries: list[Delivery]) -> None:
    assert code_and_id(decide(new_run(), found(decided(OUT), SUCCESS), deliveries)) == (206, "outputs-undelivered")
    allowed = decided(OUT, allow_undelivered=True)
    assert code_and_id(decide(new_run(), found(allowed, SUCCESS), deliveries)) == (0, "success")


def test_of_two_outputs_the_one_that_is_missing_is_named_and_the_platforms_own_is_not_ours() -> None:
    one = decide(new_run(), found(decided(OUT, MORE, SYNCED), SUCCESS), [delivery(OUT), delivery(MORE, PART)])
    assert one.exit_code == 206 and "/j/more -> s3://bucket/more/" in one.reason
    assert "/j/out" not in one.reason and "/j/synced" not in one.reason
    both = decide(new_run(), found(decided(OUT, MORE), SUCCESS), [])
    assert (
        "/j/out -> s3://bucket/out/, /j/more -> s3://bucket/more/" in both.reason and "the time was up" in both.reason
    )
    assert decide(new_run(), found(decided(SYNCED), SUCCESS), []).exit_code == 0


@pytest.mark.parametrize(("names", "words"), [("a", "1 file failed"), ("abc", "3 files failed")])
def test_files_that_failed_are_counted_over_all_outputs(names: str, words: str) -> None:
    parts = [
        replace(delivery(output, PART), report=Report("/j", failed=tuple((name, "gone") for name in failed)))
        for output, failed in ((OUT, names[:1]), (MORE, names[1:]))
    ]
    outcome = decide(new_run(), found(decided(OUT, MORE), SUCCESS), parts)
    assert words in outcome.reason
    assert outcome.words == outcome.reason  # nobody has said it before


def test_keys_that_ended_are_the_cause_whichever_output_met_them() -> None:
    errors = [StoreUnavailable("away"), CredentialsExpired("the token ended", where="S3_SECURITY_TOKEN")]
    deliveries = [delivery(output, None, error) for output, error in zip((OUT, MORE), errors, strict=True)]
    outcome = decide(new_run(), found(decided(OUT, MORE), SUCCESS), deliveries)
    assert code_and_id(outcome) == (205, "credentials-expired")
    assert "the token ended (S3_SECURITY_TOKEN)" in outcome.reason and "still on disk" in outcome.reason
    assert outcome.words == "the command succeeded, but its outputs were not all delivered, as said above"


def test_of_several_other_errors_the_first_is_told() -> None:
    deliveries = [delivery(OUT, None, NothingThere("first")), delivery(MORE, None, StoreUnavailable("second"))]
    reason = decide(new_run(), found(decided(OUT, MORE), SUCCESS), deliveries).reason
    assert "first" in reason and "second" not in reason


def test_a_success_tells_how_long_it_took_and_what_is_where() -> None:
    deliveries = [delivery(OUT, Report("/j/out", files=2, skipped=3)), delivery(MORE)]
    outcome = decide(new_run(), found(decided(OUT, MORE), SUCCESS), deliveries)
    assert outcome.words == "succeeded in 12 s · log /j.log · 5 files to s3://bucket/out/ · 1 file to s3://bucket/more/"
    assert (outcome.reason, outcome.told) == ("the command succeeded", ())
    part = replace(deliveries[0], undelivered=(Undelivered("a", 1, "refused", False),))
    allowed = decide(new_run(), found(decided(OUT, allow_undelivered=True), SUCCESS), [part])
    assert allowed.words == "succeeded in 12 s · log /j.log · 5 files to s3://bucket/out/ (1 not delivered)"
    shipped = decide(new_run(), found(decided(log="s3://key:secret@bucket/logs/"), SUCCESS), [])
    assert shipped.words == "succeeded in 12 s · log s3://bucket/logs/"


def test_a_traceback_at_the_end_of_a_success_is_told_and_costs_nothing() -> None:
    outcome = decide(new_run(), found(decided(), SUCCESS, TRACE), [])
    assert code_and_id(outcome) == (0, "success")
    assert outcome.told == (("seen", "a traceback at the end, although the exit status is 0: ValueError: lost"),)


def test_an_ending_by_a_signal_is_128_and_its_number() -> None:
    ending = replace(FAILURE, status=None, signal=signal.SIGKILL)
    assert decide(new_run(), found(decided(), ending, WHY), []).exit_code == 137


# --- of several nodes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "id"),
    [
        (AskedBy.PEER, "node-lost"),
        (AskedBy.NOBODY, "node-lost"),  # its collective fails before anybody can say so
        (AskedBy.USER, "value-error"),
        (AskedBy.PLATFORM, "value-error"),
        (AskedBy.TIMEOUT, "value-error"),
        (AskedBy.STALL, "value-error"),
        (AskedBy.KERNEL, "value-error"),
    ],
)
def test_a_node_that_is_gone_is_the_cause_unless_this_command_was_ended_for_another(by: AskedBy, id: str) -> None:
    outcome = decide(new_run(), found(decided(nodes=3), replace(FAILURE, asked_by=by), WHY), [], LOST)
    assert code_and_id(outcome) == ((209, id) if id == "node-lost" else (7, id))
    assert "node 2 (worker-2)" in outcome.reason


def test_another_nodes_failure_is_told_behind_this_commands_own_end() -> None:
    outcome = decide(new_run(), found(decided(nodes=3), ASKED_BY_PEER, WHY), [], TOLD)
    assert code_and_id(outcome) == (143, "value-error")
    blame = "The first to fail was rank 5 on node 2 (worker-2), with exit code 3"
    assert outcome.reason == outcome.words == f"a wrong value. {blame}"


def test_another_nodes_failure_or_loss_takes_nothing_from_a_success() -> None:
    for first in (LOST, TOLD):
        assert code_and_id(decide(new_run(), found(decided(nodes=3), SUCCESS), [], first)) == (0, "success")


@pytest.mark.parametrize(("nodes", "slots", "told"), [(1, 0, False), (1, 1, False), (1, 2, True), (2, 1, True)])
def test_who_failed_first_is_worth_a_word_where_there_are_several(nodes: int, slots: int, told: bool) -> None:
    outcome = decide(new_run(), found(decided(nodes=nodes, slots=slots), FAILURE, WHY), [], TOLD)
    assert ("first to fail" in outcome.words) is told


def test_what_is_told_is_in_the_language_that_was_chosen_and_the_reason_in_english() -> None:
    outcome = decide(new_run(), found(decided(lang="zh"), FAILURE, WHY), [])
    assert (outcome.reason, outcome.words) == ("a wrong value", "值错误")


# --- before the command ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "number", "expected"),
    [
        (AskedBy.PLATFORM, signal.SIGTERM, (143, "stopped-early")),
        (AskedBy.USER, signal.SIGINT, (130, "stopped-early")),
        (AskedBy.TIMEOUT, None, (143, "stopped-early")),
        (AskedBy.PEER, None, (143, "stopped-by-peer")),
    ],
)
def test_a_stop_before_the_command_is_told_as_such(by: AskedBy, number: int | None, expected: tuple[int, str]) -> None:
    outcome = decide(stopped_run(by, number), found(decided(OUT)), [])
    assert code_and_id(outcome) == expected
    assert outcome.reason == "stopped in step fetch, before the command: somebody wanted it"


def test_a_stop_wins_over_what_failed_behind_it() -> None:
    run = stopped_run(AskedBy.PLATFORM, signal.SIGTERM)
    run.failed("deliver", StoreUnavailable("away"))
    assert code_and_id(decide(run, found(decided(OUT)), [])) == (143, "stopped-early")


@pytest.mark.parametrize(
    ("error", "chosen", "code"),
    [
        (CodeUnavailable(NothingThere("no code")), "127", 127),
        (CodeUnavailable(NothingThere("no code")), "0", NothingThere.code),
        (NothingThere("no data"), "127", NothingThere.code),
    ],
)
def test_the_exit_code_for_code_is_for_code_only(error: Exception, chosen: str, code: int) -> None:
    outcome = decide(new_run("fetch", error), found(decided(code_failure_exit=chosen)), [])
    assert code_and_id(outcome) == (code, "nothing-there")
    assert outcome.words == "the command was not started, because fetch failed, as said above"


@pytest.mark.parametrize(("lang", "marks"), [("en", ["retry"]), ("zh", ["hint", "retry"])])
def test_below_our_own_failure_stands_what_has_not_been_said_with_it(lang: str, marks: list[str]) -> None:
    outcome = decide(new_run("fetch", NothingThere("no data")), found(decided(lang=lang)), [])
    assert [mark for mark, _ in outcome.told] == marks


def test_the_first_failure_of_ours_is_the_one_that_counts() -> None:
    run = new_run("fetch", NothingThere("no data"))
    run.failed("deliver", StoreUnavailable("away"))
    assert code_and_id(decide(run, found(decided()), [])) == (NothingThere.code, "nothing-there")
    assert code_and_id(decide(run, found(None), [])) == (NothingThere.code, "nothing-there")


def test_without_any_cause_it_is_a_defect_of_ours() -> None:
    assert code_and_id(decide(new_run(), found(None), [])) == (100, "internal")


# --- what the other nodes are told -----------------------------------------------------------------------------------


def test_they_are_told_of_the_command_before_anything_of_ours() -> None:
    run = new_run("deliver", StoreUnavailable("away"))
    assert own_facts(run, found(decided(nodes=2), FAILURE, WHY))["exit_code"] == 7
    assert own_facts(run, found(decided(nodes=2), SUCCESS)) == {}


def test_they_are_told_of_our_failure_and_of_a_stop_that_none_of_them_asked_for() -> None:
    failed = own_facts(new_run("fetch", NothingThere("no data")), found(decided(nodes=2)))
    assert (failed["step"], failed["error"]) == ("fetch", "nothing-there")
    stopped = own_facts(stopped_run(AskedBy.PLATFORM, signal.SIGTERM), found(decided(nodes=2)))
    assert stopped == {"step": "fetch", "why": "somebody wanted it"}
    assert own_facts(stopped_run(AskedBy.PEER), found(decided(nodes=2))) == {}
    assert own_facts(new_run(), found(decided(nodes=2))) == {}


@pytest.mark.parametrize("by", [AskedBy.PLATFORM, AskedBy.PEER])
def test_a_delivery_that_fails_behind_a_stop_is_not_told_as_the_cause(by: AskedBy) -> None:
    run, nodes = stopped_run(by), found(decided(nodes=2))
    before = own_facts(run, nodes)
    run.failed("deliver", StoreUnavailable("away"))
    assert own_facts(run, nodes) == before == ({} if by is AskedBy.PEER else {"step": "fetch", "why": run.signals.why})
    assert own_code(run, nodes) == decide(run, nodes, []).exit_code == 143


def test_the_code_they_are_told_is_that_of_the_command_or_of_our_failure_or_of_the_stop() -> None:
    run = new_run("fetch", NothingThere("no data"))
    assert own_code(run, found(decided(), FAILURE, WHY)) == 7
    assert own_code(run, found(decided())) == NothingThere.code
    assert own_code(stopped_run(AskedBy.USER, signal.SIGINT), found(decided())) == 130


def test_a_node_that_speaks_to_nobody_was_the_first_itself_unless_it_missed_the_others() -> None:
    run = new_run("fetch", NothingThere("no data"))
    first = settle(run, found(decided(nodes=2)))
    assert first is not None and (first["node"], first["lost"], first["step"]) == (1, False, "fetch")
    assert json.loads(run.record.text())["first_failure"] == first
    assert settle(new_run("connect", PeersMissing("worker-0 is missing")), found(decided(nodes=2))) is None
    assert settle(new_run(), found(decided(nodes=2), SUCCESS)) is None
    assert settle(new_run("identify", NothingThere("no")), found(None)) is None
